"""All that was learned of one offer."""

from collections import deque
from dataclasses import dataclass, field

from media_agent.routing.learning.health import Health
from media_agent.routing.learning.latency import Latency

REMEMBERED = 100  # newest outcomes that are told of in words
_PRICE_WEIGHT = 0.6  # of the newest bill, in what is expected of the next one


@dataclass(slots=True)
class Cell:
    """What one value of a factor changes, among the outcomes of one offer."""

    count: float = 0.0
    deviation: float = 0.0
    """Of latencies: a mean of logarithms."""
    tried: float = 0.0
    expected: float = 0.0
    """Failures that were to be expected without the factor."""
    failed: float = 0.0


@dataclass(slots=True)
class Newest:
    """One of the newest outcomes."""

    at: float
    is_done: bool
    seconds: float | None


@dataclass(slots=True)
class Offer:
    """What was learned of one offer, as far as anything was."""

    latency: Latency | None = None
    health: Health = field(default_factory=Health)
    cells: dict[str, Cell] = field(default_factory=dict)
    """By "factor=value"."""
    at: float = 0.0
    learned: int = 0
    """Outcomes of all offers up to the newest one of this."""
    price: float = 1.0
    """What is billed, over what the price list says."""
    priced_on: str | None = None
    """The date of the price list that this is about."""
    wasted: float = 0.0
    """What a failure costs, over what the price list says."""
    seconds_failing: float | None = None
    """After how long a failure is known."""
    newest: deque[Newest] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def learn_price(self, ratio: float, priced_on: str | None) -> None:
        """Take a bill in, over what was quoted by a price list of some date."""
        is_new = priced_on != self.priced_on or not self.newest
        weight = 1.0 if is_new else _PRICE_WEIGHT
        self.price += weight * (ratio - self.price)
        self.priced_on = priced_on

    def price_of(self, priced_on: str | None) -> float:
        """Return what a price of a list of some date is to be multiplied by."""
        return self.price if priced_on == self.priced_on else 1.0
