"""From the numbers of all frames to scores: how much a video jumps, stands still, flickers, drifts.

Each is a measure of this project. `benchmarks/quality.py` says how well they tell good clips from
spoilt ones.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from media_agent.provenance.quality.signals import PARTS, Numbers, Signals

STILL_CHANGE, STILL_PEAK = 0.1, 0.6
"""Levels: of two frames that differ by less than both, one repeats the other."""
_BESIDE = 8  # pairs of frames on each side of a cut
_FEWEST_BESIDE = 4
_PLAIN_CUT = 50.0  # levels: a change that is a cut whatever is beside it
_LEAST_CHANGE = 0.3  # level; keeps the score of a cut in a still video finite
_WEIGHTS = np.array([1.0, 2.0, 2.0, 2.0])  # light, red and blue against it, colourfulness
_TOTAL_WEIGHT = 0.1  # of what moved in all, beside what moved steadily
_LEAST_MOTION = 0.1  # level


def score_cuts(wide_change: Numbers) -> Numbers:
    """Return for each frame its change over the mean of the two largest ones beside it.

    Up to eight pairs of frames on each side are looked at. About 1 or less is a video that moves
    on; a hard cut is far above. What leaps in a small part of the image only is none. A fiftieth of
    the change itself is added: beside fast motion a cut stands out less. Where fewer than four
    pairs are beside it, the score is 0.
    """
    scores = np.zeros(len(wide_change), np.float32)
    if len(wide_change) < _FEWEST_BESIDE + 2:
        return scores
    pairs = np.pad(wide_change[1:], _BESIDE, constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(pairs, 2 * _BESIDE + 1)
    beside = np.delete(windows, _BESIDE, axis=1)
    largest = np.partition(beside, -2, axis=1)[:, -2:].mean(axis=1)
    found = (wide_change[1:] + _LEAST_CHANGE) / (largest + _LEAST_CHANGE) + wide_change[
        1:
    ] / _PLAIN_CUT
    scores[1:] = np.where((beside >= 0).sum(axis=1) >= _FEWEST_BESIDE, found, 0)
    return scores


def find_repeated(signals: Signals) -> NDArray[np.bool_]:
    """Return for each frame whether it shows the same as the one before."""
    repeated = (signals.change < STILL_CHANGE) & (signals.peak_change < STILL_PEAK)
    repeated[:1] = False
    return np.asarray(repeated)


def list_runs(held: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield first frame and frame after the last of each stretch that is held."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], held, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def score_flicker(brightness: Numbers) -> float:
    """Return the median step of brightness away from the mean of the frames beside it, in levels.

    A light that gets brighter evenly has 0, and so has one that changes now and then.
    """
    if len(brightness) < 3:
        return 0.0
    return float(np.median(np.abs(brightness[1:-1] - (brightness[:-2] + brightness[2:]) / 2)))


def score_colour_drift(parts: NDArray[np.float64]) -> float:
    """Return how far light or colour of most of the image moved steadily, in levels.

    Of each fifth of the video and the next one the median change of all cells is taken, for light,
    red, blue and colourfulness. The smallest of the four steps in the direction of them all counts
    four times, and a tenth of the whole way beside it: what comes into the image and leaves it
    moves a lot, but not steadily.
    """
    if len(parts) < PARTS:
        return 0.0
    steps = np.median(np.diff(parts, axis=0), axis=1)
    way = np.median(parts[-1] - parts[0], axis=0)
    steady = np.maximum((steps * np.sign(way)).min(axis=0), 0) * len(steps)
    return float(((steady + _TOTAL_WEIGHT * np.abs(way)) * _WEIGHTS).max())


def mean_of_parts(values: Numbers, least: float) -> NDArray[np.float64]:
    """Return the mean of each fifth, and at least `least`."""
    return np.array([max(float(part.mean()), least) for part in np.array_split(values, PARTS)])


def score_steady_ratio(values: Numbers, *, least: float) -> float:
    """Return by what factor a number grows or shrinks steadily over the fifths of a video.

    1: it does not, or goes up and down; 2: it doubles, or becomes half.
    """
    steps = np.diff(np.log(mean_of_parts(values, least)))
    return math.exp(len(steps) * max(0.0, float(steps.min()), -float(steps.max())))


def ratio_of_ends(values: Numbers, *, least: float) -> float:
    """Return the mean of the last fifth over that of the first."""
    means = mean_of_parts(values, least)
    return float(means[-1] / means[0])


def score_boundaries(change: Numbers, boundaries: Sequence[int]) -> tuple[Numbers, float] | None:
    """Return the change at each boundary and their median, over the median change elsewhere."""
    if not len(change):
        return None
    there = np.array([each for each in boundaries if 0 < each < len(change)], np.int64)
    elsewhere = np.delete(change, np.concatenate([[0], there]))
    if not len(there) or not len(elsewhere):
        return None
    usual = float(np.median(elsewhere)) + _LEAST_MOTION
    scores = (change[there] + _LEAST_MOTION) / usual
    return scores, float(np.median(scores))
