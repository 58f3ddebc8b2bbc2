"""Tools for agents: plan, create, get, wait, steer, cancel; none blocks for a whole video."""

from media_agent.tools.arguments import (
    CancelVideo,
    CreateVideo,
    GetVideo,
    PlanVideo,
    SteerVideo,
    ToolArguments,
    ToolShot,
    WaitVideo,
)
from media_agent.tools.dialects import DIALECTS, Dialect, tool_definitions
from media_agent.tools.toolbox import ToolBox
from media_agent.tools.views import JobView, OptionView, PlanView

__all__ = [
    "DIALECTS",
    "CancelVideo",
    "CreateVideo",
    "Dialect",
    "GetVideo",
    "JobView",
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
