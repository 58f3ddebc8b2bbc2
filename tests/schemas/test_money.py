"""Amounts of money carry no noise of arithmetic, wherever they were added up."""

import math

import pytest

from media_agent_schemas import Cost, Estimate
from media_agent_schemas.base import format_usd, round_usd


@pytest.mark.parametrize(
    ("usd", "rounded"),
    [
        (5.1240000000000006, 5.124),
        (14.133333333333333, 14.13),
        (0.30000000000000004, 0.3),
        (0.0123456, 0.01235),
        (1234.5678, 1234.57),
        (0.0, 0.0),
    ],
)
def test_amounts_are_rounded_where_they_are_made(usd: float, rounded: float) -> None:
    assert round_usd(usd) == rounded
    assert Estimate(cost_usd=usd).cost_usd == rounded
    assert Cost(usd=usd).usd == rounded


def test_billed_seconds_get_a_price_unless_they_have_one() -> None:
    billed = Cost(seconds=9, source="acme")

    assert billed.at(0.086) == Cost(
        usd=0.774, seconds=9, source="acme: 9 billed seconds at 0.086 USD"
    )
    assert billed.at(None) == billed
    assert Cost(usd=0.5, seconds=9).at(0.086).usd == 0.5


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        (0.0, "0.00"),
        (0.1 + 0.2, "0.30"),
        (4.949999999999999, "4.95"),
        (0.0123456, "0.01235"),
        (0.00001, "0.00001"),
        (1234.5678, "1234.57"),
        (-0.5, "-0.50"),
    ],
)
def test_amounts_are_written_in_one_way(usd: float, said: str) -> None:
    assert format_usd(usd) == said


@pytest.mark.parametrize("usd", [1e6 + 1, 1e308, math.inf, math.nan])
def test_more_than_any_job_can_cost_is_unknown(usd: float) -> None:
    assert Cost(usd=usd, refunded_usd=usd) == Cost()
    assert Cost(seconds=1e300).at(1e9).usd is None
    assert Estimate(cost_usd=usd).bound_usd is None
