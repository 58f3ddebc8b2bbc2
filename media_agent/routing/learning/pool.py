"""How long offers take altogether: what is expected of one whose own time nobody knows.

Each offer counts once, however often it was used: the question is what a further one takes. Fewer
outcomes, and older ones, count less.
"""

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass

from media_agent.routing.learning.latency import DAY
from media_agent.routing.learning.offer import Offer

_FEW = 3.0  # outcomes with which an offer counts half
_VARIANCE = 0.5  # between offers, before much is known: most are within twice the median and half
_VARIANCE_PRIOR = 3.0  # offers that this counts as
_MOST_VARIANCE = 1.0  # of one offer, as which those further away count


@dataclass(frozen=True, slots=True)
class Pool:
    """What is usual for all offers, in natural logarithms of seconds per second of video."""

    level: float
    """The median of the usual levels of the offers."""
    variance: float
    """Between the offers."""
    tail: float
    """Mean over median of the latency of one offer."""

    def mean(self, video_seconds: float) -> float:
        """Return the expected seconds: above the median, as a further offer may be a slow one."""
        return math.exp(self.level + self.variance / 2) * self.tail * video_seconds


def build_pool(
    offers: Mapping[str, Offer], now: float, half_life_days: float, apart: Container[str] = ()
) -> Pool | None:
    """Return what the offers have in common, without those `apart`; None: no time is known.

    `now` is in seconds since the epoch. An offer counts half after each half-life without a video.
    """
    found = []
    for name, offer in offers.items():
        latency = offer.latency
        if latency is not None and name not in apart:
            days = max(0.0, now - latency.at) / DAY
            age = min(days / half_life_days, 500.0)
            weight = latency.seen / (latency.seen + _FEW) * 0.5**age
            found.append((latency.usual, weight, latency.tail))
    whole = sum(weight for _, weight, _ in found)
    if not whole:
        return None
    level = _find_median([(usual, weight) for usual, weight, _ in found], whole)
    spread = sum(weight * min((usual - level) ** 2, _MOST_VARIANCE) for usual, weight, _ in found)
    variance = (_VARIANCE_PRIOR * _VARIANCE + spread) / (_VARIANCE_PRIOR + whole)
    tail = sum(weight * each for _, weight, each in found) / whole
    return Pool(level, variance, tail)


def _find_median(pairs: list[tuple[float, float]], whole: float) -> float:
    """Return the weighted median, between the two values next to it: of two it is their mean."""
    below, previous = 0.0, (0.0, 0.0)
    for number, (value, weight) in enumerate(sorted(pairs)):
        at = below + weight / 2
        if at >= whole / 2:
            if number == 0:
                return value
            before, begin = previous
            return before + (value - before) * (whole / 2 - begin) / (at - begin)
        below, previous = below + weight, (value, at)
    return previous[0]
