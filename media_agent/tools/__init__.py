"""Tools for agents: plan, create, wait, look at, steer, extend, list; none blocks for a video."""

from media_agent.tools.agents.executors import (
    run_anthropic_tool_uses,
    run_openai_function_calls,
    run_openai_tool_calls,
)
from media_agent.tools.agents.frameworks import (
    as_langchain_tools,
    as_openai_agents_tools,
    as_pydantic_ai_tools,
)
from media_agent.tools.answers.plan_views import OptionView, PlanView
from media_agent.tools.answers.views import JobView
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
from media_agent.tools.toolbox import ToolBox

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
    "as_langchain_tools",
    "as_openai_agents_tools",
    "as_pydantic_ai_tools",
    "run_anthropic_tool_uses",
    "run_openai_function_calls",
    "run_openai_tool_calls",
    "tool_definitions",
]
