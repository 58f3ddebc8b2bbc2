"""How one model makes a video: at once, without a limit, or in segments; pure, nothing is sent."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from media_agent.backend.fence import call_plugin
from media_agent.errors import MediaAgentError, UnsupportedRequestError
from media_agent.negotiation.draft import Shape
from media_agent.negotiation.negotiate import negotiate
from media_agent.negotiation.possible_lengths import (
    choose_fps,
    find_longest_shot,
    find_wanted_seconds,
    fits_one_shot,
)
from media_agent.routing.methods.choice import ModelChoice
from media_agent.routing.methods.segments import ContinuesFrom
from media_agent.routing.methods.split import plan_segments
from media_agent.routing.rules import RoutingContext, find_length_mismatch, suggest_length
from media_agent_schemas.media import InputRole
from media_agent_schemas.plan import Method, Plan
from media_agent_schemas.request import VideoMode


@dataclass(frozen=True, slots=True)
class MethodPlanner:
    """Plans single models, each as well as it can."""

    find_model: Callable[[str], ModelChoice]
    plugins: Mapping[str, str]
    """The plugin of each backend, to be named where planning for it breaks."""
    shape: Shape | None = None
    """That of the image or video that requests bring along, width by height."""

    def plan(self, choice: ModelChoice, context: RoutingContext, longest: float) -> Plan:
        """Return how this model would make it.

        Raises:
            PluginError: what its backend declares cannot be planned with.
            MediaAgentError: it cannot.
        """
        backend = choice.capabilities.backend
        plugin = self.plugins.get(backend, backend)
        who = f"plugin {plugin}: backend {backend}: planning as declared for {choice.name}"
        return call_plugin(who, partial(self._choose_method, choice, context, longest), Plan)

    def _choose_method(self, choice: ModelChoice, context: RoutingContext, longest: float) -> Plan:
        """Return a plan to make it at once, or in segments."""
        request = context.for_model(choice.name)
        if fits_one_shot(request, choice.for_mode(request.infer_mode())):
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
                    shape=self.shape,
                )
                return context.note_model(plan, choice.facts)
            except MediaAgentError as error:
                troubles.append(error)
        if troubles:
            raise troubles[0]
        raise build_length_error(choice, context)

    def _plan_single(self, choice: ModelChoice, context: RoutingContext, longest: float) -> Plan:
        request, capabilities = context.for_model(choice.name), choice.capabilities
        plan = negotiate(
            request if request.budget is None else request.model_copy(update={"budget": None}),
            capabilities,
            context.policy,
            draw_seed=lambda: context.seed,
            estimate=choice.estimate,
            allow_unknown_words=context.allow_unknown_words,
            rules=choice.rules,
            shape=self.shape,
        )
        if plan.windows > 1:
            plan = plan.model_copy(update={"method": Method.EXTEND})
        if capabilities.endless is True and find_longest_shot(capabilities) is None:
            seconds = find_wanted_seconds(
                request, choose_fps(request.fps, capabilities), capabilities
            )
            if request.endless or len(request.shots) > 1 or seconds > longest:
                plan = plan.model_copy(update={"method": Method.ENDLESS})
        return context.note_model(plan, choice.facts)

    def _find_continuations(
        self, choice: ModelChoice
    ) -> Iterator[tuple[ModelChoice, ContinuesFrom]]:
        """Yield the continuation models: the one that extends, then the one for a last frame."""
        capabilities, facts = choice.capabilities, choice.facts
        image_model = facts.image_model or capabilities.image_model
        ways: tuple[tuple[str | None, ContinuesFrom, VideoMode, InputRole], ...] = (
            (facts.extend_model, "video", VideoMode.VIDEO_EXTEND, InputRole.SOURCE_VIDEO),
            (image_model, "last_frame", VideoMode.IMAGE_TO_VIDEO, InputRole.FIRST_FRAME),
        )
        for model, continues_from, mode, role in ways:
            continuation = (
                choice if model is None else self.find_model(f"{capabilities.backend}/{model}")
            )
            able = continuation.for_mode(mode)
            extends = continues_from != "video" or able.extends is True
            if extends and mode in able.modes and role in able.input_roles:
                yield continuation, continues_from


def build_length_error(choice: ModelChoice, context: RoutingContext) -> MediaAgentError:
    """Return the error of a model that can neither make the length at once nor continue a video."""
    return UnsupportedRequestError(
        f"{choice.name} does not support this request",
        mismatches=[find_length_mismatch(context.request, choice.capabilities)],
        hint=suggest_length(context.request, choice.capabilities),
    )
