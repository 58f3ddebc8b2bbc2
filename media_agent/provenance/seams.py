"""How much a video shows where its segments or windows meet, measured on its decoded frames.

The score of a seam is the change from the frame before it to the frame after it, over the mean
change within the frame pairs next to it, up to eight on each side. The change of a pair is the mean
difference of brightness, in 8-bit levels, of both frames scaled down to 64x36 by averaging. About 1
is no more than elsewhere; a hard cut is far above, and a video that stands still at a seam below.

It is a measure of this project, the same idea as the pixel score of the seams of magi/tiny. It sees
jumps of brightness and motion, not changes of what is shown.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from media_agent.errors import MediaAgentError
from media_agent_schemas.events import ChunkReady, JobEvent
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.plan import Method
from media_agent_schemas.records import SeamRecord

_LOGGER = logging.getLogger(__name__)
_SIZE = 64, 36
_PAIRS = 8  # on each side
_LEAST_CHANGE = 0.1  # 8-bit levels; keeps the score of a still video finite, and no eye sees it


def measure_seams(
    job: VideoJob, artifacts: Sequence[Artifact], events: Iterable[JobEvent]
) -> tuple[SeamRecord, ...]:
    """Return the seams of the video that a job delivered; none where it was made in one piece."""
    if not artifacts or artifacts[0].path is None:
        return ()
    try:
        cuts = find_seams(job, artifacts[0], events)
        scores = score_seams(Path(artifacts[0].path), cuts) if cuts else []
    except (MediaAgentError, OSError) as error:
        _LOGGER.debug("the seams of job %s were not measured: %s", job.id, error)
        return ()
    fps = job.plan.request.fps if artifacts[0].metadata is None else artifacts[0].metadata.fps
    return tuple(
        SeamRecord(frame=cut, seconds=cut / (fps or 1.0), score=score)
        for cut, score in zip(cuts, scores, strict=True)
    )


def find_seams(job: VideoJob, video: Artifact, events: Iterable[JobEvent]) -> list[int]:
    """Return the first frame after each seam: of the source joined in front, segments, windows."""
    if job.plan.segments or job.plan.windows > 1:
        return find_boundaries(job, video, events)
    return find_boundaries(job, video, ())


def find_boundaries(job: VideoJob, video: Artifact, events: Iterable[JobEvent]) -> list[int]:
    """Return the first frame after each seam, and of each chunk of an engine without seams."""
    facts, joined = video.metadata, video.joined
    if facts is None:
        return []
    start = 0 if joined is None else round(joined.seconds * facts.fps)
    cuts = [start] if 0 < start < facts.frames else []
    chunks = (each.event for each in events)
    lengths = {each.index: each.frames for each in chunks if isinstance(each, ChunkReady)}
    if start + sum(lengths.values()) != facts.frames:  # resampled, or cut by whoever made it
        return cuts
    is_chain = job.plan.method is Method.CHAIN
    shared = 1 if is_chain else 0  # it is the earlier segment that gives it up
    for index in sorted(lengths)[:-1]:
        start += lengths[index]
        cuts.append(start - shared)
    return cuts


def score_seams(path: Path, cuts: Sequence[int]) -> list[float | None]:
    """Return the score of the seam before each of these frames; None: nothing is next to it.

    Raises:
        StorageError: the file is missing or not a readable video.
    """
    near = {pair for cut in cuts for pair in range(cut - _PAIRS, cut + _PAIRS + 1)}
    changes = dict(_measure_changes(path, near))
    return [_score(changes, cut, cuts) for cut in cuts]


def _score(changes: dict[int, float], cut: int, cuts: Sequence[int]) -> float | None:
    beside = set(range(cut - _PAIRS, cut + _PAIRS + 1)) - set(cuts)
    known = [changes[pair] for pair in beside if pair in changes]
    if cut not in changes or not known:
        return None
    inside = sum(known) / len(known)
    return round((changes[cut] + _LEAST_CHANGE) / (inside + _LEAST_CHANGE), 3)


def _measure_changes(path: Path, pairs: set[int]) -> Iterator[tuple[int, float]]:
    """Yield the change from the frame before each of these frames; one frame is held at a time."""
    from media_agent.video.codec import iterate_images

    before: bytes | None = None
    for index, image in enumerate(iterate_images(path)):
        if index not in pairs and index + 1 not in pairs:
            before = None
            continue
        small = image.reformat(*_SIZE, format="gray", interpolation="AREA", threads=1)
        plane = small.planes[0]
        rows = bytes(plane)
        width, height = _SIZE
        now = b"".join(
            rows[row * plane.line_size : row * plane.line_size + width] for row in range(height)
        )
        if before is not None and index in pairs:
            levels = sum(abs(a - b) for a, b in zip(before, now, strict=True))
            yield index, levels / len(now)
        before = now
