"""LTX-Video 0.9 to 0.9.8: from text, from images at any place, or a video continued.

Sizes, lengths and defaults are those of https://huggingface.co/docs/diffusers/api/pipelines/ltx_video
and of the authors' README; what a pipeline does with other values was tried with diffusers 0.42.
Numbers of frames that are not 8k+1, also those of a clip, are rounded down without a word.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from media_agent_diffusers.families.family import (
    Call,
    Family,
    Task,
    Variant,
    denoising_options,
    history_option,
    token_option,
)
from media_agent_diffusers.families.ltx.parts import (
    HISTORIES,
    HISTORY,
    conditioned_arguments,
    decode_options,
    frames_to_a_latent,
    is_distilled,
    keyframe_task,
    list_conditions,
    number_option,
    rated_arguments,
    side_multiple,
)
from media_agent_diffusers.families.tiny_parts import TEXT_WIDTH, tiny_t5, tiny_tokenizer
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_TEXT, _IMAGE = "LTXPipeline", "LTXImageToVideoPipeline"
_CONDITION = "LTXConditionPipeline"
_LAYERS_OF_13B = 48
_TIMESTEPS = (1000, 993, 987, 981, 975, 909, 725, 0.03)
"""Those that the distilled models of 13B were made for."""


@dataclass(frozen=True, slots=True)
class _Model:
    """What is published about one model."""

    title: str
    steps: int
    guidance: float
    rescale: float = 0.0
    image_noise: float = 0.025
    size: tuple[int, int] = (768, 512)
    timesteps: tuple[float, ...] = ()
    """Used with as many steps; none: as the scheduler says."""
    licence: str | None = None
    """None: it depends on the version, which the files do not tell."""


_OPEN_WEIGHTS = "ltxv-open-weights-license"  # of 0.9.6 and later
_OLD = _Model("LTX-Video 0.9", 50, 3.0, size=(704, 480))
_SMALL = _Model("LTX-Video 2B", 40, 3.0)
_SMALL_DISTILLED = _Model("LTX-Video 2B distilled", 8, 1.0)
_LARGE = _Model("LTX-Video 13B", 30, 5.0, 0.7, image_noise=0.0, licence=_OPEN_WEIGHTS)
_LARGE_DISTILLED = replace(
    _LARGE, title="LTX-Video 13B distilled", steps=8, guidance=1.0, timesteps=_TIMESTEPS
)


def read_variant(files: ModelFiles) -> Variant:
    """Return what the LTX-Video model of a folder can do."""
    takes_conditions = _takes_conditions(files)
    model = _find_model(files, takes_conditions)
    return Variant(
        title=model.title,
        source="https://huggingface.co/docs/diffusers/api/pipelines/ltx_video",
        tasks=_list_conditioned(model) if takes_conditions else _list_plain(model),
        options=(
            *denoising_options(steps=model.steps, guidance=model.guidance),
            number_option("guidance_rescale", model.rescale, "Contrast of guidance taken back"),
            *decode_options(files),
            token_option(256 if takes_conditions else 128),
        ),
        frame_multiple=frames_to_a_latent(files),
        size_multiple=side_multiple(files),
        size=model.size,
        fps=25.0,
        default_frames=161,
        longest_frames=257,
        max_tokens=256 if takes_conditions else 128,
        licence=model.licence,
    )


def _takes_conditions(files: ModelFiles) -> bool:
    """Return whether it is 0.9.5 or later; folders of the plain pipelines tell by their blocks."""
    blocks = files.configs["vae"].get("down_block_types") or ()
    return files.pipeline == _CONDITION or any("095" in str(block) for block in blocks)


def _find_model(files: ModelFiles, takes_conditions: bool) -> _Model:
    is_large = files.whole_number("transformer", "num_layers", 28) >= _LAYERS_OF_13B
    if is_distilled(files):
        return _LARGE_DISTILLED if is_large else _SMALL_DISTILLED
    if is_large:
        return _LARGE
    return _SMALL if takes_conditions else _OLD


def _list_plain(model: _Model) -> tuple[Task, ...]:
    arguments = partial(_timed, rated_arguments, model)
    return (
        Task(VideoMode.TEXT_TO_VIDEO, _TEXT, arguments=arguments),
        Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, (InputRole.FIRST_FRAME,), arguments=arguments),
    )


def _list_conditioned(model: _Model) -> tuple[Task, ...]:
    noise = number_option("image_cond_noise_scale", model.image_noise, "Noise added to the images")
    text = Task(
        VideoMode.TEXT_TO_VIDEO, _CONDITION, arguments=partial(_timed, rated_arguments, model)
    )
    image = replace(
        text,
        mode=VideoMode.IMAGE_TO_VIDEO,
        inputs=(InputRole.FIRST_FRAME,),
        options=(noise,),
        arguments=partial(_timed, _condition, model),
    )
    extend = replace(
        image,
        mode=VideoMode.VIDEO_EXTEND,
        inputs=(InputRole.SOURCE_VIDEO,),
        options=(noise, history_option(HISTORY, HISTORIES)),
        history=HISTORY,
    )
    return text, image, keyframe_task(image), extend


def _timed(arguments: "Any", model: _Model, call: Call) -> dict[str, object]:
    """Return the arguments, with the model's own timesteps if there are as many steps."""
    plain = arguments(call)
    if model.timesteps and plain["num_inference_steps"] == len(model.timesteps):
        del plain["num_inference_steps"]
        plain["timesteps"] = list(model.timesteps)
    return plain


def _condition(call: Call) -> dict[str, object]:
    from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition

    conditions = [
        LTXVideoCondition(video=pixels, frame_index=frame)
        if isinstance(pixels, list)
        else LTXVideoCondition(image=pixels, frame_index=frame)
        for frame, pixels in list_conditions(call)
    ]
    return {**conditioned_arguments(call), "conditions": conditions}


def tiny_ltx() -> Any:
    """Build a pipeline of the first kind: from text, or from a first frame."""
    from diffusers import LTXPipeline

    return LTXPipeline(**_tiny_components(timestep_conditioning=False))


def tiny_ltx_condition() -> Any:
    """Build a pipeline that is given images and clips at any place."""
    from diffusers import LTXConditionPipeline

    return LTXConditionPipeline(**_tiny_components(timestep_conditioning=True))


def _tiny_components(*, timestep_conditioning: bool) -> dict[str, Any]:
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXVideoTransformer3DModel,
    )

    tokenizer = tiny_tokenizer()
    return {
        "tokenizer": tokenizer,
        "text_encoder": tiny_t5(len(tokenizer)),
        "vae": AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
            timestep_conditioning=timestep_conditioning,
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "transformer": LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=2,
            attention_head_dim=16,
            cross_attention_dim=32,
            num_layers=1,
            caption_channels=TEXT_WIDTH,
        ),
    }


FAMILY = Family(
    pipelines=(_TEXT, _IMAGE, _CONDITION),
    variant=read_variant,
    tiny={"ltx": tiny_ltx, "ltx-condition": tiny_ltx_condition},
)
