"""Routing preferences, and what excludes a model."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from media_agent.errors import (
    ConfigurationError,
    InvalidRequestError,
    MediaAgentError,
    Mismatch,
    ModelRetiredError,
    UnsupportedRequestError,
)
from media_agent.negotiation.budget import DayBudget
from media_agent.negotiation.possible_lengths import (
    choose_fps,
    find_longest_shot,
    find_wanted_seconds,
    format_longest_shot,
)
from media_agent.routing.facts import ModelFacts
from media_agent.routing.learning.scores import NONE, Exploration
from media_agent.suggest import did_you_mean
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.plan import Adjustment, Plan, Policy
from media_agent_schemas.request import Budget, Routing, RoutingPreference, VideoMode, VideoRequest


@dataclass(frozen=True, slots=True)
class Route:
    """The routing preferences of a request and the settings, combined."""

    model: str | None = None
    offer_of: str | None = None
    """The model that is wanted from any backend that offers it; None: no model was named so."""
    default: str | None = None
    """The model that makes the video where neither a model nor preferences are given."""
    prefer: RoutingPreference = RoutingPreference.LOCAL_FIRST
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    licences: tuple[str, ...] | None = None
    local_only: bool = False
    max_cost_usd: float | None = None
    waiting_usd_per_second: float | None = None
    """What a second of waiting costs; None: as the settings say."""
    day: DayBudget | None = None
    """What the budget of a day leaves; None: there is none."""


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """What the settings say about routing."""

    routes: Mapping[str, Route] = field(default_factory=dict)
    max_cost_usd: float | None = None
    day: DayBudget | None = None
    declared: Collection[str] | None = None
    """Backends that have a section in the settings, and so count as named; None: all count."""
    default: str | None = None
    """The backend or model that the settings name for requests that name none."""
    waiting_usd_per_second: float = 0.0
    """What a second of waiting costs where neither a request nor its route says it."""
    exploration: Exploration = NONE

    def resolve_route(self, request: VideoRequest) -> Route:
        """Return the effective preferences of a request: its own, then its route's.

        Raises:
            InvalidRequestError: there is no route of that name.
        """
        preferences = request.routing or Routing()
        route = Route() if preferences.route is None else self._find_route(preferences.route)
        budget = None if request.budget is None else request.budget.max_cost_usd
        budgets = (budget, route.max_cost_usd, self.max_cost_usd)
        waiting = (
            preferences.waiting_usd_per_second,
            route.waiting_usd_per_second,
            self.waiting_usd_per_second,
        )
        return Route(
            model=request.model or route.model,
            prefer=preferences.prefer or route.prefer,
            allow=route.allow if preferences.allow is None else preferences.allow,
            deny=(*preferences.avoid, *route.deny),
            licences=route.licences if preferences.licences is None else preferences.licences,
            local_only=preferences.local_only or route.local_only,
            max_cost_usd=min((each for each in budgets if each is not None), default=None),
            waiting_usd_per_second=next(each for each in waiting if each is not None),
            day=self.day,
        )

    def _find_route(self, name: str) -> Route:
        if name not in self.routes:
            raise InvalidRequestError(
                f"unknown route {name!r}", hint=did_you_mean(name, self.routes)
            )
        return self.routes[name]


@dataclass(frozen=True, slots=True)
class RoutingContext:
    """A request with everything that is decided before any model is considered."""

    request: VideoRequest
    policy: Policy
    route: Route
    seed: int
    allow_unknown_words: bool
    mode: VideoMode

    @property
    def prefer(self) -> RoutingPreference:
        """How the candidates are ranked."""
        return self.route.prefer

    def for_model(self, name: str) -> VideoRequest:
        """Return the request for this model; choosing it has met the routing preferences."""
        left = None if self.route.day is None else self.route.day.left
        limits = [each for each in (self.route.max_cost_usd, left) if each is not None]
        budget = Budget(max_cost_usd=min(limits)) if limits else None
        routing = None if self.route.model is None else self.request.routing
        return self.request.model_copy(update={"model": name, "routing": routing, "budget": budget})

    def note_model(self, plan: Plan, facts: ModelFacts) -> Plan:
        """Return the plan with an adjustment that names its model; warn of an unverified one."""
        name = f"{plan.backend}/{plan.model}"
        if facts.status == "unverified":
            warning = f"{name} {_describe_unverified(facts)}"
            plan = plan.model_copy(update={"warnings": (*plan.warnings, warning)})
        if self.request.model == name:
            return plan
        named, offered = self.route.model is not None, self.route.offer_of
        reason = "the full name" if named else f"routed by preference: {self.prefer}"
        if offered is not None:
            reason = f"an offer of {offered}, {reason}"
        note = Adjustment(field="model", asked=self.request.model, used=name, reason=reason)
        return plan.model_copy(update={"adjustments": (note, *plan.adjustments)})


def refusals_of(
    capabilities: Capabilities, facts: ModelFacts, route: Route, *, is_declared: bool = True
) -> Iterator[MediaAgentError]:
    """Yield what excludes a model, whatever its capabilities.

    A model that nobody rated may be anything. It is chosen only by name, its own or that of the
    model that it is an offer of, or if the settings declare its backend or name it as the default.
    """
    name = f"{capabilities.backend}/{capabilities.model}"
    names = {capabilities.backend, name}
    by_name = route.model is not None or name == route.default
    by_name = by_name or not names.isdisjoint(route.allow or ())
    if facts.offer_of is not None:
        names.add(facts.offer_of)
    if route.allow is not None and names.isdisjoint(route.allow):
        yield _exclude(name, "allow", ", ".join(route.allow), "not in this list")
    if not names.isdisjoint(route.deny):
        yield _exclude(name, "deny", ", ".join(route.deny), "it is in this list")
    if route.local_only and not capabilities.local:
        yield _exclude(name, "local only", "yes", "it is hosted")
    if route.licences is not None and capabilities.licence not in route.licences:
        licence = capabilities.licence or "unknown"
        yield _exclude(name, "licence", ", ".join(route.licences), f"its licence is {licence}")
    reason = (
        None
        if by_name
        else _find_reason_to_be_named(
            capabilities, facts, is_rated=is_declared or _is_wanted_offer(facts, route)
        )
    )
    if reason is not None:
        yield UnsupportedRequestError(
            f"{name} {reason} and is used only when named", hint=f"--backend {name}"
        )
    if facts.status == "retired":
        yield _retired_error(name, facts)
    if capabilities.missing is not None:
        yield ConfigurationError(f"{name} needs {capabilities.missing}")


def _is_wanted_offer(facts: ModelFacts, route: Route) -> bool:
    """Return whether the model that it is an offer of was named."""
    named = (route.offer_of, *(route.allow or ()))
    return facts.offer_of is not None and facts.offer_of in named


def _retired_error(name: str, facts: ModelFacts) -> ModelRetiredError:
    since = facts.status_since
    gone = "has been retired" if since is None else f"was retired on {since}"
    source = "" if facts.status_source is None else f" ({facts.status_source})"
    instead = f"use {facts.successor}" if facts.successor else "choose another model"
    return ModelRetiredError(f"{name} {gone}{source}", hint=instead)


def _describe_unverified(facts: ModelFacts) -> str:
    since = "" if facts.status_since is None else f" since {facts.status_since:%B %Y}"
    return f"is unverified{since}, probably retired"


def _find_reason_to_be_named(
    capabilities: Capabilities, facts: ModelFacts, *, is_rated: bool
) -> str | None:
    if capabilities.only_by_name:
        return "is of an unknown kind"
    if facts.status == "test":
        return "is a test backend"
    if facts.status == "unverified":
        return f"{_describe_unverified(facts)},"
    if facts.only_named is not None:
        return facts.only_named
    if facts.quality is None and not is_rated:
        return "has no quality rating"
    return None


def find_length_mismatch(request: VideoRequest, capabilities: Capabilities) -> Mismatch:
    """Return what does not fit into one submission, for a model that cannot continue videos."""
    ways = "and can neither extend a video nor start from an image"
    if request.endless:
        return Mismatch("endless", "on", f"it only makes videos of a fixed length {ways}")
    fps = choose_fps(request.fps, capabilities)
    longest = find_longest_shot(capabilities, fps)
    if longest is None or find_wanted_seconds(request, fps, capabilities) < longest + 1 / fps:
        return Mismatch(
            "shots", str(len(request.shots)), f"it supports {capabilities.max_shots} {ways}"
        )
    asked = f"{find_wanted_seconds(request, fps, capabilities):g}"
    most = format_longest_shot(capabilities, fps)
    return Mismatch("duration", asked, f"it makes {most} at once {ways}")


def suggest_length(request: VideoRequest, capabilities: Capabilities) -> str:
    """Return a hint for a length that a model does not support."""
    longest = find_longest_shot(capabilities, request.fps)
    less = "ask for less" if longest is None else f"ask for at most {longest:g} s"
    return f"{less}, or choose a backend that extends or chains videos: media-agent plan lists them"


def _exclude(name: str, rule: str, asked: str, reason: str) -> UnsupportedRequestError:
    return UnsupportedRequestError(
        f"{name} is excluded", mismatches=[Mismatch(rule, asked, reason)]
    )
