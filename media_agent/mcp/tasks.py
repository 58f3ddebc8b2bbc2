"""Jobs as tasks (extension io.modelcontextprotocol/tasks) for clients that declare them.

The task is the job: it has the same id, is in the ledger before the client hears of it, and
outlives this process. What a person has to agree to is asked before there is a task, so that no
task ever waits for input.
"""

from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import AwareDatetime, Field, JsonValue

from media_agent.errors import JobNotFoundError, MediaAgentError, in_full
from media_agent.mcp.access import Access, RequestContext
from media_agent.mcp.answers import build_result
from media_agent.tools import GetVideo, ToolBox
from media_agent.tools.consent import Quote
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.jobs import JobStatus, VideoJob

TASKS = "io.modelcontextprotocol/tasks"
_POLL_MS = 2000
_STATES = {
    JobStatus.QUEUED: "working",
    JobStatus.IN_PROGRESS: "working",
    JobStatus.CANCELLED: "cancelled",
    # "failed" is for errors of the protocol: a tool that says why it has no video has a result
    JobStatus.COMPLETED: "completed",
    JobStatus.FAILED: "completed",
    JobStatus.OUTCOME_UNKNOWN: "completed",
}

Result = dict[str, JsonValue]


class TaskParams(RequestParams):
    """Which task is meant."""

    task_id: str


class UpdateParams(TaskParams):
    """Answers to what a task asked."""

    input_responses: dict[str, Any] = Field(default={})


def declares_tasks(context: RequestContext) -> bool:
    """Return whether the client of a request takes a task for a result."""
    capabilities = context.session.client_capabilities
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS or capabilities is None:
        return False
    return TASKS in (capabilities.extensions or {})


async def build_task(access: Access, context: RequestContext, job_id: str) -> Result:
    """Return a job in place of the result that it will have."""
    job = await access(context, lambda box: box.get(job_id))
    return {"resultType": "task", **_describe(job)}


async def get_task(access: Access, context: RequestContext, params: TaskParams) -> Result:
    """Return how a task stands, and its result when it has one.

    Raises:
        MCPError: there is no such task, or the client does not know of tasks.
    """
    _check_declared(context)
    job = await _find(access, context, params.task_id)
    task = _describe(job)
    if task["status"] != "completed":
        return task
    answer = await access(context, lambda box: box.answer(GetVideo(job_id=job.id)))
    assert not isinstance(answer, Quote)  # looking costs nothing
    result = await build_result(access, context, answer)
    return task | {"result": result.model_dump(mode="json", by_alias=True, exclude_none=True)}


async def update_task(access: Access, context: RequestContext, params: UpdateParams) -> Result:
    """Acknowledge answers; no task has a question, so none of them is waited for.

    Raises:
        MCPError: there is no such task, or the client does not know of tasks.
    """
    _check_declared(context)
    await _find(access, context, params.task_id)
    return {}


async def cancel_task(access: Access, context: RequestContext, params: TaskParams) -> Result:
    """Stop the job; harmless when it has ended.

    Raises:
        MCPError: there is no such task, or the client does not know of tasks.
    """
    _check_declared(context)
    await _find(access, context, params.task_id, stop=True)
    return {}


def _check_declared(context: RequestContext) -> None:
    """Refuse a client that did not say that it knows tasks.

    Raises:
        MCPError: it did not, or its version of the protocol has none.
    """
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        raise MCPError(METHOD_NOT_FOUND, "Method not found", context.method)
    if not declares_tasks(context):
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"{context.method} needs a client that declares {TASKS}",
            {"requiredCapabilities": {"extensions": {TASKS: {}}}},
        )


async def _find(
    access: Access, context: RequestContext, task_id: str, *, stop: bool = False
) -> VideoJob:
    async def look(box: ToolBox) -> VideoJob | str:
        try:
            return await (box.cancel if stop else box.get)(task_id)
        except JobNotFoundError:
            return f"unknown task {task_id!r:.200}"
        except MediaAgentError as error:
            return in_full(ErrorInfo.model_validate(box.describe(error)["error"]))

    found = await access(context, look)
    if isinstance(found, str):
        raise MCPError(INVALID_PARAMS, found)
    return found


def _describe(job: VideoJob) -> Result:
    task: Result = {
        "taskId": job.id,
        "status": _STATES[job.status],
        "createdAt": _write_time(job.created_at),
        "lastUpdatedAt": _write_time(job.updated_at),
        "ttlMs": None,
        "pollIntervalMs": _POLL_MS,
    }
    done = None if job.progress is None else f"{job.progress:.0%}"
    message = ", ".join(part for part in (job.status, done, job.phase) if part)
    return task | {"statusMessage": message}


def _write_time(time: AwareDatetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
