"""From a negotiated request to the call of a pipeline."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import JsonValue

from media_agent.backend.local import GenerationContext
from media_agent.errors import InvalidRequestError
from media_agent.ingest.read import Fit, check_video, read_image
from media_agent_diffusers.describe import NAME
from media_agent_diffusers.families.family import Call, Options, Task, Variant
from media_agent_diffusers.inputs import InputReader, check_mask, find_input, is_video
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent_diffusers.pipeline import LoadedPipeline


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


def check_call(request: VideoRequest, variant: Variant, model: str) -> None:
    """Check that inputs and options fit the task, and that each input can be opened.

    Raises:
        InvalidRequestError: an input is missing, given twice, or cannot be used; or an option is
            of another task.
    """
    task = find_task(request, variant, model)
    _check_roles(request, task, model)
    known = {spec.name for spec in variant.options_of(task)}
    for name in _own_options(request):
        if name not in known:
            raise InvalidRequestError(
                f"{task.mode} takes no option {name}", hint=f"it takes {', '.join(sorted(known))}"
            )
    if request.num_frames is not None and request.num_frames < task.fewest_frames:
        raise InvalidRequestError(
            f"{NAME}/{model} makes at least {task.fewest_frames} frames with {task.mode}, "
            f"not {request.num_frames}",
            hint=f"ask for at least {task.fewest_frames / variant.fps:.4g} s",
        )
    options = _options(request, variant, task)
    task.check(options)
    if request.num_frames is not None:
        task.check_length(request.num_frames, options)
    for medium in request.inputs:
        if medium.role is InputRole.SOURCE_VIDEO or is_video(medium):
            check_video(medium)
        else:
            read_image(medium)
    check_mask(request.inputs)


def read_call(
    request: VideoRequest,
    variant: Variant,
    task: Task,
    pipeline: "LoadedPipeline",
    context: GenerationContext,
) -> Call:
    """Return what a pipeline is asked for; whatever is not as asked becomes a warning."""
    size, num_frames = request.size, request.num_frames
    if size is None or num_frames is None:
        raise InvalidRequestError("the request has no size or num_frames; a plan sets them")
    options = dict(_options(request, variant, task))
    fit: Fit = "pad" if options.pop("image_fit", "crop") == "pad" else "crop"
    longest = int(str(options.pop("max_sequence_length", variant.max_tokens)))
    shift = options.pop("flow_shift", None)
    shots = request.storyboard()
    prompt = _cut_prompt(shots[0].prompt if shots else "", "prompt", longest, pipeline, context)
    negative = request.negative_prompt
    if negative is not None:
        negative = _cut_prompt(negative, "negative prompt", longest, pipeline, context)
        if float(str(options["guidance_scale"])) <= 1:
            context.warn("the negative prompt has no effect: guidance_scale is not above 1")
    if shots and prompt != shots[0].prompt:
        context.record_prompts((prompt,))
    history = int(str(options.pop("history", task.history)))
    reader = InputReader(size, fit, variant.fps, context)
    inputs = reader.read_images(request.inputs)
    source = find_input(request.inputs, InputRole.SOURCE_VIDEO)
    if source is not None and history:
        inputs[source.role] = reader.read_end(source, history)
        num_frames += history
    elif source is not None:
        frames = reader.read_start(source, num_frames, variant.frame_multiple)
        inputs[source.role], num_frames = frames, len(frames)
        if InputRole.MASK in task.optional:
            inputs |= reader.read_mask(request.inputs, source, len(frames))
    return Call(
        prompt=prompt,
        negative_prompt=negative,
        size=size,
        num_frames=num_frames,
        fps=request.fps or variant.fps,
        max_tokens=longest,
        options=options,
        inputs=inputs,
        flow_shift=None if shift is None else float(str(shift)),
        history=history if source is not None else 0,
    )


def _check_roles(request: VideoRequest, task: Task, model: str) -> None:
    given = [medium.role for medium in request.inputs]
    hint = "give each input it needs once: " + (", ".join(task.inputs) or "none")
    if task.optional:
        hint += f"; it can have {', '.join(task.optional)} as well"
    for role in (*task.inputs, *task.optional):
        count = given.count(role)
        if (count > 1 and role is not InputRole.SUBJECT) or (not count and role in task.inputs):
            raise InvalidRequestError(
                f"{NAME}/{model} begins from one {role.value}; {count or 'none'} given", hint=hint
            )
    for role in given:
        if role not in (*task.inputs, *task.optional):
            raise InvalidRequestError(f"{task.mode} takes no {role.value}", hint=hint)


def _options(request: VideoRequest, variant: Variant, task: Task) -> Options:
    """Return the options as asked, those not given at the model's own value."""
    specs = variant.options_of(task)
    own = {spec.name: spec.default for spec in specs if spec.default is not None}
    return {**own, **_own_options(request)}


def _own_options(request: VideoRequest) -> Mapping[str, JsonValue]:
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
