"""Runs a rule through a world: requests come when they come, and words of their ends later."""

import heapq
from dataclasses import dataclass

from benchmarks.router.rules import NAMES, USD_PER_SECOND, Rule
from benchmarks.router.world import World
from media_agent.ledger.outcomes import Ending, Outcome

_MOST_ATTEMPTS = 2000


@dataclass(slots=True)
class Total:
    """What all requests of a run cost together."""

    usd: float = 0.0
    seconds: float = 0.0
    failures: int = 0
    requests: int = 0

    @property
    def mean(self) -> float:
        """Return USD per request, waiting at its price."""
        return (self.usd + USD_PER_SECOND * self.seconds) / self.requests


def simulate(world: World, rule: Rule, curve: list[float] | None = None) -> Total:
    """Return what a rule costs; the cost of each request goes into `curve`."""
    total = Total(requests=len(world.asks))
    costs = [0.0] * len(world.asks)
    events: list[tuple[float, int, int, tuple[int, Outcome] | None]] = []
    for number, ask in enumerate(world.asks):
        heapq.heappush(events, (ask.at, number, 0, None))
    failed: dict[int, list[int]] = {}
    while events:
        at, number, attempt, ended = heapq.heappop(events)
        ask = world.asks[number]
        if ended is not None:
            offer, outcome = ended
            rule.hear(offer, outcome)
            if outcome.is_done:
                continue
            failed.setdefault(number, []).append(offer)
            total.failures += 1
            if attempt + 1 >= _MOST_ATTEMPTS:
                raise RuntimeError("a request that nobody serves")
            attempt += 1
        offer = rule.choose(ask, at, failed.get(number, []))
        provider = world.offers(at)[offer]
        is_done, seconds, usd = provider.attempt(ask, at, world.draw(number, attempt, offer))
        total.usd += usd
        total.seconds += seconds
        costs[number] += usd + USD_PER_SECOND * seconds
        backend, _, model = NAMES[offer].partition("/")
        listed = world.early[offer]
        outcome = Outcome(
            backend=backend,
            model=model,
            ending=Ending.DONE if is_done else Ending.FAILED,
            began_at=at,
            ended_at=at + seconds,
            seconds=seconds,
            expected_seconds=listed.listed_seconds(ask) if rule.knows_times else None,
            video_seconds=ask.seconds,
            short_side=ask.short_side,
            quoted_usd=listed.listed_usd(ask),
            billed_usd=usd,
        )
        heapq.heappush(events, (at + seconds, number, attempt, (offer, outcome)))
    if curve is not None:
        curve[:] = costs
    return total
