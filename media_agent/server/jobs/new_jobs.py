"""The one way to a new job, from whichever surface it is asked for."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Unpack

from media_agent.client import VideoClient
from media_agent.jobs.housekeeping.remove import INPUTS
from media_agent.jobs.options import GenerateKwargs
from media_agent.ledger.serving.api_keys import LOCAL
from media_agent.server.access.caller import Caller
from media_agent.server.access.requests import check_options
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
    await check_options(request.options, whose)

    async def start(client: VideoClient) -> tuple[VideoJob, bool]:
        own_id = options.get("job_id") or client.new_job_id()
        named: GenerateKwargs = {**options, "job_id": own_id, "caller": whose.name}
        job = await client.start(request, **named)
        return job, job.id == own_id

    return await server.host.call(start)


@contextlib.asynccontextmanager
async def new_folder(server: ServerContext) -> AsyncIterator[tuple[str, Path]]:
    """Give the id of a new job and a folder for its inputs, which goes if it cannot begin."""
    job_id = server.host.client.new_job_id()
    folder = server.host.client.store.jobs.folder(job_id) / INPUTS
    try:
        yield job_id, folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # never there
            folder.parent.rmdir()
        raise


def own_key(key: str | None, caller: Caller) -> str | None:
    """Return an idempotency key that no other caller can have."""
    return key if key is None or caller.name == LOCAL else f"{caller.name}:{key}"
