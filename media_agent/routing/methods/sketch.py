"""One model at a glance: what excludes it for a plain reason, else the least that it takes.

A plan in full costs ten times as much, and of many models only the best need one. Whatever is said
here of price, time and method is no more than what a plan would say.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

from media_agent.errors import MediaAgentError, UnsupportedRequestError, to_info
from media_agent.negotiation.budget import find_price_errors
from media_agent.negotiation.negotiate import find_mode_mismatch, suggest_fix
from media_agent.negotiation.possible_lengths import (
    choose_fps,
    compute_frame_step,
    find_wanted_seconds,
    fit_seconds,
    fits_one_shot,
)
from media_agent.negotiation.sizes import short_side_of
from media_agent.routing.facts import KnownBefore
from media_agent.routing.methods.choice import ModelChoice
from media_agent.routing.methods.method import build_length_error
from media_agent.routing.rules import RoutingContext
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import UNKNOWN, Estimate
from media_agent_schemas.plan import Candidate, Method
from media_agent_schemas.request import VideoMode, VideoRequest


def sketch(
    choice: ModelChoice,
    context: RoutingContext,
    refusals: Iterable[MediaAgentError],
    find_model: Callable[[str], ModelChoice],
) -> Candidate:
    """Return a candidate without a plan; `refusals` exclude it whatever it can do."""
    is_whole = fits_one_shot(context.request, choice.for_mode(context.mode))
    said: dict[str, object] = {}
    if not is_whole:
        said = {"method": _find_method(choice), "submissions": 2, "seams": 1}
    against = list(refusals)
    problem = _find_problem(choice, context, is_whole=is_whole)
    if problem is not None:
        against.append(problem)
    else:
        least = _estimate_least(choice, context, is_whole=is_whole)
        if not is_whole:
            least = _with_cheaper_segments(least, choice, context, find_model)
        route = context.route
        against += find_price_errors(choice.name, least, route.max_cost_usd, route.day)
        said["estimate"] = least
    if against:
        said["refusals"] = tuple(map(to_info, against))
    return choice.candidate.model_copy(update=said)


def find_planned_seconds(choice: ModelChoice, context: RoutingContext) -> float | None:
    """Return how long the video of a plan would be, but for a frame or so; None: it has no end."""
    request, able = context.request, choice.for_mode(context.mode)
    if request.endless:
        return None
    fps, is_whole = choose_fps(request.fps, able), fits_one_shot(request, able)
    return _fit_seconds(request, able, fps, is_whole=is_whole)


def _find_problem(
    choice: ModelChoice, context: RoutingContext, *, is_whole: bool
) -> MediaAgentError | None:
    """Return what no plan can change: another kind of work, or a length that is out of reach."""
    mismatch = find_mode_mismatch(context.request, context.mode, choice.capabilities)
    if mismatch is not None:
        return UnsupportedRequestError(
            f"{choice.name} does not support this request",
            mismatches=[mismatch],
            hint=suggest_fix(context.policy),
        )
    if is_whole or _may_continue(choice):
        return None
    return build_length_error(choice, context)


def _find_method(choice: ModelChoice) -> Method:
    may_extend = choice.facts.extend_model is not None or choice.capabilities.extends is True
    return Method.EXTEND if may_extend else Method.CHAIN


def _may_continue(choice: ModelChoice) -> bool:
    capabilities, facts = choice.capabilities, choice.facts
    named = (facts.extend_model, facts.image_model, capabilities.image_model)
    return (
        any(each is not None for each in named)
        or capabilities.extends is True
        or not {VideoMode.IMAGE_TO_VIDEO, VideoMode.VIDEO_EXTEND}.isdisjoint(capabilities.modes)
    )


def _estimate_least(choice: ModelChoice, context: RoutingContext, *, is_whole: bool) -> Estimate:
    """Return the least that a plan could say; 0 where only the backend itself knows."""
    request, able, facts = context.request, choice.for_mode(context.mode), choice.facts
    if _estimates_itself(choice, request):
        return _make_estimate(0.0, 0.0)
    if request.endless:
        return _make_estimate(0.0, None) if choice.capabilities.local else UNKNOWN
    fps = choose_fps(request.fps, able)
    seconds = _fit_seconds(request, able, fps, is_whole=is_whole)
    seconds = max(0.0, seconds - compute_frame_step(able, fps))
    mode = context.mode if is_whole else None
    known = KnownBefore(choice.capabilities.region, mode, _find_side(request, able))
    cost = facts.find_least_cost(request, known, seconds=seconds, fps=fps)
    if cost is not None:
        cost *= min(request.n, able.max_n)
    elif choice.capabilities.local:
        cost = 0.0
    speed = facts.speed
    time = None if speed is None else speed.start_seconds + speed.seconds_per_second * seconds
    return _make_estimate(cost, time)


def _fit_seconds(request: VideoRequest, able: Capabilities, fps: float, *, is_whole: bool) -> float:
    seconds = find_wanted_seconds(request, fps, able)
    return fit_seconds(seconds, able.at_rate(fps), fps) if is_whole else seconds


def _estimates_itself(choice: ModelChoice, request: VideoRequest) -> bool:
    """Return whether its backend says more than a catalogue, of what is not negotiated yet.

    It may refuse that, as what it will be negotiated to may fit: a plan says so, or says why not.
    """
    try:
        return choice.own_estimate(request) is not UNKNOWN
    except MediaAgentError:
        return True


@lru_cache(maxsize=4096)
def _make_estimate(cost: float | None, seconds: float | None) -> Estimate:
    return Estimate(cost_usd=cost, seconds=seconds)


def _with_cheaper_segments(
    estimate: Estimate,
    choice: ModelChoice,
    context: RoutingContext,
    find_model: Callable[[str], ModelChoice],
) -> Estimate:
    """Return an estimate that holds also where the model that continues the video costs less."""
    facts, least = choice.facts, estimate.cost_usd
    named = (facts.extend_model, facts.image_model or choice.capabilities.image_model)
    for model in named:
        if model is None or least is None:
            continue
        try:
            further = find_model(f"{choice.capabilities.backend}/{model}")
        except MediaAgentError:  # a plan says so
            return _make_estimate(0.0, None)
        other = _estimate_least(further, context, is_whole=False).cost_usd
        least = None if other is None else min(least, other)
    return estimate if least == estimate.cost_usd else _make_estimate(least, None)


def _find_side(request: VideoRequest, able: Capabilities) -> int | None:
    """Return the shorter side of the frames where it is plain without a plan."""
    if request.inputs or request.size is not None or request.aspect_ratio is not None:
        return None
    if request.resolution is not None:
        return short_side_of(request.resolution) if request.resolution in able.resolutions else None
    size = able.default_size
    return None if size is None else min(size.width, size.height)
