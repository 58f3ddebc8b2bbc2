"""SkyReels-V2: from text, from images, or a video continued by diffusion forcing.

Sizes, lengths, rates and defaults are those that its authors publish, and that diffusers repeats.
What a pipeline does with other values was tried with diffusers 0.42: latent frames that do not fill
a block stay noise without a word, and a size of blocks stays in force for later calls.
"""

from typing import Any

from media_agent.errors import InvalidRequestError
from media_agent_diffusers.families.family import (
    Call,
    Family,
    Options,
    Task,
    Variant,
    common_arguments,
    denoising_options,
    flow_shift_options,
    history_option,
    size_multiple,
    token_option,
)
from media_agent_diffusers.families.tiny_parts import (
    sees_images,
    tiny_vision,
    tiny_wan_components,
    wan_transformer_sizes,
)
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_TEXT, _IMAGE = "SkyReelsV2Pipeline", "SkyReelsV2ImageToVideoPipeline"
_FORCING = "SkyReelsV2DiffusionForcingPipeline"
_FORCING_IMAGE = "SkyReelsV2DiffusionForcingImageToVideoPipeline"
_FORCING_VIDEO = "SkyReelsV2DiffusionForcingVideoToVideoPipeline"
_TOKENS = 512
_MULTIPLE = 4  # frames to a latent
_LONGEST = 121  # of the models of 720p
_SHAPES = ((12, 30), (40, 40))
"""Attention heads and layers of the published models: 1.3B and 14B."""
_AR_STEP = OptionSpec(
    name="ar_step",
    type="integer",
    default=0,
    minimum=0,
    maximum=100,
    description="Steps by which a block of frames is noisier than the one before it; more steps "
    "are needed. 0: all frames have the same noise; the authors use 0 or 5.",
)
_BLOCK = OptionSpec(
    name="causal_block_size",
    type="integer",
    default=5,
    minimum=1,
    maximum=31,
    description="Latent frames (4 frames each, the first 1) in a block; only with ar_step.",
)
_ADDED_NOISE = OptionSpec(
    name="addnoise_condition",
    type="number",
    default=20.0,
    minimum=0.0,
    maximum=50.0,
    description="Noise added to the frames it continues, which makes the transition smoother.",
)


def read_variant(files: ModelFiles) -> Variant:
    """Return what the SkyReels-V2 model of a folder can do."""
    is_large = "720p" in files.name.lower()
    return Variant(
        title=_title(files.pipeline),
        source="https://github.com/SkyworkAI/SkyReels-V2",
        tasks=_list_tasks(files),
        options=(token_option(_TOKENS),),
        frame_multiple=_MULTIPLE,
        size_multiple=size_multiple(files, files.whole_number("vae", "scale_factor_spatial", 8)),
        size=(1280, 720) if is_large else (960, 544),
        fps=24.0,
        default_frames=_LONGEST if is_large else 97,
        longest_frames=_LONGEST,
        max_tokens=_TOKENS,
        in_float32=("vae",),
        licence=_licence(files),
    )


def _title(pipeline: str) -> str:
    if pipeline == _TEXT:
        return "SkyReels-V2, text to video"
    if pipeline == _IMAGE:
        return "SkyReels-V2, image to video"
    return "SkyReels-V2 with diffusion forcing, text, image or video to video"


def _licence(files: ModelFiles) -> str | None:
    """Return the licence of the published models of this shape, None if there is none."""
    heads = files.whole_number("transformer", "num_attention_heads", 40)
    layers = files.whole_number("transformer", "num_layers", 40)
    return "skywork-license" if (heads, layers) in _SHAPES else None


def _list_tasks(files: ModelFiles) -> tuple[Task, ...]:
    text = (*denoising_options(steps=50, guidance=6.0), *flow_shift_options(files, 8.0))
    image = (*denoising_options(steps=50, guidance=5.0), *flow_shift_options(files, 5.0))
    first = (InputRole.FIRST_FRAME,)
    fewest = _MULTIPLE + 1
    if files.pipeline == _TEXT:
        return (Task(VideoMode.TEXT_TO_VIDEO, _TEXT, options=text),)
    if files.pipeline == _IMAGE:
        return (Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, first, options=image, fewest_frames=fewest),)
    return (
        _forcing_task(VideoMode.TEXT_TO_VIDEO, _FORCING, (), text),
        _forcing_task(VideoMode.IMAGE_TO_VIDEO, _FORCING_IMAGE, first, image, fewest),
        _forcing_task(
            VideoMode.FIRST_LAST_FRAME,
            _FORCING_IMAGE,
            (*first, InputRole.LAST_FRAME),
            image,
            2 * _MULTIPLE + 1,  # each of the two fills a latent, and one is to be made
        ),
        Task(
            VideoMode.VIDEO_EXTEND,
            _FORCING_VIDEO,
            (InputRole.SOURCE_VIDEO,),
            options=(*text, history_option(17, (17, 37)), _ADDED_NOISE),
            arguments=_continue_arguments,
            history=17,
        ),
    )


def _forcing_task(
    mode: VideoMode,
    pipeline: str,
    inputs: tuple[InputRole, ...],
    options: tuple[OptionSpec, ...],
    fewest: int = 1,
) -> Task:
    return Task(
        mode,
        pipeline,
        inputs,
        options=(*options, _AR_STEP, _BLOCK),
        arguments=_forcing_arguments,
        fewest_frames=fewest,
        check_length=_check_blocks,
    )


def _forcing_arguments(call: Call) -> dict[str, object]:
    """Return the arguments of one window, in blocks of one latent frame if not otherwise."""
    arguments = common_arguments(call)
    if not call.options.get("ar_step"):
        arguments["causal_block_size"] = 1
    return {**arguments, "base_num_frames": _LONGEST}


def _continue_arguments(call: Call) -> dict[str, object]:
    return {**_forcing_arguments(call), "overlap_history": call.history}


def _check_blocks(num_frames: int, options: Options) -> None:
    block, latents = int(str(options["causal_block_size"])), (num_frames - 1) // _MULTIPLE + 1
    if not options["ar_step"] or latents % block == 0:
        return
    fewer, more = latents // block * block, -(-latents // block) * block
    fitting = [(each - 1) * _MULTIPLE + 1 for each in (fewer, more) if each]
    raise InvalidRequestError(
        f"{num_frames} frames are {latents} latent frames, which do not fill blocks of {block}",
        hint=f"ask for {' or '.join(map(str, fitting))} frames, or for another causal_block_size",
    )


def tiny_skyreels() -> Any:
    """Build a pipeline that makes videos from text."""
    from diffusers import SkyReelsV2Pipeline

    return SkyReelsV2Pipeline(**_tiny_components())


def tiny_skyreels_i2v() -> Any:
    """Build a pipeline that makes videos from a first frame."""
    from diffusers import SkyReelsV2ImageToVideoPipeline
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    return SkyReelsV2ImageToVideoPipeline(
        **_tiny_components(in_channels=36, **sees_images()),
        image_encoder=CLIPVisionModelWithProjection(tiny_vision()).eval(),
        image_processor=CLIPImageProcessor(size=32, crop_size=32),
    )


def tiny_skyreels_df() -> Any:
    """Build a pipeline of diffusion forcing."""
    from diffusers import SkyReelsV2DiffusionForcingPipeline

    return SkyReelsV2DiffusionForcingPipeline(**_tiny_components())


def _tiny_components(in_channels: int = 16, **extra: Any) -> dict[str, Any]:
    from diffusers import SkyReelsV2Transformer3DModel, UniPCMultistepScheduler

    return {
        **tiny_wan_components(),
        "scheduler": UniPCMultistepScheduler(flow_shift=8.0, use_flow_sigmas=True),
        "transformer": SkyReelsV2Transformer3DModel(**wan_transformer_sizes(in_channels), **extra),
    }


FAMILY = Family(
    pipelines=(_TEXT, _IMAGE, _FORCING, _FORCING_IMAGE, _FORCING_VIDEO),
    variant=read_variant,
    tiny={
        "skyreels": tiny_skyreels,
        "skyreels-i2v": tiny_skyreels_i2v,
        "skyreels-df": tiny_skyreels_df,
    },
)
