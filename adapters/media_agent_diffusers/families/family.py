"""What the file of a family declares: its data, its calls, and how a tiny one is built.

A family is found by its file alone: the module has a constant `FAMILY`. What a model can do depends
on the files in its folder too, so a family has a function from those files to a `Variant`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode

Options = Mapping[str, JsonValue]
"""Values of options by name."""

SEVERAL = (InputRole.SUBJECT, InputRole.KEYFRAME)
"""Inputs of which a request can have more than one."""
_ARGUMENTS = {
    InputRole.FIRST_FRAME: "image",
    InputRole.LAST_FRAME: "last_image",
    InputRole.SOURCE_VIDEO: "video",
    InputRole.MASK: "mask",
    InputRole.SUBJECT: "reference_images",
}
IMAGE_FIT = OptionSpec(
    name="image_fit",
    type="string",
    default="crop",
    choices=("crop", "pad"),
    description="What is done with an input of another shape than the video: cut off what is "
    "beyond it, or fill up with black.",
)


@dataclass(frozen=True, slots=True)
class Call:
    """What a pipeline is asked for, before it is put in the pipeline's own words."""

    prompt: str
    negative_prompt: str | None
    size: Size
    num_frames: int
    fps: float
    max_tokens: int
    options: Options
    """What the pipeline takes; `flow_shift` is of its scheduler and stands apart."""
    inputs: Mapping[InputRole, object]
    """PIL images at the size of the video: one, or a list for a video. A mask is as long as its
    video, white where something is to be made; subjects are a list of images of their own size."""
    flow_shift: float | None = None
    keyframes: tuple[tuple[int, object], ...] = ()
    """Frames of the video and the images that they are to show."""
    history: int = 0
    """Of `num_frames`, those at the start that are the end of a source video already."""


def common_arguments(call: Call) -> dict[str, object]:
    """Return the arguments that nearly every pipeline takes, under the names it knows them by."""
    return {
        "prompt": call.prompt,
        "negative_prompt": call.negative_prompt,
        "width": call.size.width,
        "height": call.size.height,
        "num_frames": call.num_frames,
        "max_sequence_length": call.max_tokens,
        **call.options,
        **{_ARGUMENTS[role]: pixels for role, pixels in call.inputs.items()},
    }


def accept_all(options: Options) -> None:
    """Find nothing wrong: each value was checked by itself."""


def accept_any_length(num_frames: int, options: Options) -> None:
    """Find nothing wrong: the rule of the variant is all there is."""


def once(call: Call) -> int:
    """Return that all steps are run one time."""
    return 1


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of work that a model does."""

    mode: VideoMode
    pipeline: str
    """The class that does it; it takes the components of the folder, whatever class saved them."""
    inputs: tuple[InputRole, ...] = ()
    """What it begins from, each needed once; subjects can be several."""
    optional: tuple[InputRole, ...] = ()
    """What it can be given as well."""
    options: tuple[OptionSpec, ...] = ()
    """Those that the other tasks of the model do not take."""
    arguments: Callable[[Call], dict[str, object]] = common_arguments
    fewest_frames: int = 1
    """Fewer break inside the pipeline."""
    check: Callable[[Options], None] = accept_all
    """Raises `InvalidRequestError` for values that do not go together."""
    check_length: Callable[[int, Options], None] = accept_any_length
    """Raises `InvalidRequestError` for a number of frames that does not go with the options."""
    history: int = 0
    """Frames at the end of a source video that it continues, where no option "history" says how
    many. What the pipeline makes ends with the new frames, after these or the whole source."""
    windows: Callable[[Call], int] = once
    """How many times all steps are run: pipelines for long videos do so once for each window."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What the model of one folder can do."""

    title: str
    """For people."""
    source: str
    """Where its authors say what the defaults here are."""
    tasks: tuple[Task, ...]
    options: tuple[OptionSpec, ...]
    """Those that every task takes."""
    frame_multiple: int
    """It makes frame_multiple * k + 1 frames."""
    size_multiple: int
    """Both sides are multiples of it."""
    size: tuple[int, int]
    """Width and height it was trained at."""
    fps: float
    """The rate it was trained at."""
    default_frames: int
    longest_frames: int | None
    """The longest video it was trained for; longer ones fall apart. None: nobody says."""
    max_tokens: int
    """Tokens of a prompt that it reads."""
    sizes: tuple[tuple[int, int], ...] = ()
    """The only widths and heights, `size` among them; (): all that the multiple allows."""
    fps_range: tuple[float, float] | None = None
    """Rates that it can be told to make; None: `fps` alone."""
    reads_prompt: bool = True
    """Whether the prompt has any effect."""
    takes_negative_prompt: bool = True
    negative_option: str | None = "guidance_scale"
    """The option that has to be above 1 for a negative prompt to have an effect; None: no such."""
    largest: tuple[int, int] = (2048, 2048)
    in_float32: tuple[str, ...] = ()
    """Components that lose too much in fewer bits."""
    licence: str | None = None
    makes_audio: bool = False
    """What its pipelines return has audio."""
    activation_bytes: int | None = None
    """GPU memory that a video of `size` and `default_frames` takes beside the weights, as published
    by the authors; None: nobody says, and a rule estimates it."""
    warning: str | None = None
    """Said of every video."""
    is_unknown: bool = False
    """It was never tried, not even with tiny weights, and is used only when named."""

    def options_of(self, task: Task) -> tuple[OptionSpec, ...]:
        """Return all options that one task takes."""
        has_fit = any(role is not InputRole.SUBJECT for role in (*task.inputs, *task.optional))
        fit = (IMAGE_FIT,) if has_fit else ()
        return (*self.options, *task.options, *fit)


@dataclass(frozen=True, slots=True)
class Family:
    """Pipelines of diffusers that share their kind of components."""

    pipelines: tuple[str, ...]
    """Names of classes, as in `_class_name` of a model_index.json."""
    variant: Callable[[ModelFiles], Variant]
    """Reads what the model of a folder can do; `components` are there by then."""
    tiny: Mapping[str, Callable[[], Any]]
    """Names, and what builds a whole pipeline with small random weights."""
    components: tuple[str, ...] = ("transformer", "vae", "text_encoder")
    """Those that hold weights and must be there."""


def size_multiple(files: ModelFiles, spatial_factor: int) -> int:
    """Return what both sides are multiples of: pixels to a latent, latents to a patch."""
    return math.lcm(2, spatial_factor * files.whole_number("transformer", "patch_size", 2))


def denoising_options(
    *, steps: int, guidance: float, fewest_steps: int = 1
) -> tuple[OptionSpec, OptionSpec]:
    """Return the options of how the noise is taken away, with the family's own values."""
    return (
        OptionSpec(
            name="num_inference_steps",
            type="integer",
            default=steps,
            minimum=fewest_steps,
            maximum=1000,
            description="Denoising steps; fewer is faster and worse.",
        ),
        OptionSpec(
            name="guidance_scale",
            type="number",
            default=guidance,
            minimum=0.0,
            maximum=100.0,
            description="Pull of the prompt; at 1 or less the negative prompt has no effect.",
        ),
    )


def token_option(most: int) -> OptionSpec:
    """Return the option for how much of a prompt is read, where the model leaves a choice."""
    return OptionSpec(
        name="max_sequence_length",
        type="integer",
        default=most,
        minimum=1,
        maximum=most,
        description="Tokens of the prompt that are read; fewer is faster.",
    )


def history_option(default: int, choices: tuple[int, ...]) -> OptionSpec:
    """Return the option for how much of a source video its continuation begins from."""
    return OptionSpec(
        name="history",
        type="integer",
        default=default,
        choices=choices,
        description="Frames at the end of the source video that the continuation begins from.",
    )


def flow_shift_options(files: ModelFiles, shift: float | None) -> tuple[OptionSpec, ...]:
    """Return the option for the shift of the noise schedule, if the scheduler has one.

    `shift` is what the authors use; None: what the scheduler in the folder says.
    """
    own = files.flow_shift
    if own is None:
        return ()
    return (
        OptionSpec(
            name="flow_shift",
            type="number",
            default=own if shift is None else shift,
            minimum=0.01,
            maximum=100.0,
            description="Moves steps to where there is more noise: larger for larger videos.",
        ),
    )
