"""Wishes about who makes a video, put together from a request and the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from media_agent.errors import InvalidRequestError
from media_agent.nearest import did_you_mean
from media_agent_schemas.capabilities import Adjustment, Plan, Policy
from media_agent_schemas.request import Budget, Routing, RoutingPreference, VideoRequest


@dataclass(frozen=True, slots=True)
class Route:
    """Wishes about who makes a video, from the request and the settings together."""

    model: str | None = None
    prefer: RoutingPreference = RoutingPreference.LOCAL_FIRST
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    licences: tuple[str, ...] | None = None
    local_only: bool = False
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about routing."""

    routes: Mapping[str, Route] = field(default_factory=dict)
    max_cost_usd: float | None = None

    def route(self, request: VideoRequest) -> Route:
        """Return the wishes that hold for a request: its own, then its route's.

        Raises:
            InvalidRequestError: there is no route of that name.
        """
        wishes = request.routing or Routing()
        route = Route() if wishes.route is None else self._named(wishes.route)
        budget = None if request.budget is None else request.budget.max_cost_usd
        budgets = (budget, route.max_cost_usd, self.max_cost_usd)
        return Route(
            model=request.model or route.model,
            prefer=wishes.prefer or route.prefer,
            allow=route.allow if wishes.allow is None else wishes.allow,
            deny=(*wishes.avoid, *route.deny),
            licences=route.licences if wishes.licences is None else wishes.licences,
            local_only=wishes.local_only or route.local_only,
            max_cost_usd=min((each for each in budgets if each is not None), default=None),
        )

    def _named(self, name: str) -> Route:
        if name not in self.routes:
            raise InvalidRequestError(
                f"there is no route {name!r} in the settings", hint=did_you_mean(name, self.routes)
            )
        return self.routes[name]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with all that is decided about it before any model is looked at."""

    request: VideoRequest
    policy: Policy
    route: Route
    seed: int
    allow_unknown_words: bool

    @property
    def prefer(self) -> RoutingPreference:
        """What decides among those that could."""
        return self.route.prefer

    def for_model(self, name: str) -> VideoRequest:
        """Return the request as this model gets it; wishes of a choice were met by choosing."""
        budget = None
        if self.route.max_cost_usd is not None:
            budget = Budget(max_cost_usd=self.route.max_cost_usd)
        routing = None if self.route.model is None else self.request.routing
        return self.request.model_copy(update={"model": name, "routing": routing, "budget": budget})

    def noted(self, plan: Plan) -> Plan:
        """Return the plan with a word about who makes it."""
        name = f"{plan.backend}/{plan.model}"
        if self.request.model == name:
            return plan
        named = self.route.model is not None
        reason = "the name in full" if named else f"routed by preference: {self.prefer}"
        note = Adjustment(field="model", asked=self.request.model, used=name, reason=reason)
        return plan.model_copy(update={"adjustments": (note, *plan.adjustments)})
