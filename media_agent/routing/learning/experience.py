"""What was learned from outcomes, one by one in their order, and what it lets expect.

From the outcomes alone: the same ones give the same numbers, wherever they were learned. Estimates
begin with what the catalogue says, else with what is usual for all offers, go on to what is usual
for the offer, and from there to each value of the factors that tell most.
"""

import math
from collections import deque
from collections.abc import Container
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from media_agent.ledger.outcomes import Outcome
from media_agent.routing.learning.expectation import Expectation, Work
from media_agent.routing.learning.factors import Contingency, factors_of, latency_class, rank
from media_agent.routing.learning.health import Health
from media_agent.routing.learning.latency import DAY, Latency, Level
from media_agent.routing.learning.offer import REMEMBERED, Cell, Newest, Offer
from media_agent.routing.learning.pool import Pool, build_pool

FACTORS = ("hour", "weekday", "size", "duration")
VERSION = 1
"""Raised with every change of what is learned or how: what was kept is then learned again."""

_MOST_PICKED = 3
_PICK_EVERY = 50  # outcomes
_CELL_PRIOR = 40.0  # outcomes that "a value changes nothing" counts as, for latencies
_FAIL_PRIOR = 3.0  # expected failures, likewise
_USUAL_FAILS = 0.03  # share of submissions, before much is known
_USUAL_PRIOR = 100.0  # outcomes that this counts as
_USUAL_FAILING = 30.0  # seconds
_LONG = 500.0  # half-lives, after which what was before weighs nothing
_EXTREME = 20.0  # of a logarithm of seconds per second: as which odder ones count, in centuries
_MOST_PRICE = 1e3  # times the quote, as which a higher bill counts
_HEAVY = 1e9  # weight of an outcome, from which on all are scaled down


@dataclass(slots=True)
class Experience:
    """All that was learned; older outcomes count half after each `half_life_days`."""

    half_life_days: float = 14.0
    offers: dict[str, Offer] = field(default_factory=dict)
    slow: dict[str, Contingency] = field(
        default_factory=lambda: {name: Contingency(4) for name in FACTORS}
    )
    failing: dict[str, Contingency] = field(
        default_factory=lambda: {name: Contingency(2) for name in FACTORS}
    )
    weight: float = 1.0
    weighed_at: float = 0.0
    learned: int = 0
    done: float = 0.0
    failed: float = 0.0
    seconds_failing: float = _USUAL_FAILING
    slow_factors: tuple[str, ...] = ()
    """Those that latencies depend on, the one that tells most first."""
    failing_factors: tuple[str, ...] = ()

    def learn(self, outcome: Outcome) -> None:
        """Take one outcome in."""
        now = outcome.ended_at
        factors = factors_of(
            outcome.began_at,
            video_seconds=outcome.video_seconds,
            short_side=outcome.short_side,
        )
        self._weigh(now)
        offer = self.offers.setdefault(outcome.offer, Offer(at=now))
        fading = 0.5 ** (max(0.0, now - offer.at) / (self.half_life_days * DAY))
        offer.at = max(offer.at, now)
        self._learn_health(offer, outcome, factors, fading)
        if outcome.is_done:
            self._learn_latency(offer, outcome, factors)
        elif outcome.seconds is not None:
            known = offer.seconds_failing
            offer.seconds_failing = outcome.seconds if known is None else _near(known, outcome)
            self.seconds_failing += 0.05 * (outcome.seconds - self.seconds_failing)
        self._learn_price(offer, outcome)
        offer.newest.append(Newest(now, outcome.is_done, outcome.seconds))
        self.learned += 1
        offer.learned = self.learned
        if self.learned % _PICK_EVERY == 0:
            slow, failing = self.gains()
            self.slow_factors = rank(slow, _MOST_PICKED)
            self.failing_factors = rank(failing, _MOST_PICKED)

    def pool(self, now: float, apart: Container[str] = ()) -> Pool | None:
        """Return what all offers take, without those that are `apart`; None: no time is known."""
        return build_pool(self.offers, now, self.half_life_days, apart)

    def expect(self, work: Work, pool: Pool | None = None) -> Expectation:
        """Return what is to be expected of an offer; of an unknown time, what the pool says."""
        expected = self._expect_own(work)
        if expected.seconds is not None or pool is None or work.video_seconds is None:
            return expected
        return replace(
            expected,
            seconds=pool.mean(work.video_seconds),
            log_deviation=math.sqrt(pool.variance),
            is_pooled=True,
        )

    def _expect_own(self, work: Work) -> Expectation:
        offer = self.offers.get(work.offer)
        factors = factors_of(work.at, video_seconds=work.video_seconds, short_side=work.short_side)
        if offer is None:
            return self._expect_unseen(work)
        times = self._times_failing(offer, factors)
        usual = self._usual_fails
        quoted = work.quoted_usd
        priced = 1.0 if quoted is None else offer.price_of(work.priced_on)
        failing = offer.seconds_failing
        seconds, deviation = self._expect_seconds(offer, work, factors)
        return Expectation(
            fails=offer.health.fails(work.at, usual, times=times),
            seconds=seconds,
            seconds_failing=self.seconds_failing if failing is None else failing,
            usd=None if quoted is None else quoted * priced,
            usd_failing=None if quoted is None else quoted * offer.wasted,
            fails_deviation=offer.health.deviation(usual),
            log_deviation=deviation,
            unheard=self.learned - offer.learned,
        )

    def gains(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return how many bits each factor tells of latency and of failure, given the offer."""
        unit = self.weight
        return (
            {name: each.gain(unit) for name, each in self.slow.items()},
            {name: each.gain(unit) for name, each in self.failing.items()},
        )

    def dump(self) -> dict[str, Any]:
        """Return all of it as JSON can keep it."""
        data = asdict(self)
        for name, offer in data["offers"].items():
            newest = self.offers[name].newest
            offer["newest"] = [[each.at, each.is_done, each.seconds] for each in newest]
        return data

    @classmethod
    def load(cls, data: dict[str, Any]) -> "Experience":
        """Return what `dump` was of."""
        offers = {name: _load_offer(each) for name, each in data["offers"].items()}
        tables = {
            name: {factor: Contingency(**each) for factor, each in data[name].items()}
            for name in ("slow", "failing")
        }
        picked = {name: tuple(data[name]) for name in ("slow_factors", "failing_factors")}
        return cls(**{**data, "offers": offers, **tables, **picked})

    @property
    def _usual_fails(self) -> float:
        known = _USUAL_PRIOR + self.done + self.failed
        return (_USUAL_PRIOR * _USUAL_FAILS + self.failed) / known

    def _expect_unseen(self, work: Work) -> Expectation:
        usual = Health()
        return Expectation(
            fails=usual.fails(work.at, self._usual_fails),
            seconds=work.expected_seconds,
            seconds_failing=self.seconds_failing,
            usd=work.quoted_usd,
            usd_failing=None if work.quoted_usd is None else 0.0,
            fails_deviation=usual.deviation(self._usual_fails),
            log_deviation=0.5,
            unheard=self.learned,
        )

    def _expect_seconds(
        self, offer: Offer, work: Work, factors: dict[str, str]
    ) -> tuple[float | None, float]:
        latency = offer.latency
        if latency is None or work.video_seconds is None:
            return work.expected_seconds, 0.5
        level, variance = latency.expect(work.at)
        level += self._shift(offer, factors)
        mean = math.exp(level) * latency.tail * work.video_seconds
        return mean, math.sqrt(variance)

    def _shift(self, offer: Offer, factors: dict[str, str], without: str | None = None) -> float:
        """Return what the picked factors change of a latency."""
        shift = 0.0
        for name in self.slow_factors:
            cell = offer.cells.get(factors.get(name, ""))
            if cell is not None and name != without:
                shift += cell.deviation * cell.count / (cell.count + _CELL_PRIOR)
        return shift

    def _times_failing(self, offer: Offer, factors: dict[str, str]) -> float:
        """Return how many times as likely the picked factors make a failure."""
        times = 1.0
        for name in self.failing_factors:
            cell = offer.cells.get(factors.get(name, ""))
            if cell is not None:
                times *= (_FAIL_PRIOR + cell.failed) / (_FAIL_PRIOR + cell.expected)
        return times

    def _learn_health(
        self, offer: Offer, outcome: Outcome, factors: dict[str, str], fading: float
    ) -> None:
        usual = self._usual_fails
        expected = offer.health.fails_up(usual)
        offer.health.learn(outcome.is_done, outcome.ended_at, usual, fading)
        up = 1 - offer.health.down  # what fails while it is down says nothing of the factors
        self.done, self.failed = self.done * 0.9999, self.failed * 0.9999
        if outcome.is_done:
            self.done += up
        else:
            self.failed += up
        for name, value in factors.items():
            cell = offer.cells.setdefault(value, Cell())
            cell.count *= fading
            cell.tried = cell.tried * fading + up
            cell.expected = cell.expected * fading + up * expected
            cell.failed = cell.failed * fading + (0.0 if outcome.is_done else up)
            found = 0 if outcome.is_done else 1
            self.failing[name].add(outcome.offer, value, found, self.weight * up)

    def _learn_latency(self, offer: Offer, outcome: Outcome, factors: dict[str, str]) -> None:
        if not outcome.seconds or not outcome.video_seconds:
            return
        value = log_rate(outcome.seconds, outcome.video_seconds)
        if offer.latency is None:
            guess = value
            if outcome.expected_seconds:
                guess = log_rate(outcome.expected_seconds, outcome.video_seconds)
            offer.latency = Latency.begin(guess, outcome.ended_at)
        away = value - offer.latency.usual
        shift = self._shift(offer, factors)
        offer.latency.learn(value - shift, outcome.ended_at)
        for name, cell_value in factors.items():
            cell = offer.cells[cell_value]
            own = cell.deviation * cell.count / (cell.count + _CELL_PRIOR)
            others = shift - (own if name in self.slow_factors else 0.0)
            rest = max(-1.0, min(1.0, away - others))
            cell.count += 1
            cell.deviation += (rest - cell.deviation) / cell.count
            self.slow[name].add(outcome.offer, cell_value, latency_class(away), self.weight)

    def _learn_price(self, offer: Offer, outcome: Outcome) -> None:
        if not outcome.quoted_usd or outcome.cost_usd is None:
            return
        ratio = min(outcome.cost_usd / outcome.quoted_usd, _MOST_PRICE)
        if not outcome.is_done:
            offer.wasted += 0.2 * (ratio - offer.wasted)
        elif outcome.billed_usd is not None:
            offer.learn_price(ratio, outcome.priced_on)

    def _weigh(self, now: float) -> None:
        """Let outcomes from now on weigh more, instead of letting all others fade."""
        if self.weighed_at:
            days = max(0.0, now - self.weighed_at) / DAY
            self.weight *= 2 ** min(days / self.half_life_days, _LONG)
        self.weighed_at = max(self.weighed_at, now)
        if self.weight > _HEAVY:
            for each in (*self.slow.values(), *self.failing.values()):
                each.scale(1 / self.weight)
            self.weight = 1.0


def log_rate(seconds: float, video_seconds: float) -> float:
    """Return the natural logarithm of seconds per second of video; no row is beyond all reason."""
    value = math.log(seconds) - math.log(video_seconds)
    return max(-_EXTREME, min(_EXTREME, value))


def _near(known: float, outcome: Outcome) -> float:
    """Return a mean of seconds that has moved towards those of an outcome."""
    return known + 0.2 * ((outcome.seconds or 0.0) - known)


def _load_offer(data: dict[str, Any]) -> Offer:
    latency = data["latency"]
    return Offer(
        **{
            **data,
            "latency": None if latency is None else _load_latency(latency),
            "health": Health(**data["health"]),
            "cells": {name: Cell(**each) for name, each in data["cells"].items()},
            "newest": deque((Newest(*each) for each in data["newest"]), REMEMBERED),
        }
    )


def _load_latency(data: dict[str, Any]) -> Latency:
    return Latency(**{**data, "levels": [Level(**each) for each in data["levels"]]})
