"""How the scores of several videos of one request lie: smallest, middle and largest, of each."""

from collections.abc import Iterator, Sequence
from statistics import median

from media_agent_schemas.quality import QualityReport, ScoreSpread


def measure_spread(reports: Sequence[QualityReport]) -> tuple[ScoreSpread, ...]:
    """Return the spread of each score that two videos or more have."""
    scores: dict[str, list[float]] = {}
    for report in reports:
        for name, value in _list_scores(report):
            scores.setdefault(name, []).append(value)
    return tuple(
        ScoreSpread(
            score=name,
            minimum=min(values),
            median=round(median(values), 4),
            maximum=max(values),
            videos=len(values),
        )
        for name, values in scores.items()
        if len(values) > 1
    )


def _list_scores(report: QualityReport) -> Iterator[tuple[str, float]]:
    yield "findings", len(report.findings)
    yield from ((name, getattr(report, name)) for name in _OWN)
    for part, names in _PARTS.items():
        measured = getattr(report, part)
        if measured is None:
            continue
        for name in names:
            value = getattr(measured, name)
            if value is not None:
                yield f"{part}.{name}", value


_OWN = ("brightness", "motion", "repeated", "flicker")
_PARTS = {
    "drift": ("colour", "sharpness", "contrast", "motion", "subject"),
    "boundaries": ("score", "worst_score"),
    "loudness": ("integrated_lufs", "peak_dbfs"),
}
