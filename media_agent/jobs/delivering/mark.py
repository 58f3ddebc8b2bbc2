"""The marks of a delivered video that was encoded elsewhere, and where those of any video begin."""

import logging
from pathlib import Path

from media_agent.provenance.marking import build_mark, describe_marking
from media_agent.storage.files import make_folder
from media_agent_schemas.capabilities import FALLBACK_FPS
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact, Marking

_LOGGER = logging.getLogger(__name__)


def wants_marks(video: Artifact, job: VideoJob) -> bool:
    """Return whether a video is to be encoded again, to get what its frames lack."""
    request = job.plan.request
    is_wanted = request.watermark == "all" or request.visible_label is not None
    return is_wanted and video.marking is None and video.path is not None


def mark_video(
    video: Artifact, job: VideoJob, target: Path, *, is_whole: bool
) -> tuple[Artifact, list[str]]:
    """Write a video with its marks to `target`, in its own size and rate, and say so.

    A video without room for them is returned as it came. So is what cannot be encoded, with a
    warning that says why.
    """
    from media_agent.ingest.completeness import check_whole
    from media_agent.ingest.mark import encode_with_mark
    from media_agent.video.probe import probe

    request, path = job.plan.request, Path(str(video.path))
    mark = build_mark(request, job.id)
    if mark is None:
        return video, []
    try:
        marking = describe_marking(request, job.id, probe(path))
        if marking is None:
            return video, []
        if is_whole:
            check_whole(path)
        make_folder(target.parent)
        encode_with_mark(path, target, mark)
    except Exception as error:  # whatever broke here, what was made is not to be lost by it
        _LOGGER.debug("the video of job %s was not marked", job.id, exc_info=True)
        return video, [f"the video has no watermark and no label: {error}"]
    said = "the video was encoded again for its watermark or label"
    return video.model_copy(update={"path": str(target), "marking": marking}), [said]


def place_marking(video: Artifact, job: VideoJob) -> Marking | None:
    """Return the marking of a video that is delivered, with where it begins in it."""
    if video.marking is None:
        return None
    origin = job.plan.origin
    kept = 0 if origin is None else origin.kept_frames
    start = kept / (job.plan.request.fps or FALLBACK_FPS)
    if video.joined is not None:
        start += video.joined.seconds
    return video.marking.model_copy(update={"start": start})
