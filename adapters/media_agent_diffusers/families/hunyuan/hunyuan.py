"""HunyuanVideo: from text or a first frame; and Framepack, which makes long videos by sections.

Numbers and licence are those that the authors publish; what a pipeline does with other values was
tried with diffusers 0.42. Framepack makes 36 frames a section and one more, whatever it is asked.
"""

from dataclasses import replace
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
    size_multiple,
    token_option,
)
from media_agent_diffusers.families.hunyuan.parts import (
    LICENCE,
    tiny_components,
    tiny_llava,
    tiny_siglip,
)
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_TEXT, _IMAGE = "HunyuanVideoPipeline", "HunyuanVideoImageToVideoPipeline"
_FRAMEPACK = "HunyuanVideoFramepackPipeline"
_TOKENS = 256
_WINDOW = 9  # latent frames that Framepack was trained to make at once
_SECONDS = 60  # the longest video that the authors of Framepack show
_PUBLISHED = (24, 20)  # attention heads and layers
_TRUE_GUIDANCE = OptionSpec(
    name="true_cfg_scale",
    type="number",
    default=1.0,
    minimum=0.0,
    maximum=100.0,
    description="Pull away from the negative prompt, which has no effect at 1 or less; above it, "
    "every step takes twice as long.",
)
_SECOND_PROMPT = OptionSpec(
    name="prompt_2",
    type="string",
    description="Another prompt for the second text encoder, which reads 77 tokens and sets the "
    "overall look; absent: the prompt.",
)
_WINDOW_OPTION = OptionSpec(
    name="latent_window_size",
    type="integer",
    default=_WINDOW,
    choices=(3, _WINDOW),
    description="Latent frames of a section, each of 4 frames: 3 needs less memory, but the models "
    "were trained at 9.",
)
_SAMPLING = OptionSpec(
    name="sampling_type",
    type="string",
    default="inverted_anti_drifting",
    choices=("inverted_anti_drifting", "vanilla"),
    description="Order of the sections: from the end for FramePackI2V_HY, from the beginning "
    "(vanilla) for FramePack_F1_I2V_HY.",
)


def read_variant(files: ModelFiles) -> Variant:
    """Return what the HunyuanVideo or Framepack model of a folder can do."""
    return _read_framepack(files) if files.pipeline == _FRAMEPACK else _read_hunyuan(files)


def _read_hunyuan(files: ModelFiles) -> Variant:
    from_image = files.pipeline == _IMAGE
    begin = "image" if from_image else "text"
    task = Task(VideoMode.TEXT_TO_VIDEO, _TEXT)
    if from_image:
        task = Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, (InputRole.FIRST_FRAME,))
    loses_some = files.configs["transformer"].get("image_condition_type") == "latent_concat"
    if loses_some:
        task = replace(task, arguments=_concat_arguments)
    longest = 129 - (_per_latent(files) if loses_some else 0)
    name = "HunyuanVideo-I2V" if from_image else "HunyuanVideo"
    return Variant(
        title=f"HunyuanVideo, {begin} to video",
        source=f"https://github.com/Tencent-Hunyuan/{name}",
        tasks=(task,),
        options=_options(files),
        frame_multiple=_per_latent(files),
        size_multiple=_size_multiple(files),
        size=(1280, 720),
        fps=24.0,  # "129 frames (5 seconds)"
        default_frames=longest,
        longest_frames=longest,
        max_tokens=_TOKENS,
        negative_option="true_cfg_scale",
        licence=_licence(files),
    )


def _read_framepack(files: ModelFiles) -> Variant:
    multiple = _per_latent(files) * _WINDOW
    fps = 30.0
    longest = int(_SECONDS * fps) // multiple * multiple + 1
    from_image = Task(
        VideoMode.IMAGE_TO_VIDEO,
        _FRAMEPACK,
        inputs=(InputRole.FIRST_FRAME,),
        arguments=_framepack_arguments,
        fewest_frames=multiple + 1,
        windows=_count_sections,
    )
    between = Task(
        VideoMode.FIRST_LAST_FRAME,
        _FRAMEPACK,
        inputs=(InputRole.FIRST_FRAME, InputRole.LAST_FRAME),
        arguments=_framepack_arguments,
        fewest_frames=multiple + 1,
        check=_check_last_frame,
        windows=_count_sections,
    )
    return Variant(
        title="Framepack on HunyuanVideo, image to long video",
        source="https://github.com/lllyasviel/FramePack",
        tasks=(from_image, between),
        options=(*_options(files), _WINDOW_OPTION, _SAMPLING),
        frame_multiple=multiple,
        size_multiple=_size_multiple(files),
        size=(832, 480),
        fps=fps,
        default_frames=4 * multiple + 1,
        longest_frames=longest,
        max_tokens=_TOKENS,
        negative_option="true_cfg_scale",
        licence=_licence(files),
    )


def _options(files: ModelFiles) -> tuple[OptionSpec, ...]:
    has_guidance = files.configs["transformer"].get("guidance_embeds") is not False
    return (
        *denoising_options(steps=50, guidance=6.0)[: 2 if has_guidance else 1],
        _TRUE_GUIDANCE,
        _SECOND_PROMPT,
        *flow_shift_options(files, None),
        token_option(_TOKENS),
    )


def _concat_arguments(call: Call) -> dict[str, object]:
    """Return the arguments for HunyuanVideo-I2V-33ch, which leaves out the first four frames."""
    return {**common_arguments(call), "num_frames": call.num_frames + 4}


def _count_sections(call: Call) -> int:
    """Return how many sections Framepack makes, each with all steps."""
    window = int(str(call.options["latent_window_size"]))
    return max(1, round((call.num_frames - 1) / (4 * window)))


def _framepack_arguments(call: Call) -> dict[str, object]:
    """Return the arguments: it divides num_frames by 4(window - 1) + 1 to count the sections."""
    window = int(str(call.options["latent_window_size"]))
    asked = _count_sections(call) * (4 * (window - 1) + 1)
    return {**common_arguments(call), "num_frames": asked}


def _check_last_frame(options: Options) -> None:
    if options["sampling_type"] == "vanilla":
        raise InvalidRequestError(
            "sampling_type vanilla makes no video towards a last frame",
            hint="leave the last frame out, or use a model for inverted_anti_drifting",
        )


def _per_latent(files: ModelFiles) -> int:
    return files.whole_number("vae", "temporal_compression_ratio", 4)


def _size_multiple(files: ModelFiles) -> int:
    return size_multiple(files, files.whole_number("vae", "spatial_compression_ratio", 8))


def _licence(files: ModelFiles) -> str | None:
    """Return the licence of the published models and of what is derived from them."""
    heads = files.whole_number("transformer", "num_attention_heads", 24)
    layers = files.whole_number("transformer", "num_layers", 20)
    return LICENCE if (heads, layers) == _PUBLISHED else None


def tiny_hunyuan() -> Any:
    """Build a pipeline that makes videos from text."""
    from diffusers import HunyuanVideoPipeline, HunyuanVideoTransformer3DModel

    transformer = HunyuanVideoTransformer3DModel(**_TINY_TRANSFORMER)
    return HunyuanVideoPipeline(transformer=transformer, **tiny_components())


def tiny_hunyuan_i2v(condition: str = "token_replace", channels: int = 4) -> Any:
    """Build a pipeline that makes videos from a first frame."""
    from diffusers import HunyuanVideoImageToVideoPipeline, HunyuanVideoTransformer3DModel

    own = {"in_channels": channels, "image_condition_type": condition}
    transformer = HunyuanVideoTransformer3DModel(**_TINY_TRANSFORMER | own)
    return HunyuanVideoImageToVideoPipeline(
        transformer=transformer, **tiny_components() | tiny_llava()
    )


def tiny_hunyuan_i2v_33ch() -> Any:
    """Build one that is given the image beside the noise, as HunyuanVideo-I2V-33ch is."""
    return tiny_hunyuan_i2v("latent_concat", 9)


def tiny_framepack() -> Any:
    """Build a pipeline that makes long videos from a first frame, or between two."""
    from diffusers import HunyuanVideoFramepackPipeline, HunyuanVideoFramepackTransformer3DModel

    transformer = HunyuanVideoFramepackTransformer3DModel(
        **_TINY_TRANSFORMER,
        has_image_proj=True,
        image_proj_dim=8,
        has_clean_x_embedder=True,
    )
    return HunyuanVideoFramepackPipeline(
        transformer=transformer, **tiny_siglip(), **tiny_components()
    )


_TINY_TRANSFORMER: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 10,
    "num_layers": 1,
    "num_single_layers": 1,
    "num_refiner_layers": 1,
    "patch_size": 2,
    "patch_size_t": 1,
    "text_embed_dim": 16,
    "pooled_projection_dim": 8,
    "rope_axes_dim": (2, 4, 4),
}
FAMILY = Family(
    pipelines=(_TEXT, _IMAGE, _FRAMEPACK),
    variant=read_variant,
    tiny={
        "hunyuan": tiny_hunyuan,
        "hunyuan-i2v": tiny_hunyuan_i2v,
        "hunyuan-i2v-33ch": tiny_hunyuan_i2v_33ch,
        "framepack": tiny_framepack,
    },
)
