"""What is learned from outcomes: the same from the same, and what they say."""

import json
import math
import random
from dataclasses import replace

import pytest

from media_agent.ledger.outcomes import Ending, Outcome
from media_agent.routing.learning.expectation import Work
from media_agent.routing.learning.experience import Experience
from media_agent.routing.learning.latency import DAY
from media_agent.routing.learning.report import build_report
from media_agent.routing.learning.scores import Exploration, cost_of, find_worth_trying
from media_agent_schemas.request import RoutingPreference

BEGIN = 1_790_000_000.0
BALANCED = RoutingPreference.BALANCED


def outcome(
    at: float, seconds: float = 40.0, *, offer: str = "fal/m", ending: Ending = Ending.DONE
) -> Outcome:
    backend, _, model = offer.partition("/")
    return Outcome(
        backend=backend,
        model=model,
        ending=ending,
        began_at=at,
        ended_at=at + seconds,
        seconds=seconds,
        video_seconds=5.0,
        short_side=720,
        quoted_usd=0.5,
        billed_usd=0.5 if ending is Ending.DONE else 0.0,
    )


def work(at: float, offer: str = "fal/m", seconds: float | None = None) -> Work:
    return Work(offer, at, 5.0, 720, quoted_usd=0.5, expected_seconds=seconds)


def learned(*outcomes: Outcome) -> Experience:
    experience = Experience()
    for each in outcomes:
        experience.learn(each)
    return experience


def test_without_outcomes_the_catalogue_counts() -> None:
    expected = Experience().expect(work(BEGIN, seconds=33.0))

    assert (expected.seconds, expected.usd) == (33.0, 0.5)
    assert 0.0 < expected.fails < 0.1


def test_latency_is_learned_and_outliers_move_it_little() -> None:
    draw = random.Random(1)
    many = [outcome(BEGIN + 600 * i, 40 * math.exp(draw.gauss(0, 0.2))) for i in range(200)]
    experience = learned(*many)
    end = BEGIN + 600 * 200
    before = experience.expect(work(end)).seconds

    experience.learn(outcome(end, 900.0))
    after = experience.expect(work(end + 900)).seconds

    assert before is not None
    assert after is not None
    assert before == pytest.approx(41, rel=0.12)
    assert after < 1.35 * before


def test_a_change_is_followed_within_some_outcomes() -> None:
    before = [outcome(BEGIN + 600 * i, 40.0 + i % 3) for i in range(100)]
    after = [outcome(BEGIN + 600 * (100 + i), 160.0 + i % 3) for i in range(6)]

    seconds = learned(*before, *after).expect(work(after[-1].ended_at)).seconds

    assert seconds is not None
    assert seconds > 110


def test_failures_in_a_row_are_an_outage_and_time_heals_it() -> None:
    good = [outcome(BEGIN + 600 * i) for i in range(50)]
    now = good[-1].ended_at
    bad = [outcome(now + 60 * i, 10.0, ending=Ending.FAILED) for i in range(3)]
    experience = learned(*good, *bad)

    at_once = experience.expect(work(bad[-1].ended_at)).fails
    later = experience.expect(work(bad[-1].ended_at + DAY)).fails

    assert at_once > 0.8
    assert later < 0.1


def test_the_price_is_what_was_billed_of_the_same_list() -> None:
    dearer = [replace(outcome(BEGIN + i), billed_usd=0.75, priced_on="2026-11-01") for i in (0, 99)]
    experience = learned(*dearer)

    old = experience.expect(replace(work(BEGIN + 500), priced_on="2026-11-01"))
    new = experience.expect(replace(work(BEGIN + 500), priced_on="2026-11-20"))

    assert old.usd == pytest.approx(0.75)
    assert new.usd == 0.5


def test_failures_cost_what_they_are_billed_and_their_time() -> None:
    experience = Experience()
    good, bad = experience.expect(work(BEGIN, seconds=30.0)), 0.5
    half = replace(good, fails=bad, seconds_failing=10.0, usd_failing=0.2)

    cost = cost_of(half)

    assert cost.seconds == pytest.approx(40.0)
    assert cost.usd == pytest.approx(0.7)
    assert cost.total(0.01) == pytest.approx(1.1)


def test_the_hour_is_picked_where_it_tells_and_used() -> None:
    draw = random.Random(2)
    outcomes = []
    for i in range(600):
        at = BEGIN + 2400 * i
        slow = 3.0 if at // 3600 % 24 < 12 else 1.0
        outcomes.append(outcome(at, 30 * slow * math.exp(draw.gauss(0, 0.1))))
    experience = learned(*outcomes)
    day = outcomes[-1].ended_at // DAY * DAY + DAY

    morning = experience.expect(work(day + 4 * 3600)).seconds
    evening = experience.expect(work(day + 16 * 3600)).seconds

    assert experience.slow_factors == ("hour",)
    assert morning is not None
    assert evening is not None
    assert morning > 1.8 * evening


def test_what_is_kept_and_read_back_goes_on_alike() -> None:
    draw = random.Random(3)
    outcomes = [
        outcome(
            BEGIN + 900 * i,
            30 * math.exp(draw.gauss(0, 0.3)),
            offer=f"b{i % 3}/m",
            ending=Ending.FAILED if draw.random() < 0.1 else Ending.DONE,
        )
        for i in range(300)
    ]
    whole = learned(*outcomes)
    half = Experience.load(json.loads(json.dumps(learned(*outcomes[:150]).dump())))
    for each in outcomes[150:]:
        half.learn(each)

    assert half == whole


def test_tries_are_affordable_free_enough_and_repeatable() -> None:
    heard = [outcome(BEGIN + 600 * i, offer="fal/m") for i in range(400)]
    experience = learned(outcome(BEGIN - 900, 60.0, offer="other/m"), *heard)
    now = heard[-1].ended_at
    expected = {name: experience.expect(work(now, name)) for name in ("fal/m", "other/m")}

    def tried(share: float, usd: float, seed: int = 0) -> list[str | None]:
        draw, exploration = random.Random(seed), Exploration(share, usd)
        return [find_worth_trying(expected, exploration, BALANCED, 0.01, draw) for _ in range(50)]

    assert set(tried(0.0, 9.0)) == {None}
    assert set(tried(0.01, 0.1)) == {None}
    assert set(tried(0.00001, 9.0)) == {None}
    assert set(tried(0.01, 9.0)) == {None, "other/m"}
    assert tried(0.01, 9.0) == tried(0.01, 9.0)


@pytest.mark.parametrize("seconds", [5e-324, 1e-9, 2.5e11])
@pytest.mark.parametrize("video_seconds", [5e-324, 1e-9, 2.5e11])
def test_an_outcome_beyond_all_reason_breaks_nothing(seconds: float, video_seconds: float) -> None:
    odd = replace(
        outcome(BEGIN, seconds),
        video_seconds=video_seconds,
        expected_seconds=video_seconds,
        quoted_usd=5e-324,
        billed_usd=2.5e11,
    )
    failed = replace(odd, ending=Ending.FAILED)

    expected = learned(odd, failed, odd).expect(work(BEGIN + 600))

    cost = cost_of(expected)
    assert cost.usd is not None
    assert math.isfinite(cost.usd)
    assert cost.seconds is not None
    assert math.isfinite(cost.seconds)
    (row,) = build_report([odd, failed]).offers
    assert row.seconds_per_second is not None
    assert math.isfinite(row.seconds_per_second)
