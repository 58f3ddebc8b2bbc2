"""The job that the path of a route names, if it is the caller's."""

from typing import Annotated

from fastapi import Depends, Path

from media_agent.errors import JobNotFoundError
from media_agent.server.access.caller import Caller
from media_agent.server.context import CallerHere, Server, ServerContext
from media_agent_schemas.jobs import VideoJob

LONGEST_ID = 200  # characters
JobId = Annotated[
    str, Path(description="The id of a job, as it was answered.", max_length=LONGEST_ID)
]


async def find_job(server: ServerContext, caller: Caller, job_id: str) -> VideoJob:
    """Return a job of the caller.

    Raises:
        JobNotFoundError: there is none of this id, or it is of somebody else: both alike.
    """
    try:
        job = await server.host.read(lambda ledger: ledger.jobs.get(job_id))
        return caller.check_owns(job)
    except JobNotFoundError:
        raise JobNotFoundError(
            f"unknown job {job_id!r}", hint="GET /v1/jobs lists the jobs there are"
        ) from None


async def _find_own(server: Server, caller: CallerHere, job_id: JobId) -> VideoJob:
    return await find_job(server, caller, job_id)


OwnJob = Annotated[VideoJob, Depends(_find_own)]


async def _find_here(server: Server, job: OwnJob) -> VideoJob:
    return await server.host.call(lambda client: client.bring_files(job))


JobHere = Annotated[VideoJob, Depends(_find_here)]
"""The job that a path names, with its files on this machine."""
