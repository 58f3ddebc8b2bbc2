"""The command that brings a video here."""

from typing import TYPE_CHECKING

from media_agent.cli.arguments import Flag, Output
from media_agent.cli.screen import write_json, write_stdout
from media_agent.cli.store import find_job

if TYPE_CHECKING:
    from pathlib import Path

    from media_agent_schemas.jobs import VideoJob


def fetch_job(
    job_id: str, /, *, out: Output = None, overwrite: Flag = False, json: Flag = False
) -> int:
    """Bring the video of a job to this machine, from where machines share files (jobs.files).

    Args:
        job_id: As shown by jobs list; or the beginning of one, or last.
        out: Also copy it to this file, .mp4; several are NAME.mp4, NAME-2.mp4, ...
        overwrite: Overwrite existing files.
        json: Print the job as JSON, with the paths of its files here.
    """
    import asyncio

    job = asyncio.run(_fetch(find_job(job_id), out, overwrite=overwrite))
    if json:
        write_json(job)
        return 0
    for artifact in job.artifacts:
        if artifact.path is not None:
            write_stdout(f"{artifact.path}: {artifact.kind} of job {job.id}")
    return 0


async def _fetch(job_id: str, out: "Path | None", *, overwrite: bool) -> "VideoJob":
    import asyncio

    from media_agent.cli.whereabouts import (
        check_has_video,
        check_is_here,
        check_place,
        copy_videos,
    )
    from media_agent.client import VideoClient

    async with VideoClient() as client:
        job = await client.get(job_id)
        check_has_video(job)
        place = None if out is None else check_place(job, out, overwrite=overwrite)
        job = await client.bring_files(job)
        await check_is_here(job, client.settings)
        return job if place is None else await asyncio.to_thread(copy_videos, job, place)
