"""From asked to sent: every field is used, adjusted with a reason, or refused."""

from collections.abc import Callable, Collection

from pydantic import JsonValue

from media_agent.backend.inputs import find_input_mismatches
from media_agent.backend.options import check_options, list_raw_options
from media_agent.errors import Mismatch, UnsupportedRequestError
from media_agent.negotiation.draft import NegotiationDraft, Shape
from media_agent.negotiation.durations import resolve_length
from media_agent.negotiation.possible_lengths import count_windows, lift_limit
from media_agent.negotiation.prompts import AS_WRITTEN, PromptRules, resolve_prompts
from media_agent.negotiation.sizes import resolve_size
from media_agent_schemas.base import TriState
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.media import InputRole
from media_agent_schemas.plan import Plan, Policy
from media_agent_schemas.request import VideoMode, VideoRequest

WAYS_OUT = (
    "use a hosted backend with a key, a model with real weights, or --backend sandbox; "
    "--allow-unknown-words sends them all the same"
)


def negotiate(
    request: VideoRequest,
    capabilities: Capabilities,
    policy: Policy = Policy.ADJUST,
    *,
    draw_seed: Callable[[], int],
    estimate: Callable[[VideoRequest], Estimate] = lambda request: Estimate(),
    allow_unknown_words: bool = False,
    rules: PromptRules = AS_WRITTEN,
    shape: Shape | None = None,
    follows: Collection[InputRole] = (),
) -> Plan:
    """Return what will be sent and every change on the way; pure but for `draw_seed`.

    `strict` refuses what would have to change; `adjust` takes the nearest supported value. What
    has no near value (a mode, an input, an option, unknown words) is refused by both. Whether the
    backend is wanted and within the budget is the router's to say. A video whose size is left open
    takes `shape`: that of the image or video which the request brings along. Inputs that `follows`
    names come with the submission, from a segment that is still to be made.

    Raises:
        InvalidRequestError: less than one frame, or shots that do not fit into the whole.
        UnsupportedRequestError: lists everything that does not fit, at once.
    """
    capabilities = capabilities.for_mode(request.infer_mode())
    draft = NegotiationDraft(request, capabilities, policy, shape)
    _fill_strict_options(draft)
    resolve_prompts(draft, rules, allow_unknown_words=allow_unknown_words)
    _resolve_mode_and_inputs(draft, follows)
    resolve_size(draft)
    draft.capabilities = lift_limit(capabilities, request.infer_mode())
    resolve_length(draft)
    draft.capabilities = capabilities
    _resolve_seed(draft, draw_seed)
    _resolve_extras(draft)
    _resolve_options(draft)
    resolve_routing(draft)
    if draft.mismatches:
        outside = any(mismatch.field == "prompt words" for mismatch in draft.mismatches)
        raise UnsupportedRequestError(
            f"{draft.model} does not support this request",
            mismatches=draft.mismatches,
            hint=WAYS_OUT if outside else suggest_fix(policy),
        )
    return _plan(draft, estimate)


def suggest_fix(policy: Policy) -> str:
    """Return a hint for a request that a model does not support."""
    if policy is Policy.STRICT:
        return "change the request; --policy adjust allows the nearest values"
    return "change the request, or choose another backend (media-agent backends lists them)"


def _resolve_mode_and_inputs(draft: NegotiationDraft, follows: Collection[InputRole]) -> None:
    """Check what would make another video altogether: mode, inputs."""
    request, capabilities = draft.request, draft.capabilities
    mode = request.infer_mode()
    draft.resolved |= {"model": draft.model, "mode": mode}
    if request.model != draft.model:
        draft.note("model", request.model, draft.model, "the full name")
    mismatch = find_mode_mismatch(request, mode, capabilities)
    if mismatch is not None:
        draft.mismatches.append(mismatch)
    elif request.mode is None:
        draft.note("mode", None, mode, "inferred from the inputs")
    for index, medium in enumerate(request.inputs):
        if medium.role not in capabilities.input_roles:
            taken = ", ".join(capabilities.input_roles) or "no inputs"
            draft.refuse(f"inputs[{index}].role", medium.role, f"{draft.model} accepts {taken}")
        elif mode is VideoMode.VIDEO_EXTEND and capabilities.continues_own:
            if medium.role is InputRole.SOURCE_VIDEO and medium.own_id is None:
                reason = f"{draft.model} continues only videos that were made there, by their ids"
                draft.refuse(f"inputs[{index}]", f"another video ({medium.role})", reason)
        elif medium.url is not None and not capabilities.reads_urls:
            reason = f"{draft.model} reads files, not addresses; download it and give the file"
            draft.refuse(f"inputs[{index}]", f"a URL ({medium.role})", reason)
        elif medium.url is None and capabilities.uploads is not None:
            reason = f"to {capabilities.backend}, before the request: {capabilities.uploads}"
            used = "uploaded if it is large"
            draft.note(f"inputs[{index}]", f"a file ({medium.role})", used, reason)
    if mode in capabilities.modes:
        draft.mismatches += find_input_mismatches(request, capabilities, follows=follows)


def find_mode_mismatch(
    request: VideoRequest, mode: VideoMode, capabilities: Capabilities
) -> Mismatch | None:
    """Return why a model cannot do this kind of work, None if it can."""
    if mode in capabilities.modes:
        return None
    needed = "" if request.inputs else f" and needs {' or '.join(capabilities.input_roles)}"
    name = f"{capabilities.backend}/{capabilities.model}"
    return Mismatch("mode", mode, f"{name} can do {', '.join(capabilities.modes)}{needed}")


def _resolve_seed(draft: NegotiationDraft, draw_seed: Callable[[], int]) -> None:
    asked, supports = draft.request.seed, draft.capabilities.seed
    most = draft.capabilities.max_seed
    if asked is not None and supports is False:
        draft.resolved["seed"] = None
        draft.change("seed", asked, None, f"{draft.model} does not support seeds")
    elif asked is not None and most is not None and asked > most:
        draft.resolved["seed"] = asked % (most + 1)
        reason = f"the largest seed of {draft.model} is {most}"
        draft.change("seed", asked, asked % (most + 1), reason)
    elif asked is None and supports is True:
        seed = draw_seed() if most is None else draw_seed() % (most + 1)
        draft.resolved["seed"] = seed
        draft.note("seed", None, seed, "not given; chosen at random")


def _resolve_extras(draft: NegotiationDraft) -> None:
    """Resolve what a model may not support: camera, audio, number of videos."""
    request, capabilities = draft.request, draft.capabilities
    moves = capabilities.camera_moves
    can_move = capabilities.camera if not moves or request.camera in moves else False
    _leave_out_unless(draft, can_move, "camera", request.camera)
    if request.audio is True and capabilities.audio is False:
        # of a source there may be sound to keep, which an asked-for False would leave out
        used = None if request.infer_mode() is VideoMode.VIDEO_EDIT else False
        draft.resolved["audio"] = used
        draft.change("audio", True, used, f"{draft.model} does not generate audio")
    if request.audio is False and capabilities.audio == "always":
        draft.resolved["audio"] = True
        draft.change("audio", False, True, f"{draft.model} always generates audio")
    if request.n > capabilities.max_n:
        draft.resolved["n"] = capabilities.max_n
        draft.change(
            "n", request.n, capabilities.max_n, f"{draft.model} cannot generate more in one job"
        )


def _leave_out_unless(
    draft: NegotiationDraft, supports: TriState, name: str, asked: JsonValue
) -> None:
    if asked is not None and supports is False:
        draft.resolved[name] = None
        draft.change(name, asked, None, f"{draft.model} does not support this")


def _fill_strict_options(draft: NegotiationDraft) -> None:
    """Give the options that policy strict decides their value, unless the request does."""
    if draft.policy is not Policy.STRICT:
        return
    name = draft.capabilities.backend
    given = draft.request.options.get(name, {})
    for spec in draft.capabilities.options:
        if spec.strict is not None and spec.name not in given:
            given = {**given, spec.name: spec.strict}
            draft.note(f"options.{name}.{spec.name}", None, spec.strict, "the policy is strict")
    if given:
        options = {**draft.request.options, name: given}
        draft.request = draft.request.model_copy(update={"options": options})


def _resolve_options(draft: NegotiationDraft) -> None:
    """Check the options of this backend; those of others are meant for others."""
    name = draft.capabilities.backend
    draft.mismatches += check_options(draft.request.options.get(name, {}), draft.capabilities)
    for other in draft.request.options.keys() - {name}:
        draft.note(f"options.{other}", draft.request.options[other], None, f"not for {name}")
    own = {key: value for key, value in draft.request.options.items() if key == name}
    draft.resolved.setdefault("options", own)


def resolve_routing(draft: NegotiationDraft) -> None:
    """Note routing preferences that had no effect, because a model was named."""
    preferences = draft.request.routing
    if preferences is None:
        return
    for name, preference in (("prefer", preferences.prefer), ("route", preferences.route)):
        if preference is not None:
            draft.note(f"routing.{name}", preference, None, "only one backend was considered")


def _plan(draft: NegotiationDraft, estimate: Callable[[VideoRequest], Estimate]) -> Plan:
    resolved: dict[str, object] = {"duration": None, **draft.resolved}
    if resolved.get("size") is not None:
        resolved |= {"resolution": None, "aspect_ratio": None}
    request = draft.request.model_copy(update=resolved)  # of values that were checked before
    capabilities = draft.capabilities
    raw = list_raw_options(request.options.get(capabilities.backend, {}), capabilities)
    return Plan(
        backend=draft.capabilities.backend,
        model=draft.capabilities.model,
        policy=draft.policy,
        request=request,
        adjustments=tuple(draft.adjustments),
        warnings=tuple(draft.warnings),
        windows=count_windows(request, capabilities),
        estimate=_drop_price(estimate(request), raw),
    )


def _drop_price(estimate: Estimate, raw: list[str]) -> Estimate:
    """Return the estimate without a price if fields of unknown price are sent too."""
    is_priced = estimate.cost_usd not in (None, 0) or estimate.usd_per_second
    if not raw or not is_priced:
        return estimate
    source = f"option {', '.join(raw)} sends fields of unknown price"
    unknown = {"cost_usd": None, "usd_per_second": None, "source": source}
    return estimate.model_copy(update=unknown)
