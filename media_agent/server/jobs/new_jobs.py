"""The one way to a new job, from whichever surface it is asked for."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Unpack

from media_agent.client import VideoClient
from media_agent.jobs.housekeeping.remove import INPUTS
from media_agent.jobs.options import GenerateKwargs
from media_agent.server.access.caller import Caller
from media_agent.server.access.requests import check_names
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
        ForbiddenError: it names a file of this machine, and the caller may be on another.
        RequestError: it cannot be served; nothing was done.
    """
    await check_names(request.model, request.options, whose)
    named: GenerateKwargs = {
        **options,
        "caller": whose.name,
        "resale_factor": whose.resale_factor,
    }
    return await server.host.call(lambda client: client.start(request, **named))


@contextlib.asynccontextmanager
async def new_folder(
    client: VideoClient, *, is_kept: bool = True
) -> AsyncIterator[tuple[str, Path]]:
    """Give the id of a new job and a folder for its inputs, which goes if it cannot begin.

    If it is not kept, it goes in any case: nothing but a plan is wanted.
    """
    job_id = client.new_job_id()
    folder = client.store.jobs.folder(job_id) / INPUTS
    try:
        yield job_id, folder
    except BaseException:
        await asyncio.to_thread(_remove, folder)
        raise
    if not is_kept:
        await asyncio.to_thread(_remove, folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # never there
        folder.parent.rmdir()
