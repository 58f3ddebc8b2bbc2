"""Who is asked for a video: our router, the rules beside it, and an oracle."""

import math
import random
from collections import deque
from collections.abc import Callable

from benchmarks.router.world import OFFERS, Ask, World
from media_agent.ledger.outcomes import Outcome
from media_agent.routing.learning.expectation import Work
from media_agent.routing.learning.experience import Experience
from media_agent.routing.learning.scores import Exploration, cost_of, find_worth_trying
from media_agent_schemas.request import RoutingPreference

USD_PER_SECOND = 0.002
"""What a second of waiting costs."""

NAMES = [f"offer-{number}/video" for number in range(OFFERS)]
_HOUR = 3600.0


class Rule:
    """Chooses an offer for each attempt; what failed for a request comes last for it."""

    knows_times = True
    """Whether its catalogue does; prices are in it in any case."""

    def __init__(self, world: World) -> None:
        self.world = world

    def choose(self, ask: Ask, at: float, failed: list[int]) -> int:
        """Return the offer that is asked; `failed` are those that were, for the same request."""
        order = self.order(ask, at)
        return order[len(failed) % OFFERS]

    def order(self, ask: Ask, at: float) -> list[int]:
        """Return the offers, best first."""
        return list(range(OFFERS))

    def hear(self, offer: int, outcome: Outcome) -> None:
        """Hear how an attempt ended, when it did."""


class ByCatalogue(Rule):
    """Always the same order: by what the catalogue says."""

    def __init__(self, world: World, usd_weight: float, usd_per_second: float) -> None:
        super().__init__(world)
        self._weights = usd_weight, usd_per_second

    def order(self, ask: Ask, at: float) -> list[int]:
        """Return the offers by what the catalogue says of them."""
        by_usd, by_second = self._weights

        def key(number: int) -> float:
            offer = self.world.early[number]  # a catalogue does not know what will come
            return by_usd * offer.listed_usd(ask) + by_second * offer.listed_seconds(ask)

        return sorted(range(OFFERS), key=key)


class RoundRobin(Rule):
    """Each in turn."""

    _next = -1

    def order(self, ask: Ask, at: float) -> list[int]:
        """Return the offers in turn, from the next one."""
        self._next += 1
        return [(self._next + each) % OFFERS for each in range(OFFERS)]


class LowestLatency(Rule):
    """The lowest mean of the last ten latencies of an hour; what has none comes first.

    As the lowest-latency strategy of LiteLLM's Router does, with its defaults. Kinder to it than it
    is: latencies are per second of video, and the oldest of the ten goes, not the newest.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._heard: list[deque[tuple[float, float]]] = [deque(maxlen=10) for _ in NAMES]
        self._draw = random.Random(0)

    def order(self, ask: Ask, at: float) -> list[int]:
        """Return the offers by their mean latency; in any order those that have none."""
        keys = []
        for heard in self._heard:
            if not heard or heard[-1][0] < at - _HOUR:  # all of them expire with the newest
                heard.clear()
            mean = sum(each for _, each in heard) / len(heard) if heard else 0.0
            keys.append((mean, self._draw.random()))
        return sorted(range(OFFERS), key=lambda number: keys[number])

    def hear(self, offer: int, outcome: Outcome) -> None:
        """Keep the latency of a video."""
        if outcome.is_done and outcome.seconds and outcome.video_seconds:
            latency = outcome.seconds / outcome.video_seconds
            self._heard[offer].append((outcome.ended_at, latency))


class Ours(Rule):
    """What `--prefer balanced` does: the very code, told the outcomes as the ledger tells them."""

    def __init__(self, world: World, explored: float = 0.0, *, knows_times: bool = True) -> None:
        super().__init__(world)
        self.knows_times = knows_times
        self.experience = Experience()
        self._exploration = Exploration(explored, math.inf)
        self._draw = random.Random(0)
        self.tries = 0

    def choose(self, ask: Ask, at: float, failed: list[int]) -> int:
        """Return the offer of the least expected cost, sometimes one that is worth a try."""
        expected, pool = {}, self.experience.pool(at)
        for number, name in enumerate(NAMES):
            offer = self.world.early[number]
            expected[name] = self.experience.expect(
                Work(
                    name,
                    at,
                    ask.seconds,
                    ask.short_side,
                    offer.listed_usd(ask),
                    offer.listed_seconds(ask) if self.knows_times else None,
                ),
                pool,
            )
        prefer = RoutingPreference.BALANCED
        if not failed:
            tried = find_worth_trying(
                expected, self._exploration, prefer, USD_PER_SECOND, self._draw
            )
            if tried is not None:
                self.tries += 1
                return NAMES.index(tried)
        costs = [cost_of(expected[name]) for name in NAMES]
        keys = [(each.by(prefer, USD_PER_SECOND), each.usd or 0.0) for each in costs]
        return min(range(OFFERS), key=lambda number: keys[number])

    def hear(self, offer: int, outcome: Outcome) -> None:
        """Learn."""
        self.experience.learn(outcome)


class Oracle(Rule):
    """Knows what each offer costs on average now, outages too, but not what chance will bring."""

    def choose(self, ask: Ask, at: float, failed: list[int]) -> int:
        """Return the offer of the least true expected cost."""
        costs = []
        for offer in self.world.offers(at):
            fails = offer.share_failing(at)
            again = fails / (1 - fails) * offer.failing_seconds * math.exp(0.125)
            seconds = offer.mean_seconds(ask, at) + again
            costs.append(offer.usd(ask, at) + USD_PER_SECOND * seconds)
        return min(range(OFFERS), key=lambda number: costs[number])


ORACLE = "oracle"
LEARNED = "learned"
EXPLORING = "learned, 0.5 % for tries"
STATIC = (
    "cheapest by catalogue",
    "fastest by catalogue",
    "balanced by catalogue",
    "round robin",
)
RULES: dict[str, Callable[[World], Rule]] = {
    ORACLE: Oracle,
    LEARNED: Ours,
    EXPLORING: lambda world: Ours(world, 0.005),
    "cheapest by catalogue": lambda world: ByCatalogue(world, 1.0, 0.0),
    "fastest by catalogue": lambda world: ByCatalogue(world, 0.0, 1.0),
    "balanced by catalogue": lambda world: ByCatalogue(world, 1.0, USD_PER_SECOND),
    "round robin": RoundRobin,
    "lowest recent latency": LowestLatency,
}
UNLISTED = RULES | {
    LEARNED: lambda world: Ours(world, knows_times=False),
    EXPLORING: lambda world: Ours(world, 0.005, knows_times=False),
}
"""Where the catalogue of the router that learns knows prices alone, as most do."""
