"""Costs that a person agrees to before anything is submitted; an agent cannot agree for them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from media_agent.errors import BudgetExceededError
from media_agent_schemas.base import format_usd
from media_agent_schemas.plan import Plan


@dataclass(frozen=True, slots=True)
class Quote:
    """What a video would cost, and by whom: what a person is asked about."""

    key: str
    """The idempotency key of the call."""
    model: str
    cost_usd: float | None
    limit_usd: float

    @property
    def token(self) -> str:
        """The name of this question: another video, model or price has another one."""
        text = json.dumps([self.key, self.model, self.cost_usd])
        return f"cost-{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    @property
    def price(self) -> str:
        """The price in words."""
        known = self.cost_usd is not None
        return f"about {format_usd(self.cost_usd)} USD" if known else "a price that is unknown"  # type: ignore[arg-type]  # known

    def to_error(self) -> BudgetExceededError:
        """Return the error that says it was not submitted, and what a person can do."""
        return BudgetExceededError(
            f"nothing was submitted: {self.model} would generate it for {self.price}, and a person "
            f"must agree to more than {format_usd(self.limit_usd)} USD",
            hint="choose a cheaper model or a shorter video; or let a person raise "
            "confirm_above_usd in the settings",
        )


class ConsentNeededError(Exception):
    """A person has to agree to the price first."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(quote.price)
        self.quote = quote


@dataclass(frozen=True, slots=True)
class Consent:
    """What may be spent without a question, and what a person agreed to."""

    limit_usd: float | None
    """None: no question is asked."""
    agreed: Quote | None = None

    def check(self, plans: Sequence[Plan], key: str) -> tuple[Plan, ...]:
        """Return the plans that may be followed: the first, and what costs no more.

        Raises:
            ConsentNeededError: nobody agreed to the price of the first.
        """
        limit = self.limit_usd
        if limit is None:
            return tuple(plans)
        first, *others = plans
        price = first.estimate.cost_usd
        if not _is_within(price, limit):
            quote = Quote(key, f"{first.backend}/{first.model}", price, limit)
            if self.agreed is None or quote.token != self.agreed.token:
                raise ConsentNeededError(quote)
        most = max(limit, price or 0.0)
        return (first, *(each for each in others if _is_within(each.estimate.cost_usd, most)))


def _is_within(usd: float | None, limit: float) -> bool:
    return usd is not None and usd <= limit
