"""The one way to a new job, from whichever surface it is asked for."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Unpack

from media_agent.jobs.housekeeping.remove import INPUTS
from media_agent.jobs.options import GenerateKwargs
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
) -> VideoJob:
    """Begin a job of a caller, and return it.

    Raises:
        RequestError: it cannot be served; nothing was done.
        ForbiddenError: an option names a file of this machine, and the caller may be on another.
    """
    await check_options(request.options, whose)
    named: GenerateKwargs = {**options, "caller": whose.name}
    return await server.host.call(lambda client: client.start(request, **named))


@contextlib.asynccontextmanager
async def new_folder(server: ServerContext) -> AsyncIterator[tuple[str, Path]]:
    """Give the id of a new job and a folder for its inputs, which goes if it cannot begin."""
    job_id = server.host.client.new_job_id()
    folder = server.host.client.store.jobs.folder(job_id) / INPUTS
    try:
        yield job_id, folder
    except BaseException:
        await asyncio.to_thread(_remove, folder)
        raise


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # never there
        folder.parent.rmdir()
