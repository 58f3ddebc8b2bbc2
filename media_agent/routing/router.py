"""Who makes a video: every model that could, planned, priced, ranked and explained. Spends nothing.

Who wants the cheapest or the fastest gets it, however many parts it has. Else first comes what
makes the video in one piece, then what extends it, then what chains it from last frames.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import InvalidRequestError, MediaAgentError, PluginError, to_info
from media_agent.negotiation.budget import find_budget_errors
from media_agent.negotiation.draft import Shape
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.explain import choose_plan
from media_agent.routing.learning.experience import Experience
from media_agent.routing.learning.outlook import Outlooks
from media_agent.routing.methods.choice import ModelChoice
from media_agent.routing.methods.method import MethodPlanner
from media_agent.routing.offers import find_offering
from media_agent.routing.ranking import Ranking
from media_agent.routing.rules import Route, RoutingContext, RoutingRules, refusals_of
from media_agent.suggest import did_you_mean
from media_agent_schemas.facts import Verification, VerificationLevel
from media_agent_schemas.plan import Candidate, Plan, PlanReport, Policy
from media_agent_schemas.request import VideoRequest


class Router:
    """Ranks what the given backends could do; `broken` are those that could not be started.

    `plugins` has the plugin of each backend, to be named where planning for it breaks; `shape` is
    that of the image or video that requests bring along, width by height; `recall` returns what
    earlier outcomes taught, None if nothing did.
    """

    def __init__(
        self,
        backends: Mapping[str, VideoBackend],
        catalogue: Catalogue,
        rules: RoutingRules | None = None,
        *,
        draw_seed: Callable[[], int],
        broken: Mapping[str, MediaAgentError] | None = None,
        plugins: Mapping[str, str] | None = None,
        shape: Shape | None = None,
        recall: Callable[[], Experience | None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._backends = backends
        self._catalogue = catalogue
        self._rules = rules or RoutingRules()
        self._draw_seed = draw_seed
        self.broken = dict(broken or {})
        self._plugins = plugins or {}
        self._shape = shape
        self._recall = recall
        self._now = now

    def report(
        self,
        request: VideoRequest,
        policy: Policy = Policy.ADJUST,
        *,
        model: str | None = None,
        allow_unknown_words: bool = False,
        best: int | None = None,
    ) -> PlanReport:
        """Return every candidate, best first, then the refused ones with their reasons.

        `model`, or the one that the request names, is the only candidate, or all the offers of it
        are; unknown words are allowed to one alone. With `best` only so many of many, and the best
        one of each backend, are planned in full: of the others is said what they cost at least.

        Raises:
            InvalidRequestError: the request names a backend, model or route that does not exist.
        """
        context = self._build_context(request, policy, allow_unknown_words, model)
        return self._report(context, best)

    def plan(
        self,
        request: VideoRequest,
        policy: Policy = Policy.ADJUST,
        *,
        model: str | None = None,
        allow_unknown_words: bool = False,
    ) -> Plan:
        """Return the plan of `model`, or of the one the request names, else of the best candidate.

        Raises:
            MediaAgentError: no backend can serve it; the reasons are those of all candidates.
        """
        context = self._build_context(request, policy, allow_unknown_words, model)
        if context.route.model is None:
            return choose_plan(self._report(context))
        choice = self.find_model(context.route.model)
        for refusal in self._list_refusals(context.route, choice):
            raise refusal
        plan = self._rank(context, ()).planner.plan(choice, context, 0.0)
        route = context.route
        for refusal in find_budget_errors(choice.name, plan, route.max_cost_usd, route.day):
            raise refusal
        return plan

    def is_offered(self, name: str) -> bool:
        """Return whether this is the name of a model that backends offer under names of their own.

        Raises:
            InvalidRequestError: it is the name of a backend as well.
        """
        backends = (*self._backends, *self.broken)
        return bool(find_offering(name, self._catalogue.offers, backends))

    def find_model(self, name: str) -> ModelChoice:
        """Return a model as a planner sees it, with what the catalogue knows of it.

        Raises:
            InvalidRequestError: there is no such backend or model.
        """
        backend_name, _, model = name.partition("/")
        backend = self._backends.get(backend_name)
        if backend is None:
            if backend_name in self.broken:
                raise self.broken[backend_name]
            raise InvalidRequestError(
                f"unknown backend {backend_name!r}",
                hint=did_you_mean(backend_name, [*self._backends, *self.broken]),
            )
        return self._catalogue.find_choice(backend, model or None)

    def names(self) -> list[str]:
        """Return the names of the backends that can be asked."""
        return list(self._backends)

    def models(self, name: str) -> list[str]:
        """Return the models of a backend; one without any reports that when it is asked for."""
        try:
            capabilities = self._backends[name].capabilities()
        except MediaAgentError:
            return [name]
        return [f"{name}/{model}" for model in capabilities.models or (capabilities.model,)]

    def _report(self, context: RoutingContext, best: int | None = None) -> PlanReport:
        found = [self._try_model(each, context) for each in self._list_names(context.route)]
        choices = [each for each in found if isinstance(each, ModelChoice)]
        unusable = [each for each in found if isinstance(each, Candidate)]
        experience = self._recall()
        outlooks = None
        if experience is not None:
            tests = {name for name in experience.offers if self._is_for_tests(name)}
            outlooks = Outlooks(experience, self._now(), self._rules.exploration, tests)
        return replace(self._rank(context, choices), outlooks=outlooks).report(unusable, best)

    def _is_for_tests(self, offer: str) -> bool:
        """Whether an offer that was used is for tests; it need not be one to choose from."""
        try:
            facts = self.find_model(offer).facts
        except MediaAgentError:  # it is not here any more
            backend, _, model = offer.partition("/")
            facts = self._catalogue.facts(backend, model)
        return facts.status == "test"

    def _rank(self, context: RoutingContext, choices: Sequence[ModelChoice]) -> Ranking:
        planner = MethodPlanner(self.find_model, self._plugins, self._shape)
        refuse = partial(self._list_refusals, context.route)
        return Ranking(context, choices, planner, refuse)

    def _list_names(self, route: Route) -> list[str]:
        """Return the models to consider: the named one, or all that are listed or allowed.

        Raises:
            InvalidRequestError: a preference names a backend or model that does not exist.
        """
        if route.model is not None:
            return [route.model]
        self._check_preferences(route)
        if route.offer_of is not None:
            return list(self._list_offers(route.offer_of))
        listed = [each for name in self._backends for each in self.models(name)]
        wanted = [name for name in route.allow or () if "/" in name]
        known = [name for name in wanted if name.partition("/")[0] in self._backends]
        return list(dict.fromkeys([*listed, *known, *self.broken]))

    def _list_offers(self, name: str) -> Iterator[str]:
        """Yield the models that are offers of one, and the backends of offers that are broken."""
        for backend in self._catalogue.offers.get(name, ()):
            if backend in self.broken:
                yield backend
            elif backend in self._backends:
                listed = (each.partition("/")[2] for each in self.models(backend))
                further = (each for each in self._catalogue.files[backend] if "*" not in each)
                for model in dict.fromkeys((*listed, *further)):
                    if self._catalogue.facts(backend, model).offer_of == name:
                        yield f"{backend}/{model}"

    def _check_preferences(self, route: Route) -> None:
        """Refuse unknown names: a typo in `deny` would admit a backend, and cost money."""
        for name in (*(route.allow or ()), *route.deny):
            if name in self._catalogue.offers:
                continue
            backend, _, model = name.partition("/")
            is_known = backend in self.broken or (backend in self._backends and not model)
            if is_known:
                continue
            try:
                self.find_model(name)
            except PluginError:  # it cannot be asked, nor make anything
                continue

    def _build_context(
        self,
        request: VideoRequest,
        policy: Policy,
        allow_unknown_words: bool,
        model: str | None = None,
    ) -> RoutingContext:
        route = self._rules.resolve_route(request)
        if model is not None:
            route = replace(route, model=model)
        if route.model is not None and self.is_offered(route.model):
            route = replace(route, model=None, offer_of=route.model)
        if route.model is None and request.routing is None:
            route = replace(route, default=self._find_default())
        seed = self._draw_seed() if request.seed is None else request.seed
        is_named = route.model is not None
        words = allow_unknown_words and is_named
        return RoutingContext(request, policy, route, seed, words, request.infer_mode())

    def _find_default(self) -> str | None:
        """Return the full name of the default model; None: there is none, or it is gone."""
        if self._rules.default is None or self.is_offered(self._rules.default):
            return None
        with contextlib.suppress(MediaAgentError):  # whoever uses it is told
            return self.find_model(self._rules.default).name
        return None

    def _list_refusals(self, route: Route, choice: ModelChoice) -> Iterator[MediaAgentError]:
        declared = self._rules.declared
        is_declared = declared is None or choice.capabilities.backend in declared
        return refusals_of(choice.capabilities, choice.facts, route, is_declared=is_declared)

    def _try_model(self, name: str, context: RoutingContext) -> ModelChoice | Candidate:
        try:
            return self.find_model(name)
        except MediaAgentError as error:
            if context.route.model is not None:
                raise
            return _unusable_candidate(name, error)


def _unusable_candidate(name: str, error: MediaAgentError) -> Candidate:
    backend, _, model = name.partition("/")
    unknown = Verification(level=VerificationLevel.SHEET_ONLY, note="it could not be started")
    return Candidate(
        backend=backend, model=model or "-", verification=unknown, refusals=(to_info(error),)
    )
