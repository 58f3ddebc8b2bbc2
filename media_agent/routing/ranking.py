"""The candidates of one request, in order: all at a glance, the best of them planned in full."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from media_agent.errors import MediaAgentError, to_info
from media_agent.negotiation.budget import find_budget_errors
from media_agent.negotiation.possible_lengths import find_longest_shot
from media_agent.routing.explain import (
    could_be_had,
    make_sort_key,
    reasons_of,
    summary_of,
)
from media_agent.routing.learning.outlook import Outlooks
from media_agent.routing.methods.choice import ModelChoice
from media_agent.routing.methods.method import MethodPlanner
from media_agent.routing.methods.sketch import find_planned_seconds, sketch
from media_agent.routing.rules import RoutingContext
from media_agent_schemas.plan import Candidate, PlanReport
from media_agent_schemas.request import VideoRequest

_FEW = 20  # candidates that are all planned in full, however many are asked for
_ATTEMPTS = 3  # models of a backend that are planned for its best one

Refuse = Callable[[ModelChoice], Iterator[MediaAgentError]]
"""Yields what excludes a model, whatever its capabilities."""


@dataclass
class Ranking:
    """Ranks models for one request."""

    context: RoutingContext
    choices: Sequence[ModelChoice]
    planner: MethodPlanner
    refuse: Refuse
    outlooks: Outlooks | None = None
    """What earlier outcomes let expect of each; None: there are none."""

    def report(self, unusable: Sequence[Candidate], best: int | None) -> PlanReport:
        """Return all candidates, best first, then the refused ones, with those that are `unusable`.

        With `best` only so many, and the best one of each backend, are planned in full; the others
        follow at a glance.
        """
        if best is None:
            planned, others = [self.evaluate(each) for each in self.choices], list[Candidate]()
        else:
            planned, others = self._plan_best(best)
        able = sorted((each for each in planned if not each.refusals), key=self._key)
        able = self._with_try(able)
        ranked = [
            each.model_copy(update={"rank": rank, "reasons": reasons_of(each)})
            for rank, each in enumerate(able, 1)
        ]
        left = [each for each in others if not each.refusals]
        refused = sorted(
            (each for each in (*planned, *others, *unusable) if each.refusals),
            key=lambda each: (each.plan is None, self._key(each)),
        )
        context = self.context
        return PlanReport(
            request=context.request,
            policy=context.policy,
            prefer=context.prefer,
            candidates=(*ranked, *left, *refused),
            summary=summary_of(ranked, left, refused, context.prefer, context.route.offer_of),
        )

    def evaluate(self, choice: ModelChoice) -> Candidate:
        """Return a candidate with its plan, or with all that is against it."""
        refusals, said = list(self.refuse(choice)), dict[str, object]()
        try:
            plan = self.planner.plan(choice, self.context, self._longest)
            route = self.context.route
            refusals += find_budget_errors(choice.name, plan, route.max_cost_usd, route.day)
            said = {
                "method": plan.method,
                "submissions": plan.submissions,
                "seams": plan.seams,
                "estimate": plan.estimate,
                "plan": plan,
            }
        except MediaAgentError as error:
            refusals.append(error)
        said["refusals"] = tuple(map(to_info, refusals))
        candidate = choice.candidate.model_copy(update=said)
        if candidate.plan is None:
            return candidate
        request = candidate.plan.request
        return self._look(candidate, request, request.seconds())

    def _glance(self, choice: ModelChoice) -> Candidate:
        candidate = sketch(choice, self.context, self.refuse(choice), self.planner.find_model)
        return self._look(
            candidate, self.context.request, find_planned_seconds(choice, self.context)
        )

    def _look(
        self, candidate: Candidate, request: VideoRequest, seconds: float | None
    ) -> Candidate:
        if self.outlooks is None:
            return candidate
        return self.outlooks.look(candidate, request, seconds)

    def _with_try(self, able: list[Candidate]) -> list[Candidate]:
        """Return candidates in order, before them one that is worth a try, if any is."""
        if self.outlooks is None or not able:
            return able
        context, seed = self.context, self.context.request.seed
        waiting_usd_per_second = context.route.waiting_usd_per_second or 0.0
        name = self.outlooks.choose_try(able, context.prefer, waiting_usd_per_second, seed or 0)
        found = next((each for each in able if each.name == name), None)
        if found is None or found.outlook is None:
            return able
        outlook = found.outlook.model_copy(update={"is_try": True})
        others = [each for each in able if each is not found]
        return [found.model_copy(update={"outlook": outlook}), *others]

    def _plan_best(self, most: int) -> tuple[list[Candidate], list[Candidate]]:
        """Return those that are planned in full, and the others at a glance.

        Where few can, the best of those that lack a key or cost too much are planned too.
        """
        glances = [(self._glance(each), each) for each in self.choices]
        able = [pair for pair in glances if not pair[0].refusals]
        near = [pair for pair in glances if could_be_had(pair[0])]
        rest = [each for each, _ in glances if each.refusals and not could_be_had(each)]
        first = self._pick(able, _FEW if len(able) <= _FEW else most)
        second = self._pick(near, most) if len(able) < most else ([], [g for g, _ in near])
        return [*first[0], *second[0]], [*first[1], *second[1], *rest]

    def _pick(
        self, glances: Sequence[tuple[Candidate, ModelChoice]], most: int
    ) -> tuple[list[Candidate], list[Candidate]]:
        """Plan the best ones: no other can be better than what is said of it at a glance."""
        planned, others = list[Candidate](), list[Candidate]()
        good: list[tuple[object, ...]] = []
        tried: dict[str, int] = {}
        shown: set[str] = set()
        keys = [self._key(glance) for glance, _ in glances]
        in_order = sorted(zip(keys, glances, strict=True), key=itemgetter(0))
        for key, (glance, choice) in in_order:
            backend = glance.backend
            is_among_best = len(good) < most or key < good[most - 1]
            is_first_of_backend = backend not in shown and tried.get(backend, 0) < _ATTEMPTS
            is_known = self.outlooks is not None and self.outlooks.knows(glance.name)
            if not (is_among_best or is_first_of_backend or is_known):
                others.append(glance)
                continue
            full = self.evaluate(choice)
            planned.append(full)
            tried[backend] = tried.get(backend, 0) + 1
            if len(full.refusals) == len(glance.refusals):
                shown.add(backend)
                good.append(self._key(full))
                good.sort()
        return planned, others

    @cached_property
    def _key(self) -> Callable[[Candidate], tuple[object, ...]]:
        route = self.context.route
        return make_sort_key(route.prefer, route.waiting_usd_per_second or 0.0)

    @cached_property
    def _longest(self) -> float:
        """The longest video that any of them makes at once."""
        found = (find_longest_shot(each.capabilities) for each in self.choices)
        return max((each for each in found if each is not None), default=0.0)
