"""Six offers over two weeks: what each would take and cost at any time, and who asks when.

A world is drawn from its seed alone, so that every rule meets the same one. Its kinds:

* `drift`: daily load, outages, slow hours, price changes, a wandering speed, heavy tails
* `calm`: none of that but the heavy tails
* `swap`: `calm` with daily load; after half of the time best and worst offer change places
* `riser`: `drift` in which the offer that was worst becomes three times as fast and half as dear
* `storm`: `drift` with four times as many outages and slow hours
* `steps`: `calm`, but every three days each offer takes another speed and another price
"""

import math
import random
from bisect import bisect_right
from dataclasses import dataclass, field

HOUR = 3600.0
DAY = 24 * HOUR
KINDS = ("drift", "calm", "swap", "riser", "storm", "steps")
OFFERS = 6
_BEGIN = 1_790_000_000.0  # seconds since the epoch, a Monday
_TAIL_MOST = 20.0  # times the median, at most
_FAILS_DOWN = 0.99
_LENGTHS = (4.0, 5.0, 8.0, 10.0)
_SIZES = {480: 0.6, 720: 1.0, 1080: 2.0}  # how much dearer and slower


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    at: float
    seconds: float
    short_side: int


@dataclass(frozen=True, slots=True)
class Draw:
    """What chance brings to one attempt at one offer."""

    fails: float
    noise: float
    tail: float
    tail_size: float
    failing: float


@dataclass(slots=True)
class Provider:
    """One offer as it truly is."""

    usd_per_second: float
    start_seconds: float
    rate: float
    sigma: float
    tail_share: float
    tail_index: float
    fails: float
    failing_seconds: float
    load: float = 0.0
    peak: float = 0.0
    outages: list[float] = field(default_factory=list)
    """When they begin and end, in turn."""
    slow: list[tuple[float, float, float]] = field(default_factory=list)
    prices: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 1.0)])
    wander: list[float] = field(default_factory=list)
    """The logarithm of how slow it is, by the hour."""

    def usd(self, ask: Ask, at: float) -> float:
        """Return what it bills for a video at a time."""
        return self.listed_usd(ask) * _value_at(self.prices, at)

    def listed_usd(self, ask: Ask) -> float:
        """Return what the catalogue says."""
        return self.usd_per_second * ask.seconds * _SIZES[ask.short_side]

    def listed_seconds(self, ask: Ask) -> float:
        """Return what the catalogue says."""
        return (self.start_seconds + self.rate * ask.seconds) * math.sqrt(_SIZES[ask.short_side])

    def median_seconds(self, ask: Ask, at: float) -> float:
        """Return how long half of such videos take at a time."""
        hour = (at - _BEGIN) / HOUR
        slow = self.load * max(0.0, math.cos((hour - self.peak) * math.pi / 12)) ** 1.5
        if self.wander:
            left = min(int(hour), len(self.wander) - 2)
            slow += self.wander[left] + (hour - left) * (self.wander[left + 1] - self.wander[left])
        factor = next((by for begin, end, by in self.slow if begin <= at < end), 1.0)
        return self.listed_seconds(ask) * math.exp(slow) * factor

    def mean_seconds(self, ask: Ask, at: float) -> float:
        """Return the mean."""
        index = self.tail_index
        tail = index / (index - 1) - math.pow(_TAIL_MOST, 1 - index) / (index - 1)
        mean = math.exp(self.sigma**2 / 2) * (1 + self.tail_share * (tail - 1))
        return self.median_seconds(ask, at) * mean

    def share_failing(self, at: float) -> float:
        """Return how likely an attempt fails."""
        return _FAILS_DOWN if bisect_right(self.outages, at) % 2 else self.fails

    def attempt(self, ask: Ask, at: float, draw: Draw) -> tuple[bool, float, float]:
        """Return whether there is a video, after how many seconds, and what is billed."""
        if draw.fails < self.share_failing(at):
            return False, self.failing_seconds * math.exp(0.5 * draw.failing), 0.0
        noise = math.exp(self.sigma * draw.noise)
        if draw.tail < self.tail_share:
            noise *= min((1 - draw.tail_size) ** (-1 / self.tail_index), _TAIL_MOST)
        return True, self.median_seconds(ask, at) * noise, self.usd(ask, at)


@dataclass(slots=True)
class World:
    """The offers and the requests of one seed."""

    seed: int
    early: list[Provider]
    late: list[Provider]
    """Those that there are after `turn`."""
    turn: float
    asks: list[Ask]
    draws: list[list[list[Draw]]]
    """Of the first attempts, by request, attempt and offer."""

    def offers(self, at: float) -> list[Provider]:
        """Return what is there at a time."""
        return self.early if at < self.turn else self.late

    def draw(self, number: int, attempt: int, offer: int) -> Draw:
        """Return what chance brings, the same for every rule."""
        draws = self.draws[number]
        if attempt < len(draws):
            return draws[attempt][offer]
        return _draw_chance(random.Random(f"{self.seed} {number} {attempt} {offer}"))


def build_world(kind: str, seed: int, requests: int = 10_000, days: float = 14.0) -> World:
    """Draw a world."""
    draw = random.Random(f"{kind} {seed}")
    moves = kind in ("drift", "riser", "storm", "steps")
    early = [_draw_provider(draw, days, kind, moves=moves) for _ in range(OFFERS)]
    asks = _draw_asks(draw, requests, days)
    late, turn = early, math.inf
    if kind in ("swap", "riser"):
        turn = _BEGIN + days * DAY * (0.5 if kind == "swap" else 0.4)
        late = _turn(kind, early)
    draws = [[[_draw_chance(draw) for _ in early] for _ in range(2)] for _ in asks]
    return World(seed, early, late, turn, asks, draws)


def _draw_provider(draw: random.Random, days: float, kind: str, *, moves: bool) -> Provider:
    provider = Provider(
        usd_per_second=0.02 * math.exp(draw.uniform(0, 1.6)),
        start_seconds=draw.uniform(4, 25),
        rate=5 * math.exp(draw.uniform(0, 1.6)),
        sigma=draw.uniform(0.15, 0.4),
        tail_share=draw.uniform(0.01, 0.06),
        tail_index=draw.uniform(1.5, 2.5),
        fails=draw.uniform(0.003, 0.04),
        failing_seconds=draw.uniform(3, 40),
    )
    if kind == "steps":
        _draw_steps(draw, provider, days)
    elif kind != "calm":
        provider.load, provider.peak = draw.uniform(0, 1.0), draw.uniform(0, 24)
    if not moves:
        return provider
    often = 4 if kind == "storm" else 1
    end = _BEGIN + (days + 2) * DAY
    at = _BEGIN
    while (at := at + draw.expovariate(often / (4 * DAY))) < end:
        length = draw.expovariate(1 / (2 * HOUR))
        provider.outages += [at, at + length]
        at += length
    at = _BEGIN
    while (at := at + draw.expovariate(often / (5 * DAY))) < end:
        length = draw.expovariate(1 / (3 * HOUR))
        provider.slow.append((at, at + length, math.exp(draw.uniform(0.7, 2.0))))
        at += length
    for _ in range(draw.randrange(3)):
        provider.prices.append((draw.uniform(_BEGIN, end), math.exp(draw.uniform(-0.5, 0.5))))
    provider.prices.sort()
    level, provider.wander = 0.0, []
    for _ in range(int((days + 3) * 24)):
        provider.wander.append(level)
        level = 0.99 * level + draw.gauss(0, 0.04)
    return provider


def _draw_steps(draw: random.Random, provider: Provider, days: float) -> None:
    for _ in range(int(days / 3) + 2):
        provider.wander += [draw.uniform(-0.6, 0.6)] * 72
        provider.prices.append(
            (_BEGIN + len(provider.wander) * HOUR, math.exp(draw.uniform(-0.3, 0.3)))
        )


def _draw_asks(draw: random.Random, requests: int, days: float) -> list[Ask]:
    sizes = (480, 720, 720, 720, 1080)
    times = sorted(_BEGIN + draw.random() * days * DAY for _ in range(requests))
    return [Ask(at, draw.choice(_LENGTHS), draw.choice(sizes)) for at in times]


def _draw_chance(draw: random.Random) -> Draw:
    uniform = draw.random
    return Draw(uniform(), draw.gauss(0, 1), uniform(), uniform(), draw.gauss(0, 1))


def _turn(kind: str, early: list[Provider]) -> list[Provider]:
    usual = Ask(_BEGIN, 6.0, 720)
    order = sorted(range(OFFERS), key=lambda i: _typical(early[i], usual))
    best, worst = order[0], order[-1]
    late = list(early)
    if kind == "swap":
        late[best], late[worst] = early[worst], early[best]
        return late
    risen = early[worst]
    late[worst] = Provider(
        **{name: getattr(risen, name) for name in Provider.__dataclass_fields__}
        | {"rate": risen.rate / 3, "start_seconds": risen.start_seconds / 3}
        | {"usd_per_second": risen.usd_per_second / 2}
    )
    return late


def _typical(provider: Provider, ask: Ask) -> float:
    return provider.listed_usd(ask) + 0.002 * provider.listed_seconds(ask)


def _value_at(steps: list[tuple[float, float]], at: float) -> float:
    return steps[bisect_right(steps, (at, math.inf)) - 1][1]
