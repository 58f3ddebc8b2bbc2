"""Calls of tools: a question about the price, progress while they wait, a task or a result."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
)
from pydantic import JsonValue

from media_agent.errors import (
    JobCancelledError,
    MediaAgentError,
    in_one_sentence,
)
from media_agent.mcp.access import Access, RequestContext
from media_agent.mcp.answers import build_result
from media_agent.mcp.questions import ask
from media_agent.mcp.tasks import build_task, declares_tasks
from media_agent.tools import CreateVideo, ExtendVideo, ToolArguments, WaitVideo
from media_agent.tools.consent import Quote
from media_agent.tools.elsewhere import Answer
from media_agent.tools.job_arguments import TOOLS
from media_agent.tools.parsing import parse_call
from media_agent.tools.toolbox import error_as_data

_NAMES = frozenset(tool.tool for tool in TOOLS)
Result = CallToolResult | InputRequiredResult | dict[str, JsonValue]


async def call_tool(
    access: Access,
    context: RequestContext,
    params: CallToolRequestParams,
    *,
    report_every: float,
) -> Result:
    """Return what a tool answers; whatever goes wrong in it is a result as well.

    Raises:
        MCPError: there is no such tool.
    """
    try:
        arguments = parse_call(params.name, params.arguments or {})
    except MediaAgentError as error:
        if params.name not in _NAMES:
            raise MCPError(INVALID_PARAMS, in_one_sentence(error)) from None
        return await build_result(access, context, error_as_data(error))
    seconds = _find_patience(arguments)
    if isinstance(arguments, CreateVideo):
        arguments = arguments.model_copy(update={"wait_seconds": None})
    wait = _Wait(access, context, report_every)
    if isinstance(arguments, WaitVideo):
        answer = await wait.run(arguments.job_id, seconds)
        return await build_result(access, context, answer)
    made = await _make(access, context, params, arguments)
    if isinstance(made, InputRequiredResult):
        return made
    is_under_way = "job_id" in made and not made["finished"]
    if is_under_way and isinstance(arguments, CreateVideo | ExtendVideo):
        job_id = str(made["job_id"])
        if declares_tasks(context):
            return await build_task(access, context, job_id)
        if seconds > 0:
            made = await wait.run(job_id, seconds)
    return await build_result(access, context, made)


async def _make(
    access: Access,
    context: RequestContext,
    params: CallToolRequestParams,
    arguments: ToolArguments,
) -> Answer | InputRequiredResult:
    """Run a tool; where a person has to agree to the price, ask before anything is submitted."""
    answer = await access(context, lambda box: box.answer(arguments))
    if not isinstance(answer, Quote):
        return answer
    quote = answer
    reply = await ask(context, params, quote)
    if isinstance(reply, InputRequiredResult):
        return reply
    if reply == "no":
        said = f"a person did not agree to {quote.price}; nothing was submitted"
        return error_as_data(JobCancelledError(said))
    if reply == "nobody to ask":
        return error_as_data(quote.to_error())
    answer = await access(context, lambda box: box.answer(arguments, agreed=quote))
    return error_as_data(answer.to_error()) if isinstance(answer, Quote) else answer


@dataclass(frozen=True, slots=True)
class _Wait:
    """Waits for jobs and tells how they get on."""

    access: Access
    context: RequestContext
    report_every: float

    async def run(self, job_id: str, seconds: float) -> Answer:
        """Return how a job stands at its end or when the time is over.

        Whoever gives up ends the wait and not the job.
        """
        until, told = time.monotonic() + seconds, 0.0
        while True:
            left = max(0.01, until - time.monotonic())
            answer = await self._look(job_id, min(self.report_every, left))
            if "job_id" not in answer or answer["finished"] or time.monotonic() >= until:
                return answer
            told = max(told + 1e-4, _find_progress(answer))  # it has to rise each time
            await self.context.session.report_progress(min(told, 1.0), 1.0, _describe(answer))

    async def _look(self, job_id: str, seconds: float) -> Answer:
        part = WaitVideo(job_id=job_id, seconds=seconds)
        answer = await self.access(self.context, lambda box: box.answer(part))
        assert not isinstance(answer, Quote)  # waiting costs nothing
        return answer


def _find_patience(arguments: ToolArguments) -> float:
    match arguments:
        case CreateVideo(wait_seconds=seconds):
            return seconds or 0.0
        case WaitVideo():
            return arguments.patience
    return 0.0


def _find_progress(answer: Mapping[str, JsonValue]) -> float:
    progress = answer.get("progress")
    return float(progress) if isinstance(progress, int | float) else 0.0


def _describe(answer: Mapping[str, JsonValue]) -> str:
    progress = f"{_find_progress(answer):.0%}" if "progress" in answer else None
    parts = (f"job {answer['job_id']}", answer["status"], progress, answer.get("phase"))
    return ", ".join(str(part) for part in parts if part)
