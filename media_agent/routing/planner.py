"""From a request to plans: one model if one is meant, else all that could; nothing is started."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property

from media_agent.backend.free_memory import FreeMemory
from media_agent.backend.protocol import VideoBackend
from media_agent.config.routing_sections import RouteSection
from media_agent.config.settings import Settings
from media_agent.errors import InvalidRequestError, MediaAgentError, in_full
from media_agent.negotiation.budget import DayBudget
from media_agent.negotiation.draft import Shape
from media_agent.policy.asking import Policies, Screened
from media_agent.policy.decisions import PolicyCall
from media_agent.provenance.marking import check_marks
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import Catalogue, load_catalogue
from media_agent.routing.explain import choose_plan, list_plugin_faults
from media_agent.routing.inputs import read_inputs
from media_agent.routing.learning.experience import Experience
from media_agent.routing.learning.scores import Exploration
from media_agent.routing.listing import Listing, list_models
from media_agent.routing.marks import ask_for_marks, note_marks, note_marks_of_all
from media_agent.routing.offers import find_offering, suggest_model
from media_agent.routing.router import Router
from media_agent.routing.rules import Route, RoutingRules
from media_agent.suggest import find_full_name
from media_agent_schemas.plan import Candidate, Plan, PlanReport, Policy
from media_agent_schemas.request import RoutingPreference, VideoRequest

_ALTERNATIVES = 5
"""Plans of a job, at least where so many could, for the case that the first one is refused."""
_LOGGER = logging.getLogger(__name__)

OpenBackend = Callable[[str], Awaitable[VideoBackend]]


class Planner:
    """Plans within the settings: their routes, their budget, their default backend."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        open_backend: OpenBackend,
        *,
        draw_seed: Callable[[], int],
        policies: Policies | None = None,
        spent_today: Callable[[], float] = lambda: 0.0,
        free_memory: FreeMemory | None = None,
        recall: Callable[[], Experience | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._open_backend = open_backend
        self._policies = policies or Policies(dict, dict)
        self._draw_seed = draw_seed
        self._spent_today = spent_today
        self._free_memory = free_memory or FreeMemory()
        self._recall = recall

    async def report(
        self,
        request: VideoRequest,
        policy: Policy | None,
        *,
        allow_unknown_words: bool = False,
        best: int | None = None,
        caller: str | None = None,
    ) -> PlanReport:
        """Return every candidate with its plan or its reasons; a named model is the only one.

        With `best` only so many of many, and the best one of each backend, are planned in full.
        `caller` asks a server for it, with policies of their own; None: this machine.

        Raises:
            InvalidRequestError: the request names what does not exist.
            PolicyRefusedError: a policy refuses it; or one failed.
        """
        allowed = await self._policies.before_plan(request, PolicyCall(caller))
        words = allow_unknown_words
        report = await self._report(allowed.request, policy, words=words, best=best)
        if allowed.notes or allowed.is_held:
            candidates = (_note_in(each, allowed) for each in report.candidates)
            changes = {"request": request, "candidates": tuple(candidates)}
            return report.model_copy(update=changes)
        return report

    async def _report(
        self, request: VideoRequest, policy: Policy | None, *, words: bool, best: int | None
    ) -> PlanReport:
        asked, request = request, self._add_settings(request)
        request, shape = await read_inputs(request)
        router = await self._open_router(request.model, shape)
        report = router.report(
            request,
            self._choose_policy(policy),
            allow_unknown_words=words,
            best=best,
        )
        return note_marks_of_all(report, asked)

    async def plans(
        self,
        request: VideoRequest,
        policy: Policy | None,
        *,
        allow_unknown_words: bool = False,
        caller: str | None = None,
    ) -> tuple[Plan, ...]:
        """Return the plan to follow, then those to follow if it is refused before acceptance.

        Without a model and without routing preferences, that is the default backend alone. Of a
        model that several backends offer there is a plan for each offer.

        Raises:
            MediaAgentError: no backend can serve it, or a policy refuses it.
        """
        allowed = await self._policies.before_plan(request, PolicyCall(caller))
        plans = await self._plans(allowed.request, policy, words=allow_unknown_words)
        return tuple(map(allowed.note_in, plans))

    async def _plans(
        self, request: VideoRequest, policy: Policy | None, *, words: bool
    ) -> tuple[Plan, ...]:
        plans = await self._find_plans(self._add_settings(request), policy, words)
        for plan in plans:
            check_marks(plan.request)
        return tuple(note_marks(plan, request) for plan in plans)

    def _add_settings(self, request: VideoRequest) -> VideoRequest:
        limit = self._settings.deadline_seconds
        if request.deadline is None and limit is not None:
            request = request.model_copy(update={"deadline": limit})
        return ask_for_marks(request, self._settings.provenance)

    async def _find_plans(
        self, request: VideoRequest, policy: Policy | None, words: bool
    ) -> tuple[Plan, ...]:
        if request.model is None and request.routing is not None:
            report = await self._report(request, policy, words=words, best=_ALTERNATIVES)
            return _take_plans(report)
        for error in self._registry.list_broken().values():
            _LOGGER.warning("%s", in_full(error))
        request, shape = await read_inputs(request)
        name = request.model or self._settings.default_backend
        router = await self._open_router(name, shape)
        policy = self._choose_policy(policy)
        if router.is_offered(name):
            report = router.report(
                request, policy, model=name, allow_unknown_words=words, best=_ALTERNATIVES
            )
            return _take_plans(report)
        return (router.plan(request, policy, model=name, allow_unknown_words=words),)

    async def list_models(self) -> Listing:
        """Return every model of every backend that can be opened, with a typical price."""
        router = await self._open_router(None)
        listing = await asyncio.to_thread(list_models, router, router.names())
        faults = [in_full(error) for error in router.broken.values()]
        return replace(listing, problems=(*listing.problems, *faults))

    def check_one(self, name: str) -> None:
        """Refuse the name of a model that several backends offer, where one must be named.

        Raises:
            InvalidRequestError: it is one.
        """
        found = find_offering(name, self._catalogue.offers, self._registry.names())
        if found:
            raise InvalidRequestError(
                f"{name} is a model offered by {', '.join(found)}, each with limits and options "
                "of its own",
                hint=f"name one of them; media-agent backends {name} lists them",
            )

    def _choose_policy(self, asked: Policy | None) -> Policy:
        return self._settings.policy if asked is None else asked

    @cached_property
    def _catalogue(self) -> Catalogue:
        return load_catalogue(self._registry, self._settings.data_dir)

    async def _open_router(self, model: str | None, shape: Shape | None = None) -> Router:
        """Return a router over one backend, over those that offer a model, or over all."""
        backends: dict[str, VideoBackend] = {}
        broken = {} if model is not None else self._registry.list_broken()
        names = self._registry.names()
        if model is not None:
            names = list(find_offering(model, self._catalogue.offers, names))
        if model is not None and not names:
            name = model.partition("/")[0]
            try:
                backends[name] = await self._open_backend(name)
            except InvalidRequestError as error:
                await self._suggest_full_name(model, error)
                raise
        for name in names:
            try:
                backends[name] = await self._open_backend(name)
            except MediaAgentError as error:
                broken[name] = error
        if any(self._holds_models(name) for name in backends):
            await asyncio.to_thread(self._free_memory.read)
        return Router(
            backends,
            self._catalogue,
            self._build_rules(),
            draw_seed=self._draw_seed,
            broken=broken,
            plugins={name: self._registry.plugin(name) for name in backends},
            shape=shape,
            recall=self._recall,
        )

    def _holds_models(self, name: str) -> bool:
        """Return whether a backend loads models of this machine into its memory."""
        spec = self._registry.spec(name)
        return spec is not None and spec.takes_folders

    async def _suggest_full_name(self, model: str, error: InvalidRequestError) -> None:
        """Raise the error with the name that was meant, if a model was named without its backend.

        Raises:
            InvalidRequestError: one was.
        """
        if model.partition("/")[0] in self._registry.names():
            return
        router = await self._open_router(None)
        names = [each for name in router.names() for each in router.models(name)]
        meant = find_full_name(model, names)
        said = None if meant is None else f"did you mean {meant}?"
        if said is None:
            said = suggest_model(model, self._catalogue.offers, self._registry.names())
        if said is not None:
            raise InvalidRequestError(error.message, hint=said) from error

    def _build_rules(self) -> RoutingRules:
        budget, day = self._settings.budget, None
        if budget.max_cost_usd_per_day is not None:
            day = DayBudget(budget.max_cost_usd_per_day, self._spent_today())
        routes = {name: _build_route(section) for name, section in self._settings.routes.items()}
        declared = self._settings.backends.keys()
        default = self._settings.default_backend
        routing = self._settings.routing
        return RoutingRules(
            routes,
            budget.max_cost_usd,
            day,
            declared,
            default,
            waiting_usd_per_second=routing.waiting_usd_per_second,
            exploration=Exploration(routing.explore, routing.explore_max_usd),
        )


def _note_in(candidate: Candidate, allowed: Screened) -> Candidate:
    if candidate.plan is None:
        return candidate
    return candidate.model_copy(update={"plan": allowed.note_in(candidate.plan)})


def _take_plans(report: PlanReport) -> tuple[Plan, ...]:
    """Return the plans of all who could, best first.

    Raises:
        MediaAgentError: nobody could.
    """
    choose_plan(report)
    for fault in list_plugin_faults(report):
        _LOGGER.warning("%s", fault)
    return tuple(each.plan for each in report.ranked if each.plan is not None)


def _build_route(section: RouteSection) -> Route:
    return Route(
        model=section.model,
        prefer=section.prefer or RoutingPreference.LOCAL_FIRST,
        allow=section.allow,
        deny=section.deny,
        licences=section.licences,
        local_only=section.local_only,
        max_cost_usd=section.max_cost_usd,
        waiting_usd_per_second=section.waiting_usd_per_second,
    )
