"""What budgets say against a plan; an unknown price is within none."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from media_agent.errors import BudgetExceededError
from media_agent_schemas.base import format_usd, format_usd_together
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.plan import Plan

_NO_PRICE = (
    "choose a backend or options with a known price, or omit the budget; work on hardware whose "
    "hours are priced has one with a deadline"
)
_ROUNDING = 1e-9  # USD; prices are added up and multiplied by seconds


@dataclass(frozen=True, slots=True)
class DayBudget:
    """What may be spent on one day (UTC), and what of it is spent or held."""

    usd: float
    taken: float

    @property
    def left(self) -> float:
        """Return what is left."""
        return max(0.0, self.usd - self.taken)

    def refusal(self, name: str, cost: float | None) -> BudgetExceededError:
        """Return the error of what would cost more than is left."""
        hint = (
            "the next day begins at 00:00 UTC; or raise budget.max_cost_usd_per_day, "
            "or ask for less"
        )
        price, usd, taken, left = _format_alike(cost, self.usd, self.taken, self.left)
        return BudgetExceededError(
            f"{name} would cost {price}; of the {usd} USD for a day (UTC) "
            f"{taken} USD are spent or held and {left} USD are left",
            hint=_NO_PRICE if cost is None else hint,
        )


def begin_of_day(now: datetime) -> datetime:
    """Return when the day of a time began: days are those of UTC, whatever the clock here says.

    Costs count on the day at which they were intended. A clock that is set back or forward counts
    some of them on the day before or after; no day can spend more than its budget by that.
    """
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def find_budget_errors(
    name: str, plan: Plan, budget: float | None, day: DayBudget | None = None
) -> Iterator[BudgetExceededError]:
    """Yield what budgets say against a plan."""
    if not (plan.repeats and plan.estimate.cost_usd == 0):
        yield from find_price_errors(name, plan.estimate, budget, day)


def find_price_errors(
    name: str, estimate: Estimate, budget: float | None, day: DayBudget | None = None
) -> Iterator[BudgetExceededError]:
    """Yield what budgets say against a price."""
    cost = estimate.bound_usd
    if day is not None and not _is_within(cost, day.taken, day.usd):
        yield day.refusal(name, cost)
    if budget is None:
        return
    if cost is None:
        source = estimate.source
        because = "" if source is None else f" ({source})"
        yield BudgetExceededError(
            f"{name} has an unknown price{because}; the budget is {format_usd(budget)} USD",
            hint=_NO_PRICE,
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
    cost = plan.estimate.bound_usd
    if not _is_within(cost, spent, per_day):
        raise DayBudget(per_day, max(0.0, spent)).refusal(f"{plan.backend}/{plan.model}", cost)


def check_caller(plan: Plan, caller: str, *, spent: float, limit: float, period: str) -> None:
    """Check a plan against the budget of a server's caller; what is free can always be made.

    Raises:
        BudgetExceededError: it would cost more, or its price is unknown.
    """
    cost = plan.estimate.bound_usd
    if _is_within(cost, spent, limit):
        return
    amounts = (limit, max(0.0, spent), max(0.0, limit - spent))
    price, usd, taken, left = _format_alike(cost, *amounts)
    hint = "ask for less, or ask whoever runs the server for a larger budget"
    raise BudgetExceededError(
        f"{plan.backend}/{plan.model} would cost {price}; the API keys of {caller} allow {usd} USD "
        f"{period}, of which {taken} USD are spent or held and {left} USD are left",
        hint=_NO_PRICE if cost is None else hint,
    )


def _is_within(cost: float | None, spent: float, limit: float) -> bool:
    return cost == 0 or (cost is not None and spent + cost <= limit + _ROUNDING)


def _format_alike(
    cost: float | None, limit: float, taken: float, left: float
) -> tuple[str, str, str, str]:
    """Return a price and the amounts that it is compared with, as one message has them."""
    price, *amounts = format_usd_together(0.0 if cost is None else cost, limit, taken, left)
    if cost is None:
        return "an unknown price", amounts[0], amounts[1], amounts[2]
    rest = f"{left:.12g}" if amounts[2] == price else amounts[2]
    return f"{price} USD", amounts[0], amounts[1], rest


def _format_limit(limit: float, cost: float | None) -> str:
    """Return a limit as any amount, or all of it where rounding hides that the cost is above it."""
    rounded = format_usd(limit)
    return f"{limit:.12g}" if cost is not None and rounded == format_usd(cost) else rounded
