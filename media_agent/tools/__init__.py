"""Tools for agents: plan, create, wait, look at, steer, extend, list; none blocks for a video."""

from media_agent.tools.arguments import CreateVideo, PlanVideo, ToolArguments, ToolShot
from media_agent.tools.dialects import DIALECTS, Dialect, tool_definitions
from media_agent.tools.job_arguments import (
    CancelVideo,
    ExtendVideo,
    GetVideo,
    ListVideoBackends,
    ListVideos,
    SteerVideo,
    WaitVideo,
)
from media_agent.tools.plan_views import OptionView, PlanView
from media_agent.tools.toolbox import ToolBox
from media_agent.tools.views import JobView

__all__ = [
    "DIALECTS",
    "CancelVideo",
    "CreateVideo",
    "Dialect",
    "ExtendVideo",
    "GetVideo",
    "JobView",
    "ListVideoBackends",
    "ListVideos",
    "OptionView",
    "PlanVideo",
    "PlanView",
    "SteerVideo",
    "ToolArguments",
    "ToolBox",
    "ToolShot",
    "WaitVideo",
    "tool_definitions",
]
