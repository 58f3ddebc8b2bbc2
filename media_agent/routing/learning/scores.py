"""Which offer is best by what is expected of it, and which is worth a try."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from media_agent.routing.learning.expectation import Expectation
from media_agent_schemas.request import RoutingPreference

_MOST_FAILS = 0.98
_LEAST_EXTRA = 0.05  # of the cost of the best offer, that a try is counted as
_PROMPTNESS = 0.3  # share of requests that may be a try: several are often under way at once


@dataclass(frozen=True, slots=True)
class Cost:
    """What a video costs in the end, with all attempts that fail before; None: unknown."""

    usd: float | None
    seconds: float | None

    def total(self, waiting_usd_per_second: float) -> float:
        """Return the sum, where a second of waiting costs so much; infinite if unknown."""
        if self.usd is None or self.seconds is None:
            return math.inf
        return self.usd + waiting_usd_per_second * self.seconds

    def by(self, prefer: RoutingPreference, waiting_usd_per_second: float) -> float:
        """Return what decides under a preference."""
        match prefer:
            case RoutingPreference.FASTEST:
                return math.inf if self.seconds is None else self.seconds
            case RoutingPreference.CHEAPEST:
                return math.inf if self.usd is None else self.usd
            case _:
                return self.total(waiting_usd_per_second)


def cost_of(expected: Expectation) -> Cost:
    """Return what is to be expected until there is a video, if failures are tried again."""
    fails = min(expected.fails, _MOST_FAILS)
    again = fails / (1 - fails)  # attempts that fail, for each that does not
    seconds = usd = None
    if expected.seconds is not None:
        seconds = expected.seconds + again * expected.seconds_failing
    if expected.usd is not None:
        usd = expected.usd + again * (expected.usd_failing or 0.0)
    return Cost(usd, seconds)


@dataclass(frozen=True, slots=True)
class Exploration:
    """How much may be tried."""

    share: float = 0.0
    """What tries may add to the cost of all requests together."""
    max_usd: float = 0.0
    """The most that a video may cost which is a try."""


NONE = Exploration()
"""Nothing is tried."""


def find_worth_trying(
    expected: Mapping[str, Expectation],
    exploration: Exploration,
    prefer: RoutingPreference,
    waiting_usd_per_second: float,
    draw: random.Random,
) -> str | None:
    """Return an offer that was not heard of for so long that a try is affordable; None: none is.

    What a try costs beyond the best offer is saved up with each outcome of another offer.
    """
    if exploration.share <= 0 or draw.random() >= _PROMPTNESS:
        return None
    costs = {
        name: cost_of(each).by(prefer, waiting_usd_per_second) for name, each in expected.items()
    }
    best = min(costs, key=lambda name: (costs[name], name), default=None)
    if best is None or not 0 < costs[best] < math.inf:
        return None
    saved = exploration.share / max(1, len(expected) - 1)
    ready = {}
    for name, each in expected.items():
        is_cheap = each.usd is not None and (
            max(each.usd, each.most_usd or 0.0) <= exploration.max_usd
        )
        if name != best and is_cheap and costs[name] < math.inf:
            extra = max(_LEAST_EXTRA, costs[name] / costs[best] - 1)
            ready[name] = each.unheard * saved / extra
    tried = max(ready, key=lambda name: (ready[name], name), default=None)
    return tried if tried is not None and ready[tried] >= 1 else None
