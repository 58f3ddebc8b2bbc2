"""The files of a job: its video, its record, and images of it, made when they are wanted."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from media_agent.client import VideoClient
from media_agent.errors import JobError, MediaAgentError, StorageError
from media_agent.provenance.job_sheet import sheet_name, write_job_sheet
from media_agent.storage.destination import is_there
from media_agent.storage.files import make_folder, storage_errors, write_aside
from media_agent.tools.answers.views import NO_SHEET
from media_agent.video.codec import iterate_images
from media_agent.video.images import as_png
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind

FileKind = Literal["video", "poster", "contact-sheet", "record"]
FILE_KINDS: tuple[FileKind, ...] = get_args(FileKind)


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job on this machine."""

    path: Path
    mime_type: str
    size: int
    place: str
    """Where whoever asked finds it: its path, or an address."""


async def find_file(client: VideoClient, job: VideoJob, kind: FileKind) -> JobFile:
    """Return a file of a job; an image of its video is made if it is not there.

    Raises:
        JobError: there is no such file, or not yet.
        StorageError: it is gone, or cannot be read or written.
    """
    folder = client.store.jobs.folder(job.id)
    path, mime_type = await asyncio.to_thread(_find, job, kind, folder)
    with storage_errors(f"the {kind} of job {job.id}"):
        return JobFile(path, mime_type, path.stat().st_size, str(path))


def add_sheet(job: VideoJob, folder: Path) -> VideoJob:
    """Return the job with the contact sheet of its video, kept in a folder; else with a warning."""
    video = job.artifacts[0] if job.artifacts else None
    if video is None or any(each.kind is ArtifactKind.CONTACT_SHEET for each in job.artifacts):
        return job
    try:
        sheet = find_sheet(job, video, folder)
    except MediaAgentError as error:
        said = f"{NO_SHEET}: {error.message}"
        return job.model_copy(update={"warnings": (*job.warnings, said)})
    image = Artifact(kind=ArtifactKind.CONTACT_SHEET, path=str(sheet), mime_type="image/png")
    return job.model_copy(update={"artifacts": (*job.artifacts, image)})


def _find(job: VideoJob, kind: FileKind, folder: Path) -> tuple[Path, str]:
    if kind == "record" and job.record_path is not None:
        return Path(job.record_path), "application/json"
    video = job.artifacts[0] if job.artifacts else None
    if kind == "record" or video is None or video.path is None:
        reason = "is missing" if job.status.is_terminal else "is not there yet"
        raise JobError(f"the {kind} of job {job.id} {reason}")
    match kind:
        case "video":
            return Path(video.path), video.mime_type
        case "contact-sheet":
            return find_sheet(job, video, folder), "image/png"
        case "poster":
            return _make_poster(job, video, folder), "image/png"


def find_sheet(job: VideoJob, video: Artifact, folder: Path) -> Path:
    """Return the contact sheet in the folder of a job, made if it is not there.

    Raises:
        StorageError: the video is gone or another one, or something cannot be read or written.
    """
    sheet = folder / sheet_name(video)
    if not sheet.exists():
        _check_video(job, video, folder)
        write_job_sheet(job, sheet)
    return sheet


def _make_poster(job: VideoJob, video: Artifact, folder: Path) -> Path:
    """Return the first frame of a video that is still the one of the job.

    Raises:
        StorageError: it is gone or another one, or something cannot be read or written.
    """
    sheet = folder / sheet_name(video)
    poster = sheet.with_stem(f"{sheet.stem}-first")
    if not poster.exists():
        _check_video(job, video, folder)
        frame = next(iterate_images(Path(str(video.path))))
        with storage_errors(f"the poster {poster}"), write_aside(poster, durably=False) as aside:
            aside.write_bytes(as_png(frame))
    return poster


def _check_video(job: VideoJob, video: Artifact, folder: Path) -> None:
    if not is_there(video):
        raise StorageError(f"the video of job {job.id} is gone or was replaced")
    make_folder(folder)
