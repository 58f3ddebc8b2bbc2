"""Whether an offer delivers: how often it fails when all is well, and whether it is down now.

A beta distribution for the first, and for the second the belief of a Markov chain with two states:
some failures in a row make an outage likely, and time without any word of it makes it less so.
"""

import math
from dataclasses import dataclass

_OUTAGE = 1.5 * 3600.0  # seconds that one lasts on average
_BETWEEN = 4 * 86400.0  # seconds between two of them
_FAILS_DOWN = 0.93  # share of submissions that fail during one
_PRIOR = 20.0  # outcomes that what is usual for all offers counts as
_USUAL_DOWN = _OUTAGE / (_OUTAGE + _BETWEEN)


@dataclass(slots=True)
class Health:
    """The failures of one offer, learned outcome by outcome."""

    done: float = 0.0
    failed: float = 0.0
    """Outcomes while it was up; old ones fade."""
    down: float = _USUAL_DOWN
    at: float = 0.0

    def expect(self, now: float) -> float:
        """Return how likely it is down at a time."""
        kept = math.exp(-max(0.0, now - self.at) * (1 / _OUTAGE + 1 / _BETWEEN))
        return _USUAL_DOWN + (self.down - _USUAL_DOWN) * kept

    def fails_up(self, usual: float) -> float:
        """Return which share fails while it is up; `usual` is that of all offers."""
        return (_PRIOR * usual + self.failed) / (_PRIOR + self.done + self.failed)

    def fails(self, now: float, usual: float, *, times: float = 1.0) -> float:
        """Return how likely a submission fails; a factor makes that so many `times` as likely."""
        down, up = self.expect(now), min(0.9, self.fails_up(usual) * times)
        return down * _FAILS_DOWN + (1 - down) * up

    def deviation(self, usual: float) -> float:
        """Return the standard deviation of the share that fails while it is up."""
        share = self.fails_up(usual)
        return math.sqrt(share * (1 - share) / (_PRIOR + self.done + self.failed + 1))

    def learn(self, is_done: bool, now: float, usual: float, fading: float) -> None:
        """Take an outcome in; `fading` is what is left of older ones."""
        down, up = self.expect(now), self.fails_up(usual)
        if_down = 1 - _FAILS_DOWN if is_done else _FAILS_DOWN
        if_up = 1 - up if is_done else up
        self.down = down * if_down / (down * if_down + (1 - down) * if_up)
        self.done, self.failed = self.done * fading, self.failed * fading
        if is_done:
            self.done += 1 - self.down
        else:
            self.failed += 1 - self.down
        self.at = max(self.at, now)
