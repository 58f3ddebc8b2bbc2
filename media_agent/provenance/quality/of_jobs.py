"""The quality report of what a job delivered, for its record."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from media_agent.errors import MediaAgentError
from media_agent.provenance.seams import find_boundaries
from media_agent_schemas.events import JobEvent
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.quality import QualityReport

MOST_FRAMES = 15_000
"""Of a video that is measured when it is delivered: about ten minutes of it."""
_LOGGER = logging.getLogger(__name__)


def measure_quality(
    job: VideoJob, artifacts: Sequence[Artifact], events: Iterable[JobEvent]
) -> QualityReport | None:
    """Measure the first video of a job; None: there is none, it is long, or cannot be measured.

    What goes wrong here says nothing about the video, and fails no job. Without numpy (extra
    `local`) nothing is measured.
    """
    video = artifacts[0] if artifacts else None
    if video is None or video.path is None or video.metadata is None:
        return None
    if video.metadata.frames > MOST_FRAMES:
        return None
    try:
        from media_agent.provenance.quality.report import inspect_video

        return inspect_video(
            Path(video.path),
            metadata=video.metadata,
            boundaries=find_boundaries(job, video, events),
        ).report
    except (MediaAgentError, OSError, ImportError, ValueError) as error:
        _LOGGER.debug("the video of job %s was not measured: %s", job.id, error)
        return None
