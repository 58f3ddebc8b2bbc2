"""What a person should look at: scores above their limits, with the time and in words.

The limits were set on real clips with `benchmarks/quality.py`, and tried on others.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from media_agent.provenance.quality import scores
from media_agent.provenance.quality.signals import PARTS, Signals
from media_agent_schemas.quality import Finding, FindingKind

Limits = Mapping[FindingKind, float]

DEFAULTS: Limits = {
    FindingKind.BLACK: 0.2,  # seconds
    FindingKind.BLANK: 0.2,  # seconds
    FindingKind.FROZEN: 0.3,  # seconds
    FindingKind.REPEATED: 0.1,  # of the frames
    FindingKind.CUT: 2.7,  # about so many times the largest changes beside it
    FindingKind.FLICKER: 2.0,  # levels
    FindingKind.COLOUR_DRIFT: 6.0,  # levels
    FindingKind.SHARPNESS_DRIFT: 2.0,  # times
    FindingKind.CONTRAST_DRIFT: 2.0,
    FindingKind.MOTION_DRIFT: 2.0,
    FindingKind.SUBJECT_DRIFT: -2.0,  # likeness: never told, unless the settings say a limit
    FindingKind.SILENT: -60.0,  # decibels of full scale
    FindingKind.CLIPPED: 0.0,
}
_FROZEN_FRAMES = 3  # at least: of a video of few frames a second
_DARK, _FLAT = 12.0, 2.0  # levels of brightness, and of its standard deviation
_LEAST_MOTION, _LEAST_CONTRAST, _LEAST_SHARPNESS = 0.5, 5.0, 0.01
_FEWEST_FRAMES = 20  # of a video whose drift is told
_MOST = 10  # of a kind


def list_findings(
    signals: Signals, fps: float, boundaries: Sequence[int] = (), limits: Limits | None = None
) -> list[Finding]:
    """Return what is found, in the order of the kinds; `boundaries` are seams that are known.

    `limits` take the place of the usual ones.
    """
    length = len(signals) / fps
    limits = {**DEFAULTS, **(limits or {})}
    return [
        *_find_empty(signals, fps, limits),
        *islice(_find_frozen(signals, fps, limits[FindingKind.FROZEN]), _MOST),
        *_find_repeated(signals, fps, limits[FindingKind.REPEATED], limits[FindingKind.FROZEN]),
        *islice(_find_cuts(signals, fps, set(boundaries), limits[FindingKind.CUT]), _MOST),
        *_find_flicker(signals, length, limits[FindingKind.FLICKER]),
        *_find_drift(signals, length, limits),
        *_find_sound(signals, length, limits),
    ]


def _find_empty(signals: Signals, fps: float, limits: Limits) -> Iterator[Finding]:
    flat = signals.contrast < _FLAT
    dark = flat & (signals.brightness < _DARK)
    for kind, held, name in (
        (FindingKind.BLACK, dark, "black"),
        (FindingKind.BLANK, flat & ~dark, "of one colour, with nothing in it"),
    ):
        runs, limit = scores.list_runs(held), limits[kind]
        long = ((start, end) for start, end in runs if end - start >= limit * fps)
        for start, end in islice(long, _MOST):
            seconds = (end - start) / fps
            yield Finding(
                kind=kind,
                start=start / fps,
                end=end / fps,
                value=round(seconds, 3),
                limit=limit,
                message=f"the image is {name} for {seconds:.2f} s",
            )


def _find_frozen(signals: Signals, fps: float, limit: float) -> Iterator[Finding]:
    for start, end in scores.list_runs(scores.find_repeated(signals)):
        seconds = (end - start) / fps
        if seconds >= limit and end - start >= _FROZEN_FRAMES:
            yield Finding(
                kind=FindingKind.FROZEN,
                start=(start - 1) / fps,
                end=end / fps,
                value=round(seconds, 3),
                limit=limit,
                message=f"the image stands still for {(end - start + 1) / fps:.2f} s",
            )


def _find_repeated(signals: Signals, fps: float, limit: float, frozen: float) -> Iterator[Finding]:
    share = share_repeated(signals, fps, frozen)
    if share >= limit:
        yield Finding(
            kind=FindingKind.REPEATED,
            start=0,
            end=len(signals) / fps,
            value=round(share, 3),
            limit=limit,
            message=f"{share:.0%} of the frames repeat the one before",
        )


def share_repeated(
    signals: Signals, fps: float, frozen: float = DEFAULTS[FindingKind.FROZEN]
) -> float:
    """Return the share of frames that repeat the one before, apart from stretches so long."""
    runs = scores.list_runs(scores.find_repeated(signals))
    short = sum(
        end - start
        for start, end in runs
        if (end - start) / fps < frozen or end - start < _FROZEN_FRAMES
    )
    return short / max(1, len(signals) - 1)


def _find_cuts(
    signals: Signals, fps: float, boundaries: set[int], limit: float
) -> Iterator[Finding]:
    found = scores.score_cuts(signals.wide_change)
    for frame in np.flatnonzero(found >= limit).tolist():
        where = ", where a chunk, window or segment begins" if frame in boundaries else ""
        yield Finding(
            kind=FindingKind.CUT,
            start=frame / fps,
            end=frame / fps,
            value=round(float(found[frame]), 2),
            limit=limit,
            message=f"the image jumps at frame {frame}{where}: {found[frame]:.1f} times what "
            "changes beside it",
        )


def _find_flicker(signals: Signals, length: float, limit: float) -> Iterator[Finding]:
    flicker = scores.score_flicker(signals.brightness)
    if flicker >= limit:
        yield Finding(
            kind=FindingKind.FLICKER,
            start=0,
            end=length,
            value=round(flicker, 2),
            limit=limit,
            message=f"brightness goes up and down by {flicker:.1f} levels from frame to frame",
        )


def _find_drift(signals: Signals, length: float, limits: Limits) -> Iterator[Finding]:
    if len(signals) < _FEWEST_FRAMES or len(signals.parts) < PARTS:
        return
    colour = scores.score_colour_drift(signals.parts)
    if colour >= limits[FindingKind.COLOUR_DRIFT]:
        yield Finding(
            kind=FindingKind.COLOUR_DRIFT,
            start=0,
            end=length,
            value=round(colour, 2),
            limit=limits[FindingKind.COLOUR_DRIFT],
            message=f"light or colour moves away steadily, by {colour:.1f} levels",
        )
    for kind, name, values, least in (
        (FindingKind.SHARPNESS_DRIFT, "sharpness", signals.sharpness, _LEAST_SHARPNESS),
        (FindingKind.CONTRAST_DRIFT, "contrast", signals.contrast, _LEAST_CONTRAST),
        (FindingKind.MOTION_DRIFT, "motion", signals.change[1:], _LEAST_MOTION),
    ):
        ratio = scores.score_steady_ratio(values, least=least)
        if ratio >= limits[kind]:
            ends = scores.ratio_of_ends(values, least=least)
            yield Finding(
                kind=kind,
                start=0,
                end=length,
                value=round(ratio, 2),
                limit=limits[kind],
                message=f"{name} {'grows' if ends > 1 else 'falls'} steadily, "
                f"to {ends:.2f} times that of the start",
            )

    likeness, least_alike = signals.subject_similarity, limits[FindingKind.SUBJECT_DRIFT]
    if likeness is not None and likeness < least_alike:
        yield Finding(
            kind=FindingKind.SUBJECT_DRIFT,
            start=0,
            end=length,
            value=likeness,
            limit=least_alike,
            message=f"what is shown at the end is alike to what is shown at the start by "
            f"{likeness:.2f} only",
        )


def _find_sound(signals: Signals, length: float, limits: Limits) -> Iterator[Finding]:
    sound = signals.loudness
    if sound is None:
        return
    if sound.peak_dbfs <= limits[FindingKind.SILENT]:
        yield Finding(
            kind=FindingKind.SILENT,
            start=0,
            end=length,
            value=sound.peak_dbfs,
            limit=limits[FindingKind.SILENT],
            message="there is a sound track, and nothing to be heard in it",
        )
    elif sound.peak_dbfs >= limits[FindingKind.CLIPPED]:
        yield Finding(
            kind=FindingKind.CLIPPED,
            start=0,
            end=length,
            value=sound.peak_dbfs,
            limit=limits[FindingKind.CLIPPED],
            message=f"the sound reaches {sound.peak_dbfs:+.1f} dB of full scale: it may be clipped",
        )
