"""How submissions ended, added up for people: by offer, by day, and by what made a difference."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from media_agent.ledger.outcomes import Ending, Outcome
from media_agent.routing.learning.experience import log_rate
from media_agent.routing.learning.factors import Contingency, factors_of, latency_class
from media_agent.routing.learning.quantile import quantile


@dataclass(frozen=True, slots=True)
class Day:
    """The outcomes of one offer on one day, in UTC."""

    date: str
    outcomes: int
    done: int
    median_seconds: float | None


@dataclass(frozen=True, slots=True)
class OfferRow:
    """The outcomes of one offer. Shares from 0 to 1; None: nobody knows."""

    name: str
    outcomes: int
    done: float
    moderated: float
    median_seconds: float | None
    p90_seconds: float | None
    seconds_per_second: float | None
    """Median of the latency per second of video."""
    median_queue_seconds: float | None
    usd: float | None
    """What all of them cost together."""
    usd_per_video: float | None
    """The same, over those that gave a video."""
    days: tuple[Day, ...] = ()


@dataclass(frozen=True, slots=True)
class FactorRow:
    """How many bits a factor tells, of all but the offer itself given the offer."""

    name: str
    latency_bits: float
    failure_bits: float


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """All of it; offers with the most outcomes first, factors by what they tell together."""

    outcomes: int
    offers: tuple[OfferRow, ...]
    factors: tuple[FactorRow, ...]


def build_report(outcomes: Sequence[Outcome]) -> OutcomeReport:
    """Add outcomes up."""
    by_offer: dict[str, list[Outcome]] = {}
    for each in outcomes:
        by_offer.setdefault(each.offer, []).append(each)
    groups = sorted(by_offer.items(), key=lambda group: -len(group[1]))
    rows = [_add_up(name, found) for name, found in groups]
    return OutcomeReport(len(outcomes), tuple(rows), tuple(_rank_factors(outcomes, rows)))


def _add_up(name: str, outcomes: Sequence[Outcome]) -> OfferRow:
    done = [each for each in outcomes if each.is_done]
    costs = [each.cost_usd for each in outcomes if each.cost_usd is not None]
    rates = [
        math.exp(log_rate(each.seconds, each.video_seconds))
        for each in done
        if each.seconds and each.video_seconds
    ]
    usd = sum(costs) if costs else None
    by_day: dict[str, list[Outcome]] = {}
    for each in outcomes:
        by_day.setdefault(f"{datetime.fromtimestamp(each.ended_at, UTC):%Y-%m-%d}", []).append(each)
    days = (
        Day(date, len(found), sum(each.is_done for each in found), _seconds_at(0.5, found))
        for date, found in sorted(by_day.items())
    )
    return OfferRow(
        name=name,
        outcomes=len(outcomes),
        done=len(done) / len(outcomes),
        moderated=sum(each.ending is Ending.MODERATED for each in outcomes) / len(outcomes),
        median_seconds=_seconds_at(0.5, done),
        p90_seconds=_seconds_at(0.9, done),
        seconds_per_second=quantile(0.5, rates),
        median_queue_seconds=quantile(0.5, (each.queue_seconds for each in done)),
        usd=usd,
        usd_per_video=None if usd is None or not done else usd / len(done),
        days=tuple(days),
    )


def _rank_factors(outcomes: Sequence[Outcome], rows: Sequence[OfferRow]) -> list[FactorRow]:
    usual = {each.name: each.seconds_per_second for each in rows}
    overall = quantile(0.5, usual.values())
    slow: dict[str, Contingency] = {}
    failing: dict[str, Contingency] = {}
    for each in outcomes:
        factors = factors_of(
            each.began_at, video_seconds=each.video_seconds, short_side=each.short_side
        )
        groups = {"offer": ("", each.offer)}
        groups |= {name: (each.offer, value) for name, value in factors.items()}
        for name, (group, value) in groups.items():
            table = failing.setdefault(name, Contingency(2))
            table.add(group, value, 0 if each.is_done else 1, 1.0)
            base = overall if name == "offer" else usual[each.offer]
            if each.is_done and each.seconds and each.video_seconds and base:
                away = log_rate(each.seconds, each.video_seconds) - math.log(base)
                slow.setdefault(name, Contingency(4)).add(group, value, latency_class(away), 1.0)
    found = [
        FactorRow(
            name,
            round(slow[name].gain(), 4) if name in slow else 0.0,
            round(failing[name].gain(), 4),
        )
        for name in failing
    ]
    return sorted(found, key=lambda row: (-row.latency_bits - row.failure_bits, row.name))


def _seconds_at(share: float, outcomes: Iterable[Outcome]) -> float | None:
    return quantile(share, (each.seconds for each in outcomes if each.is_done))
