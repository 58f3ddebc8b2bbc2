"""What budgets say against a plan; an unknown price is within none."""

from collections.abc import Iterator

from media_agent.errors import BudgetExceededError
from media_agent_schemas.base import format_usd
from media_agent_schemas.capabilities import Estimate, Plan

_ROUNDING = 1e-9  # USD; prices are added up and multiplied by seconds


def find_budget_errors(
    name: str, plan: Plan, budget: float | None
) -> Iterator[BudgetExceededError]:
    """Yield what a budget says against a plan."""
    if not (plan.repeats and plan.estimate.cost_usd == 0):
        yield from find_price_errors(name, plan.estimate, budget)


def find_price_errors(
    name: str, estimate: Estimate, budget: float | None
) -> Iterator[BudgetExceededError]:
    """Yield what a budget says against a price."""
    cost = estimate.cost_usd
    if budget is None:
        return
    if cost is None:
        source = estimate.source
        because = "" if source is None else f" ({source})"
        yield BudgetExceededError(
            f"{name} has an unknown price{because}; the budget is {format_usd(budget)} USD",
            hint="omit the budget, or choose a backend or options with a known price",
        )
    elif cost > budget + _ROUNDING:
        yield BudgetExceededError(
            f"{name} would cost {format_usd(cost)} USD; "
            f"the budget is {_format_limit(budget, cost)} USD",
            hint="raise the budget, or ask for less",
        )


def check_day(plan: Plan, *, spent: float, per_day: float) -> None:
    """Check a plan against what is left of a day; what is free can always be made.

    Raises:
        BudgetExceededError: it would cost more, or its price is unknown.
    """
    if _is_within(plan, spent, per_day):
        return
    left = _format_limit(max(0.0, per_day - spent), plan.estimate.cost_usd)
    raise BudgetExceededError(
        f"{_say_price(plan)}; {left} USD are left of the {format_usd(per_day)} USD for 24 hours",
        hint="wait until earlier costs are older, raise budget.max_cost_usd_per_day, "
        "or ask for less",
    )


def check_caller(plan: Plan, caller: str, *, spent: float, limit: float, period: str) -> None:
    """Check a plan against the budget of a server's caller; what is free can always be made.

    Raises:
        BudgetExceededError: it would cost more, or its price is unknown.
    """
    if _is_within(plan, spent, limit):
        return
    left = _format_limit(max(0.0, limit - spent), plan.estimate.cost_usd)
    raise BudgetExceededError(
        f"{_say_price(plan)}; the API keys of {caller} allow {format_usd(limit)} USD {period}, "
        f"of which {format_usd(max(0.0, spent))} USD are spent or reserved and {left} USD are left",
        hint="ask for less, or ask whoever runs the server for a larger budget",
    )


def _is_within(plan: Plan, spent: float, limit: float) -> bool:
    cost = plan.estimate.cost_usd
    return cost == 0 or (cost is not None and spent + cost <= limit + _ROUNDING)


def _say_price(plan: Plan) -> str:
    cost = plan.estimate.cost_usd
    price = "an unknown price" if cost is None else f"{format_usd(cost)} USD"
    return f"{plan.backend}/{plan.model} would cost {price}"


def _format_limit(limit: float, cost: float | None) -> str:
    """Return a limit as any amount, or all of it where rounding hides that the cost is above it."""
    rounded = format_usd(limit)
    return f"{limit:.12g}" if cost is not None and rounded == format_usd(cost) else rounded
