"""Wan VACE: from text, subjects, frames and parts of videos; what a mask leaves open is made.

Defaults are those of diffusers, and the shift of the noise schedule is that of the repositories: 3,
for videos of 480p (5 for 720p). What a pipeline does with other values was tried with diffusers
0.42: frames beyond `num_frames` break it, and so does a mask that is not as long as its video.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from media_agent_diffusers.families.family import (
    Call,
    Family,
    Task,
    Variant,
    common_arguments,
    denoising_options,
    flow_shift_options,
    history_option,
    size_multiple,
    token_option,
)
from media_agent_diffusers.families.tiny_parts import tiny_wan_components, wan_transformer_sizes
from media_agent_diffusers.families.wan.parts import (
    guidance_2_options,
    has_two_transformers,
    licence,
)
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

if TYPE_CHECKING:
    from diffusers import WanVACETransformer3DModel
    from PIL.Image import Image

_PIPELINE = "WanVACEPipeline"
_TOKENS = 512
_FRAMES = 81
_OPEN = (128, 128, 128)
"""Colour of a frame that is to be made."""
_CONDITIONING = OptionSpec(
    name="conditioning_scale",
    type="number",
    default=1.0,
    minimum=0.0,
    maximum=10.0,
    description="Weight of the images and videos given, against the prompt.",
)


def read_variant(files: ModelFiles) -> Variant:
    """Return what the VACE model of a folder can do.

    Raises:
        StorageError: it works with two transformers, and has one.
    """
    version = "2.2" if has_two_transformers(files) else "2.1"
    multiple = files.whole_number("vae", "scale_factor_temporal", 4)
    return Variant(
        title=f"Wan {version} VACE, from text, subjects, images or videos",
        source="https://huggingface.co/docs/diffusers/api/pipelines/wan",
        tasks=_list_tasks(fewest=multiple + 1),
        options=(
            *denoising_options(steps=50, guidance=5.0),
            *guidance_2_options(files, None),
            *flow_shift_options(files, None),
            token_option(_TOKENS),
        ),
        frame_multiple=multiple,
        size_multiple=size_multiple(files, files.whole_number("vae", "scale_factor_spatial", 8)),
        size=(832, 480),
        fps=16.0,
        default_frames=_FRAMES,
        longest_frames=_FRAMES,
        max_tokens=_TOKENS,
        in_float32=("vae",),
        licence=licence(files),
    )


def _list_tasks(fewest: int) -> tuple[Task, ...]:
    first, last = InputRole.FIRST_FRAME, InputRole.LAST_FRAME
    subject, source = InputRole.SUBJECT, InputRole.SOURCE_VIDEO
    return (
        Task(VideoMode.TEXT_TO_VIDEO, _PIPELINE),
        _task(VideoMode.REFERENCE_TO_VIDEO, (subject,)),
        _task(VideoMode.IMAGE_TO_VIDEO, (first,), (subject,), fewest=fewest),
        _task(VideoMode.FIRST_LAST_FRAME, (last,), (first, subject), fewest=fewest),
        _task(VideoMode.VIDEO_EDIT, (source,), (InputRole.MASK, subject)),
        _task(
            VideoMode.VIDEO_EXTEND,
            (source,),
            (subject,),
            options=(history_option(17, (5, 9, 17, 33)),),
            history=17,
        ),
    )


def _task(
    mode: VideoMode,
    inputs: tuple[InputRole, ...],
    optional: tuple[InputRole, ...] = (),
    *,
    options: tuple[OptionSpec, ...] = (),
    fewest: int = 1,
    history: int = 0,
) -> Task:
    return Task(
        mode,
        _PIPELINE,
        inputs,
        optional,
        options=(_CONDITIONING, *options),
        arguments=build_arguments,
        fewest_frames=fewest,
        history=history,
    )


def build_arguments(call: Call) -> dict[str, object]:
    """Return the arguments: a video with a mask that is white where it is to be made."""
    video, mask = _lay_out(call)
    return {
        **common_arguments(replace(call, inputs={})),
        "video": video,
        "mask": mask,
        "reference_images": call.inputs.get(InputRole.SUBJECT),
    }


def _lay_out(call: Call) -> "tuple[list[Image] | None, list[Image] | None]":
    """Return the frames that are given, in their places, and the mask of those that are not."""
    source: Any = call.inputs.get(InputRole.SOURCE_VIDEO)
    if source is not None and call.history == 0:
        mask: Any = call.inputs.get(InputRole.MASK)
        return source, mask
    given: dict[int, Any] = dict(enumerate(source or ()))
    for place, role in ((0, InputRole.FIRST_FRAME), (call.num_frames - 1, InputRole.LAST_FRAME)):
        if role in call.inputs:
            given[place] = call.inputs[role]
    if not given:
        return None, None
    from PIL import Image

    size = (call.size.width, call.size.height)
    blank, black = Image.new("RGB", size, _OPEN), Image.new("L", size, 0)
    white = Image.new("L", size, 255)
    places = range(call.num_frames)
    return (
        [given.get(place, blank) for place in places],
        [black if place in given else white for place in places],
    )


def tiny_wan_vace() -> Any:
    """Build a pipeline that makes videos from what it is given."""
    from diffusers import WanVACEPipeline

    return WanVACEPipeline(**_tiny_components(), transformer=_tiny_transformer())


def tiny_wan_2_2_vace() -> Any:
    """Build the same with two transformers."""
    from diffusers import WanVACEPipeline

    return WanVACEPipeline(
        **_tiny_components(),
        transformer=_tiny_transformer(),
        transformer_2=_tiny_transformer(),
        boundary_ratio=0.875,
    )


def _tiny_components() -> dict[str, Any]:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return {**tiny_wan_components(), "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0)}


def _tiny_transformer() -> "WanVACETransformer3DModel":
    from diffusers import WanVACETransformer3DModel

    return WanVACETransformer3DModel(
        **wan_transformer_sizes(), vace_layers=[0], vace_in_channels=96
    )


FAMILY = Family(
    pipelines=(_PIPELINE,),
    variant=read_variant,
    tiny={"wan-vace": tiny_wan_vace, "wan-2.2-vace": tiny_wan_2_2_vace},
)
