"""The quality report of what a job delivers, for its record."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from media_agent.errors import MediaAgentError, PluginError
from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent.provenance.quality.rules import QualityRules
from media_agent.provenance.seams import find_boundaries
from media_agent.video.probe import probe
from media_agent_schemas.events import JobEvent
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.quality import QualityReport

MOST_FRAMES = 15_000
"""Of a video that is measured when it is delivered: about ten minutes of it."""
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measured:
    """A report, and what is to be said about how it came about."""

    report: QualityReport
    warnings: tuple[str, ...] = ()


def measure_quality(
    job: VideoJob, video: Artifact, events: Iterable[JobEvent], rules: QualityRules
) -> Measured | None:
    """Measure a video of a job; None: it is not here, long, or cannot be measured.

    What goes wrong here says nothing about the video, and fails no job. Without numpy (extra
    `local`) nothing is measured. An embedding that breaks is a warning, and the simple one is used.
    """
    if video.path is None:
        return None
    path = Path(video.path)
    try:
        facts = probe(path)
        if facts.frames > MOST_FRAMES:
            return None
        from media_agent.provenance.quality.report import inspect_video

        boundaries = find_boundaries(
            job, video.model_copy(update={"metadata": facts}), tuple(events)
        )

        def inspect(embedding: EmbeddingSpec | None) -> QualityReport:
            return inspect_video(
                path,
                metadata=facts,
                boundaries=boundaries,
                embedding=embedding,
                limits=rules.limits,
            ).report

        try:
            return Measured(inspect(rules.find_embedding()))
        except PluginError as error:
            return Measured(inspect(None), (f"{error.message}; the simple embedding was used",))
    except (MediaAgentError, OSError, ImportError, ValueError) as error:
        _LOGGER.debug("the video of job %s was not measured: %s", job.id, error)
        return None
