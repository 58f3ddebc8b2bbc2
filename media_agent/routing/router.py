"""Who makes a video: every model that could, planned, priced, ranked and explained. Spends nothing.

Who wants the cheapest or the fastest gets it, however many parts it has. Else first comes what
makes the video in one piece, then what extends it, then what chains it from last frames.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial

from media_agent.backend.fence import fenced
from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    InvalidRequestError,
    MediaAgentError,
    PluginError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.negotiation.budget import too_dear
from media_agent.negotiation.durations import fits_one_shot, longest_shot, usual_fps, wanted_seconds
from media_agent.negotiation.negotiate import negotiate
from media_agent.negotiation.prompts import AS_WRITTEN, PromptRules
from media_agent.routing.catalogue import Catalogue, ModelFacts
from media_agent.routing.explain import chosen, order, reasons_of, summary_of
from media_agent.routing.rules import (
    Route,
    RoutingContext,
    RoutingRules,
    less_or_another,
    refusals_of,
    too_long,
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
        shape: Fraction | None = None,
    ) -> None:
        self._backends = backends
        self._catalogue = catalogue
        self._rules = rules or RoutingRules()
        self._draw_seed = draw_seed
        self._broken = dict(broken or {})
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
        return self._report(self._asked(request, policy, allow_unknown_words))

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
            MediaAgentError: nobody can do it; the reasons are those of all candidates.
        """
        asked = self._asked(request, policy, allow_unknown_words, model)
        if asked.route.model is None:
            return chosen(self._report(asked))
        maker = self.maker(asked.route.model)
        for refusal in refusals_of(maker.capabilities, self._facts(maker), asked.route):
            raise refusal
        plan = self._plan(maker, asked, 0.0)
        for refusal in too_dear(maker.name, plan, asked.route.max_cost_usd):
            raise refusal
        return plan

    def maker(self, name: str) -> ModelChoice:
        """Return a model as a planner sees it, with what the catalogue knows of it.

        Raises:
            InvalidRequestError: there is no such backend or model.
        """
        backend_name, _, model = name.partition("/")
        backend = self._backends.get(backend_name)
        if backend is None:
            if backend_name in self._broken:
                raise self._broken[backend_name]
            raise InvalidRequestError(
                f"unknown backend {backend_name!r}",
                hint=did_you_mean(backend_name, [*self._backends, *self._broken]),
            )
        capabilities = self._catalogue.corrected(backend.capabilities(model or None))
        facts = self._catalogue.facts(capabilities.kind or capabilities.backend, capabilities.model)

        def estimate(request: VideoRequest) -> Estimate:
            return self._catalogue.estimate(capabilities, backend.estimate(request), request)

        return ModelChoice(capabilities, estimate, _rules_of(facts))

    def models(self, name: str) -> list[str]:
        """Return the models of a backend; one that has none to offer says so when asked for it."""
        try:
            capabilities = self._backends[name].capabilities()
        except MediaAgentError:
            return [name]
        return [f"{name}/{model}" for model in capabilities.models or (capabilities.model,)]

    def _report(self, asked: RoutingContext) -> PlanReport:
        makers = [(name, self._try_maker(name, asked)) for name in self._names(asked.route)]
        bounded = [
            longest_shot(maker.capabilities)
            for _, maker in makers
            if isinstance(maker, ModelChoice)
        ]
        longest = max((each for each in bounded if each is not None), default=0.0)
        candidates = [
            self._candidate(maker, asked, longest) if isinstance(maker, ModelChoice) else maker
            for _, maker in makers
        ]
        able = sorted((each for each in candidates if not each.refusals), key=order(asked.prefer))
        ranked = [
            each.model_copy(update={"rank": rank, "reasons": reasons_of(each)})
            for rank, each in enumerate(able, 1)
        ]
        refused = sorted(
            (each for each in candidates if each.refusals),
            key=lambda each: (each.plan is None, order(asked.prefer)(each)),
        )
        return PlanReport(
            request=asked.request,
            policy=asked.policy,
            prefer=asked.prefer,
            candidates=(*ranked, *refused),
            summary=summary_of(ranked, refused, asked.prefer),
        )

    def _names(self, route: Route) -> list[str]:
        """Return the models to consider: the named one, or all that are listed or allowed.

        Raises:
            InvalidRequestError: a wish names a backend or model that does not exist.
        """
        if route.model is not None:
            return [route.model]
        self._check_wishes(route)
        listed = [each for name in self._backends for each in self.models(name)]
        wished = [name for name in route.allow or () if "/" in name]
        known = [name for name in wished if name.partition("/")[0] in self._backends]
        return list(dict.fromkeys([*listed, *known, *self._broken]))

    def _check_wishes(self, route: Route) -> None:
        """Refuse the names of nobody: a slip in what is denied would let it in, and be paid for."""
        for name in (*(route.allow or ()), *route.deny):
            backend, _, model = name.partition("/")
            is_known = backend in self._broken or (backend in self._backends and not model)
            if is_known:
                continue
            try:
                self.maker(name)
            except PluginError:  # it cannot be asked, nor make anything
                continue

    def _asked(
        self,
        request: VideoRequest,
        policy: Policy,
        allow_unknown_words: bool,
        model: str | None = None,
    ) -> RoutingContext:
        route = self._rules.route(request)
        if model is not None:
            route = replace(route, model=model)
        seed = self._draw_seed() if request.seed is None else request.seed
        is_named = route.model is not None
        return RoutingContext(request, policy, route, seed, allow_unknown_words and is_named)

    def _facts(self, maker: ModelChoice) -> ModelFacts:
        capabilities = maker.capabilities
        return self._catalogue.facts(capabilities.kind or capabilities.backend, capabilities.model)

    def _try_maker(self, name: str, asked: RoutingContext) -> ModelChoice | Candidate:
        try:
            return self.maker(name)
        except MediaAgentError as error:
            if asked.route.model is not None:
                raise
            return _unusable(name, error)

    def _candidate(self, maker: ModelChoice, asked: RoutingContext, longest: float) -> Candidate:
        capabilities, facts = maker.capabilities, self._facts(maker)
        refusals = list(refusals_of(capabilities, facts, asked.route))
        plan = None
        try:
            plan = self._plan(maker, asked, longest)
            refusals += too_dear(maker.name, plan, asked.route.max_cost_usd)
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

    def _plan(self, maker: ModelChoice, asked: RoutingContext, longest: float) -> Plan:
        """Return how this model would make it.

        Raises:
            PluginError: what its backend declares cannot be planned with.
            MediaAgentError: it cannot.
        """
        backend = maker.capabilities.backend
        plugin = self._plugins.get(backend, backend)
        who = f"plugin {plugin}: backend {backend}: planning as declared for {maker.name}"
        return fenced(who, partial(self._way_of, maker, asked, longest), Plan)

    def _way_of(self, maker: ModelChoice, asked: RoutingContext, longest: float) -> Plan:
        """Return a plan to make it at once, or in parts."""
        request = asked.for_model(maker.name)
        if fits_one_shot(request, maker.capabilities):
            return self._at_once(maker, asked, longest)
        troubles: list[MediaAgentError] = []
        for follower, continues_from in self._followers(maker):
            try:
                plan = plan_segments(
                    request,
                    maker,
                    follower,
                    continues_from,
                    asked.policy,
                    draw_seed=lambda: asked.seed,
                    allow_unknown_words=asked.allow_unknown_words,
                    shape=self._shape,
                )
                return asked.noted(plan)
            except MediaAgentError as error:
                troubles.append(error)
        if troubles:
            raise troubles[0]
        raise UnsupportedRequestError(
            f"{maker.name} does not support this request",
            mismatches=[too_long(request, maker.capabilities)],
            hint=less_or_another(maker.capabilities),
        )

    def _at_once(self, maker: ModelChoice, asked: RoutingContext, longest: float) -> Plan:
        request, capabilities = asked.for_model(maker.name), maker.capabilities
        plan = negotiate(
            request.model_copy(update={"budget": None}),
            capabilities,
            asked.policy,
            draw_seed=lambda: asked.seed,
            estimate=maker.estimate,
            allow_unknown_words=asked.allow_unknown_words,
            rules=maker.rules,
            shape=self._shape,
        )
        if capabilities.endless is True and longest_shot(capabilities) is None:
            seconds = wanted_seconds(request, usual_fps(request.fps, capabilities), capabilities)
            if request.endless or len(request.shots) > 1 or seconds > longest:
                plan = plan.model_copy(update={"method": Method.ENDLESS})
        return asked.noted(plan)

    def _followers(self, maker: ModelChoice) -> Iterator[tuple[ModelChoice, ContinuesFrom]]:
        """Yield who could go on: what extends the video, then what begins from its last frame."""
        capabilities, facts = maker.capabilities, self._facts(maker)
        ways: tuple[tuple[str | None, ContinuesFrom, VideoMode, InputRole], ...] = (
            (facts.extend_model, "video", VideoMode.VIDEO_EXTEND, InputRole.SOURCE_VIDEO),
            (facts.image_model, "last_frame", VideoMode.IMAGE_TO_VIDEO, InputRole.FIRST_FRAME),
        )
        for model, continues_from, mode, role in ways:
            follower = maker if model is None else self.maker(f"{capabilities.backend}/{model}")
            able = follower.capabilities
            extends = continues_from != "video" or able.extends is True
            if extends and mode in able.modes and role in able.input_roles:
                yield follower, continues_from


def _rules_of(facts: ModelFacts) -> PromptRules:
    rewriting = facts.rewriting
    if rewriting is None:
        return AS_WRITTEN
    return PromptRules(rewrites=True, option=rewriting.option, off=rewriting.off)


def _unusable(name: str, error: MediaAgentError) -> Candidate:
    backend, _, model = name.partition("/")
    unknown = Verification(level=VerificationLevel.SHEET_ONLY, note="it could not be started")
    return Candidate(
        backend=backend, model=model or "-", verification=unknown, refusals=(to_info(error),)
    )
