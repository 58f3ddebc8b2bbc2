"""The video that a call starts from: one of the caller's, by its id, or a file of the form."""

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile

from media_agent.errors import InvalidRequestError, JobError, VideoNotReadyError
from media_agent.server.access.caller import Caller
from media_agent.server.context import ServerContext
from media_agent.server.jobs.own_job import find_job
from media_agent.server.openai.body import Fields, Value
from media_agent.server.openai.inputs.references import Reference, bring, list_references
from media_agent.storage.destination import is_there
from media_agent.storage.files import storage_errors
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact, InputRole


@dataclass(frozen=True, slots=True)
class Source:
    """A video to start from; exactly one of both is there."""

    job: VideoJob | None = None
    reference: Reference | None = None

    async def identify(self) -> Any:
        """Return what makes a repetition of it the same."""
        if self.reference is None:
            return None if self.job is None else self.job.id
        return await self.reference.identify()


async def take_source(server: ServerContext, caller: Caller, fields: Fields) -> Source:
    """Take the field `video` out of a call, and return what it is.

    Raises:
        InvalidRequestError: it is none of the places a video can be.
        JobNotFoundError: the caller has no such video.
    """
    value = fields.pop("video", None)
    job_id = _read_id(value)
    if job_id is not None:
        return Source(job=await find_job(server, caller, job_id))
    references = list_references("video", value)
    if len(references) != 1:
        raise InvalidRequestError(
            "video is missing", hint='give {"id": ...} of a video, or a file of the form'
        )
    return Source(reference=references[0])


async def bring_source(server: ServerContext, caller: Caller, source: Source, folder: Path) -> Path:
    """Bring the video to start from into a folder, so that it may be deleted meanwhile.

    Raises:
        JobError: it is not finished, or its file is gone.
    """
    target = folder / "source.mp4"
    if source.job is not None:
        found = await find_finished(source.job)
        await asyncio.to_thread(_link, found, target)
        return target
    assert source.reference is not None
    (path,) = await bring(server, caller, [source.reference], folder)
    await asyncio.to_thread(_check_video, path)
    return path


async def find_finished(job: VideoJob) -> Path:
    """Return the file of a finished video, byte for byte as it was made.

    Raises:
        JobError: it is not finished, or its file is gone or was replaced.
    """
    video = check_finished(job)
    if video.path is None or not await asyncio.to_thread(is_there, video):
        raise JobError(f"the file of video {job.id} is gone or was replaced")
    return Path(video.path)


def check_finished(job: VideoJob) -> Artifact:
    """Return the video of a finished job, without a look at its file.

    Raises:
        JobError: it is not finished, or has none.
    """
    if not job.status.is_terminal:
        raise VideoNotReadyError(
            f"video {job.id} is not finished", hint=f"GET /v1/videos/{job.id} until it is completed"
        )
    if job.status is not JobStatus.COMPLETED:
        raise JobError(f"video {job.id} is not completed", hint=f"GET /v1/videos/{job.id} says why")
    if not job.artifacts:
        raise JobError(f"job {job.id} has no video")
    return job.artifacts[0]


def copy_inputs(job: VideoJob, folder: Path) -> list[dict[str, Any]]:
    """Return the inputs of a job for another one, its files in a folder of that.

    Raises:
        JobError: one is gone.
    """
    inputs = []
    for number, each in enumerate(job.request.inputs):
        known = each.model_dump(exclude_none=True)
        if each.path is not None:
            target = folder / f"{number}{Path(each.path).suffix}"
            if not Path(each.path).is_file():
                raise JobError(f"input {number} of video {job.id} is gone")
            _link(Path(each.path), target)
            known["path"] = str(target)
        inputs.append(known)
    return inputs


def as_source(path: Path, own_id: str | None = None) -> dict[str, Any]:
    """Return a video as an input of a request."""
    known = {"role": InputRole.SOURCE_VIDEO, "path": str(path)}
    return known if own_id is None else known | {"own_id": own_id}


def _read_id(value: Value) -> str | None:
    """Return the id of a video, where an object or a text that is no address says it."""
    if isinstance(value, dict) and set(value) == {"id"}:
        value = value["id"]
        if not isinstance(value, str) or not value:
            raise InvalidRequestError("video.id is not the id of a video")
        return value
    if isinstance(value, str) and value and ":" not in value and not isinstance(value, UploadFile):
        return value
    return None


def _link(source: Path, target: Path) -> None:
    with storage_errors(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # on another disk, or where there are no links
            shutil.copyfile(source, target)


def _check_video(path: Path) -> None:
    from media_agent.ingest.source import open_medium

    with open_medium(path, "video", "video"):
        pass
