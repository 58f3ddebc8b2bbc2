"""The small images of a video, made when they are first asked for, and kept in its job's folder."""

from pathlib import Path

from media_agent.errors import StorageError
from media_agent.provenance.job_sheet import sheet_name
from media_agent.storage.destination import is_there
from media_agent.storage.files import storage_errors, write_aside
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact

_LONGEST_SIDE = 512  # pixels of a thumbnail


def make_thumbnail(job: VideoJob, video: Artifact, folder: Path) -> Path:
    """Return a frame of a video as WebP: the one in its middle, seldom black as the first may be.

    Raises:
        StorageError: the video is gone or cannot be read.
    """
    from media_agent.video.codec import iterate_images
    from media_agent.video.images import as_webp, shrink
    from media_agent.video.probe import probe

    target = _beside(video, folder, "-thumbnail.webp")
    if _is_made(target, video):
        return target
    source = _check(job, video)
    middle = probe(source).frames // 2
    chosen = None
    for number, frame in enumerate(iterate_images(source)):
        chosen = frame
        if number == middle:
            break
    if chosen is None:
        raise StorageError(f"video {job.id} has no frame")
    factor = min(1.0, _LONGEST_SIDE / max(chosen.width, chosen.height))
    width, height = (max(1, round(side * factor)) for side in (chosen.width, chosen.height))
    _write(target, as_webp(shrink(chosen, width, height)))
    return target


def make_sheet(job: VideoJob, video: Artifact, folder: Path) -> Path:
    """Return frames of a video side by side as JPEG, over each stretch its prompt.

    Raises:
        StorageError: the video is gone or cannot be read.
    """
    from media_agent.ingest.source import open_medium
    from media_agent.tools.files import find_sheet
    from media_agent.video.images import as_jpeg

    target = _beside(video, folder, ".jpg")
    if _is_made(target, video):
        return target
    _check(job, video)
    with open_medium(find_sheet(job, video, folder), "image") as medium:
        _write(target, as_jpeg(next(iter(medium.decode()))))
    return target


def _beside(video: Artifact, folder: Path, ending: str) -> Path:
    """Return the place of an image of a video, beside its contact sheet."""
    return folder / f"{sheet_name(video).removesuffix('.png')}{ending}"


def _is_made(target: Path, video: Artifact) -> bool:
    """Return whether an image was made before, of a video that is still there."""
    return video.path is not None and target.exists() and Path(video.path).is_file()


def _check(job: VideoJob, video: Artifact) -> Path:
    if video.path is None or not is_there(video):
        raise StorageError(f"the file of video {job.id} is gone or was replaced")
    return Path(video.path)


def _write(target: Path, content: bytes) -> None:
    with storage_errors(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        with write_aside(target, durably=False) as aside:
            aside.write_bytes(content)
