"""The continuation of a video from outside, put behind it; nothing of what was made is lost by it.

Where the two cannot be joined, the new part is delivered alone and a warning says why.
"""

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import MediaAgentError
from media_agent.ingest.digests import digests_of
from media_agent.jobs.context import JobContext
from media_agent.provenance.marking import build_mark, describe_marking
from media_agent.storage.files import make_folder
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact, InputRole, Marking, MediaInput, SourceJoin

if TYPE_CHECKING:
    from media_agent.video.codec import Mark

FETCHED_SOURCE = "source.mp4"
"""The source in the work folder of a job, where it was fetched from an address."""
_LOGGER = logging.getLogger(__name__)


async def put_behind_source(
    part: Artifact, job: VideoJob, context: JobContext, *, number: int
) -> tuple[Artifact, list[str]]:
    """Return the source with the new part behind it, and what is to be said about that."""
    source = find_source(job)
    if source is None or part.path is None:
        return part, []
    folder = context.work_folder / job.id
    try:
        await asyncio.to_thread(make_folder, folder)
        here, sha256 = await _bring_here(source, job, context)
        request = job.plan.request
        mark = None if part.marking is not None else build_mark(request, job.id)
        target = folder / f"joined-{number}.mp4"
        work = partial(_join, here, Path(part.path), target, job, mark=mark)
        joined, path = await asyncio.to_thread(work)
        if mark is not None and joined.encoded_again:
            marking = await asyncio.to_thread(_describe_marking, path, job)
            part = part.model_copy(update={"marking": marking})
    except Exception as error:  # whatever broke here, what was made is not to be lost by it
        _LOGGER.debug("the video of job %s was not joined", job.id, exc_info=True)
        said = f"only the new part is delivered, as it cannot be joined with its source: {error}"
        return part, [said]
    facts = {"source": _name(source, context), "sha256": sha256}
    joined = joined.model_copy(update=facts)
    return part.model_copy(update={"path": str(path), "joined": joined}), _describe(joined)


def find_source(job: VideoJob) -> MediaInput | None:
    """Return the video that is to be in front of what the job makes; None: there is none."""
    if not job.plan.request.join_source:
        return None
    inputs = job.plan.request.inputs
    return next((each for each in inputs if each.role is InputRole.SOURCE_VIDEO), None)


async def find_kept_source(
    job: VideoJob, context: JobContext
) -> tuple[MediaInput | None, list[str]]:
    """Return the source that a continuation of a job has in front, too; if it is lost, say so."""
    source = find_source(job)
    if source is None:
        return None, []
    try:
        await _check_unchanged(source, job, context)
    except MediaAgentError as error:
        lost = f"only what job {job.id} added to its source is continued, not the source"
        return None, [f"{lost}: {error.message}"]
    return source, []


async def _bring_here(
    source: MediaInput, job: VideoJob, context: JobContext
) -> tuple[MediaInput, str | None]:
    """Return a source that can be read here, the very one that was sent, and its digest."""
    if source.url is not None:
        from media_agent.ingest.download import fetch

        path = context.work_folder / job.id / FETCHED_SOURCE
        fetched = await fetch(source.url, path, sleep=context.sleep)
        return MediaInput(role=source.role, path=str(fetched.path)), fetched.sha256
    return source, await _check_unchanged(source, job, context)


async def _check_unchanged(source: MediaInput, job: VideoJob, context: JobContext) -> str | None:
    """Return the digest of a source that is a file.

    Raises:
        MediaAgentError: it is not the file that was sent any more.
    """
    if source.path is None:
        return None
    sent = context.store.jobs.terms(job.id).inputs.get(source.path)
    now = (await asyncio.to_thread(digests_of, [source]))[source.path]
    if sent not in (None, now):
        raise MediaAgentError(f"{source.path} has changed since it was sent")
    return now


def _join(
    source: MediaInput, part: Path, target: Path, job: VideoJob, *, mark: "Mark | None"
) -> tuple[SourceJoin, Path]:
    from media_agent.ingest.extend import join_source
    from media_agent.ingest.read import read_video_seconds
    from media_agent.video.probe import probe

    planned, new = job.plan.request.seconds(), probe(part)
    before = read_video_seconds(source)
    if planned is not None and abs(new.duration - planned - before) < abs(new.duration - planned):
        seconds = max(0.0, new.duration - planned)
        frames = min(new.frames, round(planned * new.fps))
        return SourceJoin(by_backend=True, seconds=seconds, new_frames=frames), part
    return join_source(source, part, target, mark=mark), target


def _describe_marking(video: Path, job: VideoJob) -> Marking | None:
    from media_agent.video.probe import probe

    return describe_marking(job.plan.request, job.id, probe(video))


def _name(source: MediaInput, context: JobContext) -> str | None:
    return source.path if source.url is None else context.without_keys(source.url)


def _describe(joined: SourceJoin) -> list[str]:
    """Say what was done to the frames, as warnings of the job."""
    said = []
    if joined.scaled_from is not None:
        said.append(f"the new part was scaled from {joined.scaled_from} to the size of the source")
    if joined.resampled_from is not None:
        rate = f"{joined.resampled_from:g} frames per second"
        said.append(f"the new part was resampled from {rate} to the rate of the source")
    if joined.encoded_again:
        said.append("source and new part differ in their encoding; the video was encoded again")
    return said
