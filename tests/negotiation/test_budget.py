"""What budgets say: in rounded amounts, as money is written everywhere."""

from collections.abc import Callable
from functools import partial

import pytest

from media_agent.errors import BudgetExceededError
from media_agent.negotiation.budget import check_caller, check_day, find_budget_errors
from media_agent_schemas import Estimate, Plan, Policy, VideoRequest


def plan(cost: float | None) -> Plan:
    return Plan(
        backend="fal",
        model="m",
        policy=Policy.ADJUST,
        request=VideoRequest(prompt="a cat", num_frames=48, fps=24),
        estimate=Estimate(cost_usd=cost),
    )


@pytest.mark.parametrize(
    ("cost", "budget", "said"),
    [
        (2.0, 0.1 + 0.2, "fal/m would cost 2.00 USD; the budget is 0.30 USD"),
        (0.5, 1 / 3, "fal/m would cost 0.50 USD; the budget is 0.3333 USD"),
        (None, 0.1 + 0.2, "fal/m has an unknown price; the budget is 0.30 USD"),
        (0.5, 0.49999999, "fal/m would cost 0.50 USD; the budget is 0.49999999 USD"),
    ],
)
def test_a_budget_is_written_without_noise(cost: float | None, budget: float, said: str) -> None:
    (error,) = find_budget_errors("fal/m", plan(cost), budget)

    assert error.message == said


def test_what_is_left_of_a_day_is_written_without_noise() -> None:
    with pytest.raises(BudgetExceededError) as caught:
        check_day(plan(2.0), spent=3 * 1.1, per_day=5.0)

    assert caught.value.message == (
        "fal/m would cost 2.00 USD; of the 5.00 USD for a day (UTC) 3.30 USD are spent or held and "
        "1.70 USD are left"
    )


@pytest.mark.parametrize(
    "check",
    [
        partial(check_day, per_day=5.0),
        partial(check_caller, caller="ada", limit=5.0, period="a day"),
    ],
)
def test_amounts_of_one_message_add_up(check: Callable[..., None]) -> None:
    with pytest.raises(BudgetExceededError) as caught:
        check(plan(6.0), spent=0.003047)

    assert "fal/m would cost 6.00 USD; " in caught.value.message
    assert " 5.00 USD " in caught.value.message
    assert "0.003047 USD are spent or held and 4.996953 USD are left" in caught.value.message


def test_a_cost_that_rounding_makes_equal_to_what_is_left_is_told_from_it() -> None:
    with pytest.raises(BudgetExceededError, match=r"0\.50 USD; .* and 0\.49999999 USD are left"):
        check_day(plan(0.5), spent=4.50000001, per_day=5.0)
