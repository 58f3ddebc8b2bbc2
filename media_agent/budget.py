"""What budgets say against a plan; an unknown price is within none."""

from collections.abc import Iterator

from media_agent.errors import BudgetExceededError
from media_agent_schemas.capabilities import Plan

_ROUNDING = 1e-9  # USD; prices are added up and multiplied by seconds


def too_dear(name: str, plan: Plan, budget: float | None) -> Iterator[BudgetExceededError]:
    """Yield what a budget says against a plan."""
    cost = plan.estimate.cost_usd
    if budget is None or (plan.repeats and cost == 0):
        return
    if cost is None:
        yield BudgetExceededError(
            f"nobody knows what {name} will cost; the budget is {budget:g} USD",
            hint="leave the budget out, or choose a backend with a known price",
        )
    elif cost > budget + _ROUNDING:
        yield BudgetExceededError(
            f"{name} would cost {cost:g} USD; the budget is {budget:g} USD",
            hint="raise the budget, or ask for less",
        )
