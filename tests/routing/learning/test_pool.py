"""What all offers take altogether, of which one whose time nobody knows is expected."""

import math
from dataclasses import replace

import pytest

from media_agent.ledger.outcomes import Ending, Outcome
from media_agent.routing.learning.experience import Experience
from media_agent.routing.learning.latency import DAY
from media_agent.routing.learning.pool import Pool
from tests.routing.learning.test_experience import BEGIN, learned, outcome, work


def many(offer: str, seconds: float, count: int = 20, at: float = BEGIN) -> list[Outcome]:
    return [outcome(at + 600 * i, seconds, offer=offer) for i in range(count)]


def pool(*outcomes: Outcome, now: float = BEGIN + DAY) -> Pool:
    found = learned(*outcomes).pool(now)
    assert found is not None
    return found


def median(found: Pool) -> float:
    """Return the seconds of a video of five."""
    return 5 * math.exp(found.level)


def test_without_a_time_there_is_none() -> None:
    failures = [replace(each, ending=Ending.FAILED) for each in many("a/x", 5.0)]
    endless = [replace(each, video_seconds=None) for each in many("a/x", 5.0)]

    assert Experience().pool(BEGIN) is None
    assert learned(*failures, *endless).pool(BEGIN + DAY) is None
    assert Experience().expect(work(BEGIN, "b/x"), None).seconds is None


def test_each_offer_counts_once_however_often_it_was_used() -> None:
    assert median(pool(*many("a/x", 40.0))) == pytest.approx(40.0)
    even = median(pool(*many("a/x", 20.0, 100), *many("b/x", 80.0, 100)))
    often = median(pool(*many("a/x", 20.0, 100), *many("b/x", 80.0, 1000)))
    assert even == pytest.approx(40.0, rel=0.01)
    assert often == pytest.approx(even, rel=0.05)


def test_an_outlier_moves_the_pool_little() -> None:
    known = [*many("a/x", 30.0), *many("b/x", 40.0), *many("c/x", 50.0)]
    before = pool(*known)

    of_a_known_one = pool(*known, outcome(BEGIN + 80_000, 9000.0, offer="b/x"))
    the_only_one = pool(*known, outcome(BEGIN + 80_000, 9000.0, offer="d/x"))

    for each in (of_a_known_one, the_only_one):
        assert each.level - before.level == pytest.approx(0.0, abs=0.05)
        assert each.mean(5.0) / before.mean(5.0) == pytest.approx(1.0, abs=0.1)


def test_old_offers_count_less_and_years_are_no_fault() -> None:
    old, new = many("a/x", 20.0), many("b/x", 80.0, at=BEGIN + 60 * DAY)

    assert median(pool(*old, *new, now=BEGIN + 61 * DAY)) > 70
    assert median(pool(*old, now=BEGIN + 10_000 * DAY)) == pytest.approx(20.0)
    assert learned(*old).pool(BEGIN + 1e12) is not None


def test_the_mean_is_above_the_median_and_spread_makes_it_more_so() -> None:
    alike = pool(*(each for name in "abcdefgh" for each in many(f"{name}/x", 40.0)))
    apart = pool(*(each for i in range(8) for each in many(f"{i}/x", 10.0 * 2**i)))

    assert 0.1 < alike.variance < 0.3 < apart.variance <= 1.0
    assert alike.mean(5.0) > median(alike)
    assert alike.mean(10.0) == pytest.approx(2 * alike.mean(5.0))


def test_an_unknown_time_is_that_of_the_pool_and_says_how_sure_it_is() -> None:
    experience = learned(*many("a/x", 40.0))
    found = experience.pool(BEGIN + DAY)
    assert found is not None

    new = experience.expect(work(BEGIN + DAY, "b/x"), found)
    known = experience.expect(work(BEGIN + DAY, "a/x"), found)
    listed = experience.expect(work(BEGIN + DAY, "b/x", seconds=7.0), found)

    assert new.is_pooled
    assert new.seconds == found.mean(5.0)
    assert new.log_deviation > known.log_deviation
    assert (new.usd, known.is_pooled, listed.is_pooled, listed.seconds) == (0.5, False, False, 7.0)
    assert experience.expect(replace(work(BEGIN, "b/x"), video_seconds=None), found).seconds is None
