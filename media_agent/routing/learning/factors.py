"""What may matter for how a submission ends, besides its offer; which of that does, by its gain.

The idea is that of data-driven flow scheduling for a multihoming video CDN (arXiv:1607.01261):
measure outcomes, and let information gain pick the factors that matter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

_HOURS = 3  # that are one value of the factor "hour"
_SIZES = (360, 540, 720, 1080)  # pixels of the shorter side, the ends of the classes
_DURATIONS = (3.0, 6.0, 9.0, 15.0, 30.0)  # seconds, too
_LATENCY_ENDS = (-0.3, 0.0, 0.3)  # natural logarithms, between classes of latency
_CERTAIN = 2.0  # times what chance alone gains

Counts = dict[str, list[float]]
"""How often each class was, by the value of a factor."""


def factors_of(at: float, *, video_seconds: float | None, short_side: int | None) -> dict[str, str]:
    """Return the value of each factor; `at` is the time it begins, in seconds since the epoch."""
    hour = int(at // 3600 % 24) // _HOURS * _HOURS
    is_weekend = int(at // 86400 + 3) % 7 > 4
    return _name_values(hour, is_weekend, video_seconds, short_side)


@lru_cache(maxsize=4096)
def _name_values(
    hour: int, is_weekend: bool, video_seconds: float | None, short_side: int | None
) -> dict[str, str]:
    found = {
        "hour": f"hour={hour:02d}-{hour + _HOURS:02d}",
        "weekday": "weekday=weekend" if is_weekend else "weekday=working day",
    }
    if short_side is not None:
        found["size"] = f"size={_class_of(short_side, _SIZES, 'p')}"
    if video_seconds is not None:
        found["duration"] = f"duration={_class_of(video_seconds, _DURATIONS, ' s')}"
    return found


def latency_class(deviation: float) -> int:
    """Return the class of a latency: the logarithm of it over the usual one of its offer."""
    return sum(deviation > end for end in _LATENCY_ENDS)


def _class_of(value: float, ends: tuple[float, ...], unit: str) -> str:
    above = [end for end in ends if value > end]
    if len(above) == len(ends):
        return f"over {ends[-1]:g}{unit}"
    return f"up to {ends[len(above)]:g}{unit}"


@dataclass(slots=True)
class Contingency:
    """How often each class came with each value of a factor, for each offer; old ones fade."""

    classes: int
    counts: dict[str, Counts] = field(default_factory=dict)

    def add(self, offer: str, value: str, found: int, weight: float) -> None:
        """Count one outcome of a class; a later one has a higher weight."""
        values = self.counts.setdefault(offer, {})
        values.setdefault(value, [0.0] * self.classes)[found] += weight

    def gain(self, unit: float = 1.0) -> float:
        """Return how many bits the factor tells of the class, given the offer; 0: chance does too.

        `unit` is the weight that one outcome has now.
        """
        total, gained, by_chance = 0.0, 0.0, 0.0
        for values in self.counts.values():
            sums = [sum(column) for column in zip(*values.values(), strict=True)]
            weight = sum(sums)
            inner = sum(sum(row) * _entropy(row) for row in values.values())
            gained += weight * _entropy(sums) - inner
            cells = (len(values) - 1) * (sum(each > 0 for each in sums) - 1)
            by_chance += unit * cells / (2 * math.log(2))
            total += weight
        if total == 0 or gained < _CERTAIN * by_chance:
            return 0.0
        return (gained - by_chance) / total

    def scale(self, by: float) -> None:
        """Multiply all counts."""
        for values in self.counts.values():
            for row in values.values():
                row[:] = [each * by for each in row]


def rank(gains: Mapping[str, float], most: int) -> tuple[str, ...]:
    """Return the factors that tell anything, the one that tells most first."""
    telling = [name for name, gain in gains.items() if gain > 0]
    return tuple(sorted(telling, key=lambda name: (-gains[name], name))[:most])


def _entropy(counts: list[float]) -> float:
    total = sum(counts)
    if total <= 0:
        return 0.0
    return -sum(each / total * math.log2(each / total) for each in counts if each > 0)
