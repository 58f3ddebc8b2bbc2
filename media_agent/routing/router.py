"""Who makes a video: every model that could, planned, priced, ranked and explained. Spends nothing.

Who wants the cheapest or the fastest gets it, however many parts it has. Else first comes what
makes the video in one piece, then what extends it, then what chains it from last frames.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from media_agent.backend.fence import call_plugin
from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    InvalidRequestError,
    MediaAgentError,
    PluginError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.negotiation.budget import find_budget_errors
from media_agent.negotiation.draft import Shape
from media_agent.negotiation.negotiate import negotiate
from media_agent.negotiation.possible_lengths import (
    choose_fps,
    find_longest_shot,
    find_wanted_seconds,
    fits_one_shot,
)
from media_agent.negotiation.prompts import AS_WRITTEN, PromptRules
from media_agent.routing.catalogue import Catalogue, ModelFacts
from media_agent.routing.explain import choose_plan, make_sort_key, reasons_of, summary_of
from media_agent.routing.rules import (
    Route,
    RoutingContext,
    RoutingRules,
    find_length_mismatch,
    refusals_of,
    suggest_length,
)
from media_agent.routing.segments import ContinuesFrom, ModelChoice
from media_agent.routing.split import plan_segments
from media_agent.suggest import did_you_mean
from media_agent_schemas.capabilities import (
    Estimate,
    Method,
    Plan,
    Policy,
    Verification,
    VerificationLevel,
)
from media_agent_schemas.media import InputRole
from media_agent_schemas.plan import Candidate, PlanReport
from media_agent_schemas.request import VideoMode, VideoRequest


class Router:
    """Ranks what the given backends could do; `broken` are those that could not be started.

    `plugins` has the plugin of each backend, to be named where planning for it breaks; `shape` is
    that of the image or video that requests bring along, width by height.
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
    ) -> None:
        self._backends = backends
        self._catalogue = catalogue
        self._rules = rules or RoutingRules()
        self._draw_seed = draw_seed
        self.broken = dict(broken or {})
        self._plugins = plugins or {}
        self._shape = shape

    def report(
        self,
        request: VideoRequest,
        policy: Policy = Policy.ADJUST,
        *,
        allow_unknown_words: bool = False,
    ) -> PlanReport:
        """Return every candidate, best first, then the refused ones with their reasons.

        A model named in the request is the only candidate; unknown words are allowed to it alone.

        Raises:
            InvalidRequestError: the request names a backend, model or route that does not exist.
        """
        return self._report(self._build_context(request, policy, allow_unknown_words))

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
        for refusal in self._list_refusals(choice, context.route):
            raise refusal
        plan = self._plan(choice, context, 0.0)
        for refusal in find_budget_errors(choice.name, plan, context.route.max_cost_usd):
            raise refusal
        return plan

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
        capabilities = self._catalogue.correct(backend.capabilities(model or None))
        facts = self._catalogue.facts(capabilities.kind or capabilities.backend, capabilities.model)

        def estimate(request: VideoRequest) -> Estimate:
            return self._catalogue.estimate(capabilities, backend.estimate(request), request)

        return ModelChoice(capabilities, estimate, _rules_of(facts))

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

    def _report(self, context: RoutingContext) -> PlanReport:
        choices = [
            (name, self._try_model(name, context)) for name in self._list_names(context.route)
        ]
        bounded = [
            find_longest_shot(choice.capabilities)
            for _, choice in choices
            if isinstance(choice, ModelChoice)
        ]
        longest = max((each for each in bounded if each is not None), default=0.0)
        candidates = [
            self._evaluate(choice, context, longest) if isinstance(choice, ModelChoice) else choice
            for _, choice in choices
        ]
        able = sorted(
            (each for each in candidates if not each.refusals), key=make_sort_key(context.prefer)
        )
        ranked = [
            each.model_copy(update={"rank": rank, "reasons": reasons_of(each)})
            for rank, each in enumerate(able, 1)
        ]
        refused = sorted(
            (each for each in candidates if each.refusals),
            key=lambda each: (each.plan is None, make_sort_key(context.prefer)(each)),
        )
        return PlanReport(
            request=context.request,
            policy=context.policy,
            prefer=context.prefer,
            candidates=(*ranked, *refused),
            summary=summary_of(ranked, refused, context.prefer),
        )

    def _list_names(self, route: Route) -> list[str]:
        """Return the models to consider: the named one, or all that are listed or allowed.

        Raises:
            InvalidRequestError: a preference names a backend or model that does not exist.
        """
        if route.model is not None:
            return [route.model]
        self._check_preferences(route)
        listed = [each for name in self._backends for each in self.models(name)]
        wanted = [name for name in route.allow or () if "/" in name]
        known = [name for name in wanted if name.partition("/")[0] in self._backends]
        return list(dict.fromkeys([*listed, *known, *self.broken]))

    def _check_preferences(self, route: Route) -> None:
        """Refuse unknown names: a typo in `deny` would admit a backend, and cost money."""
        for name in (*(route.allow or ()), *route.deny):
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
        seed = self._draw_seed() if request.seed is None else request.seed
        is_named = route.model is not None
        return RoutingContext(request, policy, route, seed, allow_unknown_words and is_named)

    def _find_facts(self, choice: ModelChoice) -> ModelFacts:
        capabilities = choice.capabilities
        return self._catalogue.facts(capabilities.kind or capabilities.backend, capabilities.model)

    def _list_refusals(self, choice: ModelChoice, route: Route) -> Iterator[MediaAgentError]:
        declared, facts = self._rules.declared, self._find_facts(choice)
        is_declared = declared is None or choice.capabilities.backend in declared
        return refusals_of(choice.capabilities, facts, route, is_declared=is_declared)

    def _try_model(self, name: str, context: RoutingContext) -> ModelChoice | Candidate:
        try:
            return self.find_model(name)
        except MediaAgentError as error:
            if context.route.model is not None:
                raise
            return _unusable_candidate(name, error)

    def _evaluate(self, choice: ModelChoice, context: RoutingContext, longest: float) -> Candidate:
        capabilities, facts = choice.capabilities, self._find_facts(choice)
        refusals = list(self._list_refusals(choice, context.route))
        plan = None
        try:
            plan = self._plan(choice, context, longest)
            refusals += find_budget_errors(choice.name, plan, context.route.max_cost_usd)
        except MediaAgentError as error:
            refusals.append(error)
        return Candidate(
            backend=capabilities.backend,
            model=capabilities.model,
            method=Method.SINGLE if plan is None else plan.method,
            submissions=1 if plan is None else plan.submissions,
            seams=0 if plan is None else plan.seams,
            estimate=Estimate() if plan is None else plan.estimate,
            quality=facts.quality,
            verification=capabilities.verification,
            licence=capabilities.licence,
            local=capabilities.local,
            missing=capabilities.missing,
            refusals=tuple(to_info(error) for error in refusals),
            plan=plan,
        )

    def _plan(self, choice: ModelChoice, context: RoutingContext, longest: float) -> Plan:
        """Return how this model would make it.

        Raises:
            PluginError: what its backend declares cannot be planned with.
            MediaAgentError: it cannot.
        """
        backend = choice.capabilities.backend
        plugin = self._plugins.get(backend, backend)
        who = f"plugin {plugin}: backend {backend}: planning as declared for {choice.name}"
        return call_plugin(who, partial(self._choose_method, choice, context, longest), Plan)

    def _choose_method(self, choice: ModelChoice, context: RoutingContext, longest: float) -> Plan:
        """Return a plan to make it at once, or in parts."""
        request = context.for_model(choice.name)
        if fits_one_shot(request, choice.capabilities.for_mode(request.infer_mode())):
            return self._plan_single(choice, context, longest)
        troubles: list[MediaAgentError] = []
        for continuation, continues_from in self._find_continuations(choice):
            try:
                plan = plan_segments(
                    request,
                    choice,
                    continuation,
                    continues_from,
                    context.policy,
                    draw_seed=lambda: context.seed,
                    allow_unknown_words=context.allow_unknown_words,
                    shape=self._shape,
                )
                return context.note_model(plan)
            except MediaAgentError as error:
                troubles.append(error)
        if troubles:
            raise troubles[0]
        raise UnsupportedRequestError(
            f"{choice.name} does not support this request",
            mismatches=[find_length_mismatch(request, choice.capabilities)],
            hint=suggest_length(request, choice.capabilities),
        )

    def _plan_single(self, choice: ModelChoice, context: RoutingContext, longest: float) -> Plan:
        request, capabilities = context.for_model(choice.name), choice.capabilities
        plan = negotiate(
            request.model_copy(update={"budget": None}),
            capabilities,
            context.policy,
            draw_seed=lambda: context.seed,
            estimate=choice.estimate,
            allow_unknown_words=context.allow_unknown_words,
            rules=choice.rules,
            shape=self._shape,
        )
        if plan.windows > 1:
            plan = plan.model_copy(update={"method": Method.EXTEND})
        if capabilities.endless is True and find_longest_shot(capabilities) is None:
            seconds = find_wanted_seconds(
                request, choose_fps(request.fps, capabilities), capabilities
            )
            if request.endless or len(request.shots) > 1 or seconds > longest:
                plan = plan.model_copy(update={"method": Method.ENDLESS})
        return context.note_model(plan)

    def _find_continuations(
        self, choice: ModelChoice
    ) -> Iterator[tuple[ModelChoice, ContinuesFrom]]:
        """Yield the continuation models: the one that extends, then the one for a last frame."""
        capabilities, facts = choice.capabilities, self._find_facts(choice)
        image_model = facts.image_model or capabilities.image_model
        ways: tuple[tuple[str | None, ContinuesFrom, VideoMode, InputRole], ...] = (
            (facts.extend_model, "video", VideoMode.VIDEO_EXTEND, InputRole.SOURCE_VIDEO),
            (image_model, "last_frame", VideoMode.IMAGE_TO_VIDEO, InputRole.FIRST_FRAME),
        )
        for model, continues_from, mode, role in ways:
            continuation = (
                choice if model is None else self.find_model(f"{capabilities.backend}/{model}")
            )
            able = continuation.capabilities.for_mode(mode)
            extends = continues_from != "video" or able.extends is True
            if extends and mode in able.modes and role in able.input_roles:
                yield continuation, continues_from


def _rules_of(facts: ModelFacts) -> PromptRules:
    rewriting = facts.rewriting
    if rewriting is None:
        return AS_WRITTEN
    return PromptRules(rewrites=True, option=rewriting.option, off=rewriting.off)


def _unusable_candidate(name: str, error: MediaAgentError) -> Candidate:
    backend, _, model = name.partition("/")
    unknown = Verification(level=VerificationLevel.SHEET_ONLY, note="it could not be started")
    return Candidate(
        backend=backend, model=model or "-", verification=unknown, refusals=(to_info(error),)
    )
