"""The flags that say who may make a video, and for how much; the same for plan and generate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from media_agent_schemas.request import Budget, Routing

_Names = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFlags:
    """Wishes about who makes it; any of them chooses among all backends unless one is named."""

    route: str | None = None
    """A route of the settings, [routes.NAME]; flags say what it does not."""
    prefer: Literal["cheapest", "fastest", "local-first", "best"] | None = None
    """What decides among those that could; best is an opinion of the catalogue."""
    max_cost: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    """What it may cost, in USD; an unknown price is not within it."""
    allow: _Names = ()
    """Only this NAME or NAME/MODEL; may be repeated."""
    deny: _Names = ()
    """Never this NAME or NAME/MODEL; may be repeated."""
    local_only: Annotated[bool, Parameter(negative=())] = False
    """Only what works on this machine."""

    def routing(self) -> "Routing | None":
        """Return the wishes as a request has them, None if there is none."""
        from media_agent_schemas.request import Routing, RoutingPreference

        if not (self.route or self.prefer or self.allow or self.deny or self.local_only):
            return None
        return Routing(
            route=self.route,
            prefer=None if self.prefer is None else RoutingPreference(self.prefer),
            allow=self.allow or None,
            avoid=self.deny,
            local_only=self.local_only,
        )

    def budget(self) -> "Budget | None":
        """Return the budget of the request.

        Raises:
            InvalidRequestError: it is no amount.
        """
        from pydantic import ValidationError

        from media_agent.cli.arguments import number
        from media_agent.errors import InvalidRequestError
        from media_agent_schemas.request import Budget

        amount = number("max-cost", self.max_cost)
        try:
            return None if amount is None else Budget(max_cost_usd=amount)
        except ValidationError:
            raise InvalidRequestError(f"--max-cost {self.max_cost} is not an amount") from None


NO_FLAGS = RoutingFlags()
