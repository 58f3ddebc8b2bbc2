"""The quality report of a video: read once, scored, and what was found told."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from media_agent.provenance.quality import scores
from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent.provenance.quality.findings import Limits, list_findings, share_repeated
from media_agent.provenance.quality.signals import PARTS, Signals, read_signals
from media_agent.video.probe import probe
from media_agent_schemas.media import VideoMetadata
from media_agent_schemas.quality import Boundaries, Drift, QualityReport


@dataclass(frozen=True, slots=True)
class Inspection:
    """A report, and the numbers of all frames that it was made from."""

    report: QualityReport
    signals: Signals


def inspect_video(
    path: Path,
    *,
    metadata: VideoMetadata | None = None,
    boundaries: Sequence[int] = (),
    embedding: EmbeddingSpec | None = None,
    limits: Limits | None = None,
) -> Inspection:
    """Measure a video.

    Args:
        path: The video.
        metadata: What it holds, where that is known already.
        boundaries: The first frame of each chunk, window or segment after the first one.
        embedding: A better embedding of frames than that of this project.
        limits: From where on something is told, where it is not the usual limit of its kind.

    Raises:
        StorageError: the file is missing or not a readable video.
        PluginError: the embedding broke.
    """
    facts = probe(path) if metadata is None else metadata
    signals = read_signals(path, frames=facts.frames, embedding=embedding)
    name = None if embedding is None else embedding.name
    return Inspection(_build_report(signals, facts, boundaries, limits, name), signals)


def _build_report(
    signals: Signals,
    facts: VideoMetadata,
    boundaries: Sequence[int],
    limits: Limits | None,
    embedding: str | None,
) -> QualityReport:
    seconds = max(facts.duration, len(signals) / facts.fps)
    is_empty = len(signals) == 0
    return QualityReport(
        video=facts,
        bits_per_second=round(8 * (facts.size_bytes or 0) / seconds) if seconds else 0,
        brightness=0.0 if is_empty else round(float(signals.brightness.mean()), 1),
        motion=0.0 if len(signals) < 2 else round(float(signals.change[1:].mean()), 2),
        repeated=round(share_repeated(signals, facts.fps), 3),
        flicker=round(scores.score_flicker(signals.brightness), 2),
        drift=_measure_drift(signals, embedding),
        boundaries=_score_boundaries(signals, facts.fps, boundaries),
        loudness=signals.loudness,
        findings=tuple(list_findings(signals, facts.fps, boundaries, limits)),
    )


def _measure_drift(signals: Signals, embedding: str | None) -> Drift | None:
    if len(signals.parts) < PARTS or len(signals) <= PARTS:
        return None
    return Drift(
        colour=round(scores.score_colour_drift(signals.parts), 2),
        sharpness=round(scores.ratio_of_ends(signals.sharpness, least=0.01), 2),
        contrast=round(scores.ratio_of_ends(signals.contrast, least=0.5), 2),
        motion=round(scores.ratio_of_ends(signals.change[1:], least=0.1), 2),
        subject=signals.subject_similarity,
        embedding=None if signals.subject_similarity is None else embedding,
    )


def _score_boundaries(signals: Signals, fps: float, boundaries: Sequence[int]) -> Boundaries | None:
    found = scores.score_boundaries(signals.change, boundaries)
    if found is None:
        return None
    each, median = found
    frames = [frame for frame in boundaries if 0 < frame < len(signals)]
    worst = int(each.argmax())
    return Boundaries(
        count=len(frames),
        score=round(median, 2),
        worst_frame=frames[worst],
        worst_seconds=round(frames[worst] / fps, 3),
        worst_score=round(float(each[worst]), 2),
    )
