"""The one way to a new job, from whichever surface it is asked for."""

from typing import Unpack

from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError
from media_agent.jobs.options import GenerateKwargs
from media_agent.server.access.caller import LOCAL, Caller
from media_agent.server.context import ServerContext
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.request import VideoRequest


async def start_job(
    server: ServerContext,
    whose: Caller,
    request: VideoRequest,
    /,
    **options: Unpack[GenerateKwargs],
) -> tuple[VideoJob, bool]:
    """Begin a job of a caller; return it, and whether it is new.

    Raises:
        RequestError: it cannot be served; nothing was done.
        IdempotencyConflictError: the key has another request or other terms.
    """
    check_inputs(request, whose)

    async def start(client: VideoClient) -> tuple[VideoJob, bool]:
        own_id = client.new_job_id()
        named: GenerateKwargs = {**options, "job_id": own_id, "caller": whose.name}
        job = await client.start(request, **named)
        return job, job.id == own_id

    return await server.host.call(start)


def check_inputs(request: VideoRequest, caller: Caller) -> None:
    """Refuse a path from a caller who may be on another machine.

    Raises:
        InvalidRequestError: an input is a path.
    """
    for number, each in enumerate(request.inputs):
        if each.path is not None and caller.is_remote:
            raise InvalidRequestError(
                f"inputs[{number}].path is a file of another machine",
                hint="give its url, its data in base64, or the id of a file sent to /v1/files",
            )


def own_key(key: str | None, caller: Caller) -> str | None:
    """Return an idempotency key that no other caller can have."""
    return key if key is None or caller.name == LOCAL else f"{caller.name}:{key}"
