"""How long an offer takes: its usual level, where it stands now, and how its times spread.

All in natural logarithms of seconds per second of video. The level is a local level that returns to
the usual one (an Ornstein-Uhlenbeck process seen through noise, so a Kalman filter). One outlier
moves it little; some in a row on the same side are a change, and move it at once.
"""

import math
from dataclasses import dataclass

DAY = 86400.0
_RETURN = 8 * 3600.0  # seconds in which a deviation from the usual level falls to 1/e
_SPREADS = (0.08, 0.4)  # standard deviations of the level around the usual one: calm, and not
_FADING = 0.15  # of the usual level in a day in which nothing was heard, likewise
_LONGEST = (300.0, 60.0)  # outcomes at most that the usual level is the mean of
_NOISE = 0.09  # variance of one outcome, before much is known
_NOISE_PRIOR = 12.0  # outcomes that this counts as
_TAIL = 1.08  # mean over median of a latency, before much is known
_TAIL_PRIOR = 100.0
_TAIL_MOST = 7.0  # times the median, as which longer ones count: one says little of the mean
_CLIP = 2.5  # standard deviations, beyond which an outcome counts as one there
_ODD = 1.5  # standard deviations that make an outcome odd
_MOST_ODD = 3.5  # as which odder ones count
_CHANGED = 6.5  # standard deviations, of odd outcomes in a row on the same side together
_TRUST_MEMORY = 0.98  # what is left of the evidence for a level after each further outcome


@dataclass(slots=True)
class Level:
    """A level that returns to its usual value, seen through noise."""

    spread: float
    longest: float
    usual: float
    level: float
    variance: float = 0.25
    count: float = 1.0
    """Outcomes that the usual level is the mean of; a guess counts as one."""
    evidence: float = 0.0
    """The logarithm of how likely it made the outcomes of late."""

    def expect(self, idle: float) -> tuple[float, float]:
        """Return the level after some seconds without an outcome, and the variance of that."""
        kept = math.exp(-idle / _RETURN)
        level = self.usual + (self.level - self.usual) * kept
        around = kept**2 * self.variance + (1 - kept**2) * self.spread**2
        return level, around + _FADING**2 * idle / DAY

    def learn(self, value: float, idle: float, noise: float, *, is_change: bool) -> None:
        """Move towards an outcome."""
        level, variance = self.expect(idle)
        deviation = value - level
        if is_change:
            variance = max(variance, deviation**2 / 2)
        total = variance + noise
        clipped = max(-_CLIP, min(_CLIP, deviation / math.sqrt(total))) * math.sqrt(total)
        self.evidence = _TRUST_MEMORY * self.evidence
        self.evidence -= (clipped**2 / total + math.log(total)) / 2
        gain = variance / total
        self.level, self.variance = level + gain * clipped, (1 - gain) * variance
        self.count = min(self.count + 1, self.longest)
        self.usual += (self.level - self.usual) / self.count


@dataclass(slots=True)
class Latency:
    """The latency of one offer, learned outcome by outcome."""

    levels: list[Level]
    noise: float = _NOISE
    tail: float = _TAIL
    seen: int = 0
    odd: float = 0.0
    """How odd the last outcomes were together: positive above what was expected."""
    at: float = 0.0

    @classmethod
    def begin(cls, guess: float, at: float) -> "Latency":
        """Return what there is before the first outcome."""
        pairs = zip(_SPREADS, _LONGEST, strict=True)
        return cls([Level(spread, longest, guess, guess) for spread, longest in pairs], at=at)

    @property
    def usual(self) -> float:
        """Return the usual level: that of the calm one, which no hour of the day moves."""
        return self.levels[0].usual

    def expect(self, now: float) -> tuple[float, float]:
        """Return the level at a time, and the variance of that."""
        idle = max(0.0, now - self.at)
        most = max(each.evidence for each in self.levels)
        weights = [math.exp(each.evidence - most) for each in self.levels]
        found = [each.expect(idle) for each in self.levels]
        whole = sum(weights)
        pairs = [*zip(weights, found, strict=True)]
        level = sum(weight * mean for weight, (mean, _) in pairs) / whole
        variance = sum(weight * (var + (mean - level) ** 2) for weight, (mean, var) in pairs)
        return level, variance / whole

    def learn(self, value: float, now: float) -> None:
        """Take an outcome in."""
        level, variance = self.expect(now)
        self._notice((value - level) / math.sqrt(variance + self.noise))
        idle, is_change = max(0.0, now - self.at), abs(self.odd) >= _CHANGED
        for each in self.levels:
            each.learn(value, idle, self.noise, is_change=is_change and each is self.levels[-1])
        self.at = max(self.at, now)
        self._spread(value - self.expect(now)[0])

    def _notice(self, oddness: float) -> None:
        if abs(oddness) < _ODD:
            self.odd = 0.0
            return
        oddness = max(-_MOST_ODD, min(_MOST_ODD, oddness))
        self.odd = oddness if self.odd * oddness < 0 else self.odd + oddness

    def _spread(self, deviation: float) -> None:
        self.seen += 1
        most = _CLIP * math.sqrt(self.noise)
        clipped = max(-most, min(most, deviation))
        self.noise += (clipped**2 - self.noise) / (_NOISE_PRIOR + min(self.seen, 300))
        self.noise = max(self.noise, 1e-3)
        ratio = min(math.exp(min(deviation, 5.0)), _TAIL_MOST)
        self.tail += (ratio - self.tail) / (_TAIL_PRIOR + min(self.seen, 2000))
