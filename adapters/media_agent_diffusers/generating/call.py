"""From a negotiated request to the call of a pipeline."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import JsonValue

from media_agent.backend.local import GenerationContext
from media_agent.backend.options import check_options
from media_agent.errors import InvalidRequestError
from media_agent.ingest.read import Fit, check_video, read_image
from media_agent_diffusers.families.family import SEVERAL, Call, Options, Task, Variant
from media_agent_diffusers.generating.inputs import (
    InputReader,
    check_keyframes,
    check_mask,
    find_input,
    is_video,
)
from media_agent_diffusers.generating.windows import count_at_once, find_continuation
from media_agent_diffusers.lora.choice import COMPONENTS
from media_agent_diffusers.settings import MEMORY, NAME
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode, VideoRequest

if TYPE_CHECKING:
    from media_agent_diffusers.pipelines.pipeline import LoadedPipeline


_READ_HERE = ("image_fit", "max_sequence_length", "flow_shift", "history", *COMPONENTS, MEMORY)
"""Options that are no arguments of a pipeline."""


def find_task(request: VideoRequest, variant: Variant, model: str) -> Task:
    """Return the task that a request asks for.

    Raises:
        InvalidRequestError: the model does no such work.
    """
    mode = request.infer_mode()
    for task in variant.tasks:
        if task.mode is mode:
            return task
    done = ", ".join(task.mode for task in variant.tasks)
    raise InvalidRequestError(f"{NAME}/{model} does {done}, not {mode}")


def check_call(request: VideoRequest, variant: Variant, capabilities: Capabilities) -> None:
    """Check a plan once more, and that it has the inputs it needs and that each can be opened.

    Raises:
        InvalidRequestError: an input is missing, given twice, or cannot be used; or see
            `check_plan`.
    """
    _check_roles(request, find_task(request, variant, capabilities.model), capabilities.model)
    check_plan(request, variant, capabilities)
    for medium in request.inputs:
        if medium.role is InputRole.SOURCE_VIDEO or is_video(medium):
            check_video(medium)
        else:
            read_image(medium)
    check_mask(request.inputs)


def check_plan(request: VideoRequest, variant: Variant, capabilities: Capabilities) -> None:
    """Check that size, length and options fit the task; no input is opened.

    Pipelines round most of it without a word, or break after minutes.

    Raises:
        InvalidRequestError: an option is of another task, or the model makes no video of this size,
            rate or length.
    """
    task = find_task(request, variant, capabilities.model)
    further = find_further(request, variant, task)
    known = (*variant.options_of(task), *(variant.options_of(further) if further else ()))
    own = capabilities.model_copy(update={"options": known})
    names = {f"option {spec.name}" for spec in known}
    for mismatch in check_options(dict(own_options(request)), own):
        if mismatch.field in names:
            raise InvalidRequestError(f"{mismatch.field}={mismatch.asked}: {mismatch.reason}")
        raise InvalidRequestError(f"{task.mode} takes no {mismatch.field}", hint=mismatch.reason)
    _check_size(request, capabilities)
    _check_length(request, variant, task, capabilities)
    options = _options(request, variant, task)
    task.check(options)
    if further is not None:
        further.check(_options(request, variant, further))
    if request.num_frames is not None:
        task.check_length(count_at_once(variant, task, request.num_frames), options)
    if request.num_frames is not None and InputRole.KEYFRAME in task.optional:
        fps = request.fps or variant.fps
        check_keyframes(
            request.inputs, request.num_frames, fps=fps, multiple=variant.frame_multiple
        )


def read_call(
    request: VideoRequest,
    variant: Variant,
    task: Task,
    pipeline: "LoadedPipeline",
    context: GenerationContext,
) -> Call:
    """Return what a pipeline is asked for; whatever is not as asked becomes a warning."""
    size, num_frames, fps = request.size, request.num_frames, request.fps or variant.fps
    if size is None or num_frames is None:
        raise InvalidRequestError("the request has no size or num_frames; a plan sets them")
    options, own = _split_options(request, variant, task)
    fit: Fit = "pad" if own.get("image_fit") == "pad" else "crop"
    longest = int(str(own.get("max_sequence_length", variant.max_tokens)))
    if variant.warning is not None:
        context.warn(variant.warning)
    shots = request.storyboard()
    prompt = _cut_prompt(shots[0].prompt if shots else "", "prompt", longest, pipeline, context)
    negative = request.negative_prompt
    if negative is not None:
        negative = _cut_prompt(negative, "negative prompt", longest, pipeline, context)
        needed = variant.negative_option
        if needed is not None and float(str(options[needed])) <= 1:
            context.warn(f"the negative prompt has no effect: {needed} is not above 1")
    if shots and not variant.reads_prompt:
        context.warn("the prompt has no effect: this model makes a video from the image alone")
    if shots and prompt != shots[0].prompt:
        context.record_prompts((prompt,))
    history = int(str(own.get("history", task.history)))
    reader = InputReader(size, fit, fps, context)
    inputs = reader.read_images(request.inputs)
    keyframes = reader.read_keyframes(request.inputs, variant.frame_multiple)
    source = find_input(request.inputs, InputRole.SOURCE_VIDEO)
    if source is None:
        history = 0
    elif history:
        inputs[source.role] = reader.read_end(source, history)
    else:
        frames = reader.read_start(source, num_frames, variant.frame_multiple)
        inputs[source.role], num_frames = frames, len(frames)
        if InputRole.MASK in task.optional:
            inputs |= reader.read_mask(request.inputs, source, num_frames)
    return Call(
        prompt=prompt,
        negative_prompt=negative,
        size=size,
        num_frames=num_frames + history,
        fps=fps,
        max_tokens=longest,
        options=options,
        inputs=inputs,
        flow_shift=_flow_shift(own),
        keyframes=keyframes,
        history=history,
    )


def find_further(request: VideoRequest, variant: Variant, task: Task) -> Task | None:
    """Return the task of the further windows of a video that is not made at once."""
    if task.mode is VideoMode.VIDEO_EXTEND:
        return task
    frames = request.num_frames
    if frames is None or count_at_once(variant, task, frames) == frames:
        return None
    return find_continuation(variant, task)


def read_further(
    request: VideoRequest, variant: Variant, task: Task, first: Call, context: GenerationContext
) -> Call:
    """Return what the pipeline of the further windows is asked for, all but their source."""
    options, own = _split_options(request, variant, task)
    known = {spec.name for spec in variant.options_of(task)}
    ignored = sorted(name for name in own_options(request) if name not in known)
    if ignored:
        context.warn(
            f"{', '.join(ignored)}: only the first {variant.default_frames} frames have it; the "
            "model takes none for what continues them"
        )
    return replace(
        first,
        options=options,
        inputs={role: first.inputs[role] for role in task.optional if role in first.inputs},
        flow_shift=_flow_shift(own),
        keyframes=(),
        history=int(str(own.get("history", task.history))),
    )


def _check_size(request: VideoRequest, capabilities: Capabilities) -> None:
    size, known = request.size, capabilities.size_range
    if size is None:
        return
    name = f"{NAME}/{capabilities.model}"
    if known is None:
        if capabilities.sizes and size not in capabilities.sizes:
            listed = ", ".join(map(str, capabilities.sizes))
            raise InvalidRequestError(f"{name} makes no {size}", hint=f"it makes {listed}")
        return
    if size.width % known.multiple or size.height % known.multiple:
        raise InvalidRequestError(
            f"{name} makes no {size}: both sides must be multiples of {known.multiple}"
        )


def _check_length(
    request: VideoRequest, variant: Variant, task: Task, capabilities: Capabilities
) -> None:
    frames, name, fps = request.num_frames, f"{NAME}/{capabilities.model}", request.fps
    slowest, fastest = variant.fps_range or (variant.fps, variant.fps)
    if fps is not None and not slowest <= fps <= fastest:
        rates = f"{fastest:g}" if slowest == fastest else f"{slowest:g} to {fastest:g}"
        raise InvalidRequestError(f"{name} makes {rates} frames per second, not {fps:g}")
    if frames is None:
        return
    if frames < task.fewest_frames:
        raise InvalidRequestError(
            f"{name} makes at least {task.fewest_frames} frames with {task.mode}, not {frames}",
            hint=f"ask for at least {task.fewest_frames / (fps or variant.fps):.4g} s",
        )
    is_at_once = find_continuation(variant, task) is None
    if is_at_once and frames > (variant.longest_frames or frames):
        raise InvalidRequestError(
            f"{name} makes at most {variant.longest_frames} frames, not {frames}",
            hint="ask for less time, or for fewer frames per second",
        )
    multiple, offset = capabilities.frame_multiple, capabilities.frame_offset
    has_source = InputRole.SOURCE_VIDEO in task.inputs  # its frames are filled up
    if (frames - offset) % multiple and not has_source:
        raise InvalidRequestError(f"{name} makes {multiple}k+{offset} frames, not {frames}")


def _check_roles(request: VideoRequest, task: Task, model: str) -> None:
    given = [medium.role for medium in request.inputs]
    hint = "give each input it needs once: " + (", ".join(task.inputs) or "none")
    if task.optional:
        hint += f"; it can have {', '.join(task.optional)} as well"
    for role in (*task.inputs, *task.optional):
        count = given.count(role)
        if (count > 1 and role not in SEVERAL) or (not count and role in task.inputs):
            raise InvalidRequestError(
                f"{NAME}/{model} begins from one {role.value}; {count or 'none'} given", hint=hint
            )
    if task.mode is VideoMode.FIRST_LAST_FRAME and not given:
        raise InvalidRequestError(f"{task.mode} begins from images; none given", hint=hint)
    for role in given:
        if role not in (*task.inputs, *task.optional):
            raise InvalidRequestError(f"{task.mode} takes no {role.value}", hint=hint)


def _options(request: VideoRequest, variant: Variant, task: Task) -> Options:
    """Return the options of a task as asked, those not given at the model's own value."""
    asked = own_options(request)
    values = {spec.name: asked.get(spec.name, spec.default) for spec in variant.options_of(task)}
    return {name: value for name, value in values.items() if value is not None}


def _split_options(request: VideoRequest, variant: Variant, task: Task) -> tuple[Options, Options]:
    """Return the options that the pipeline takes, and those that are read here."""
    options = _options(request, variant, task)
    own = {name: value for name, value in options.items() if name in _READ_HERE}
    return {name: value for name, value in options.items() if name not in own}, own


def _flow_shift(own: Options) -> float | None:
    shift = own.get("flow_shift")
    return None if shift is None else float(str(shift))


def own_options(request: VideoRequest) -> Mapping[str, JsonValue]:
    """Return the options that the request says for this backend, whatever its name."""
    return request.options.get(request.split_model()[0] or NAME, {})


def _cut_prompt(
    prompt: str, name: str, longest: int, pipeline: "LoadedPipeline", context: GenerationContext
) -> str:
    """Return the part of a prompt that the model reads, and say so if it is not all."""
    read = pipeline.read_prompt(prompt, longest)
    if read is None:
        return prompt
    context.warn(f"the {name} is longer than {longest} tokens; read up to {read[-40:]!r}")
    return read
