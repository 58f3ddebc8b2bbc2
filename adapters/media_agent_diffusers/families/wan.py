"""Wan 2.1 and 2.2: from text, from a first frame, or between two frames.

`_MODELS` has what the authors publish about each model, with the source; what a pipeline does with
other values was tried with diffusers 0.42.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from media_agent_diffusers.families.family import (
    Family,
    Task,
    Variant,
    denoising_options,
    flow_shift_options,
    size_multiple,
    token_option,
)
from media_agent_diffusers.families.tiny_parts import TEXT_WIDTH, t5_sizes, tiny_tokenizer
from media_agent_diffusers.files import ModelFiles, unusable
from media_agent_schemas.capabilities import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel
    from transformers import CLIPVisionModel

_TEXT, _IMAGE = "WanPipeline", "WanImageToVideoPipeline"
_TOKENS = 512
_HEADS_OF_1_3B = 12
_IMAGE_TOKENS = 5  # of the tiny image encoder: 2x2 patches of 16 pixels, and the class


@dataclass(frozen=True, slots=True)
class _Model:
    """What the authors publish about one model."""

    title: str
    source: str
    steps: int
    guidance: float
    guidance_2: float | None = None
    """In the last steps, which a second transformer makes; None: there is one transformer."""
    flow_shift: float | None = None
    """None: its repositories differ, and the scheduler in each folder says it."""
    size: tuple[int, int] = (832, 480)
    fps: float = 16.0
    frames: int = 81


_WAN_2_1, _WAN_2_2 = "https://github.com/Wan-Video/Wan2.1", "https://github.com/Wan-Video/Wan2.2"
_MODELS = {
    "2.1-t2v-14b": _Model("Wan 2.1, text to video", _WAN_2_1, 50, 5.0, flow_shift=5.0),
    "2.1-t2v-1.3b": _Model("Wan 2.1 1.3B, text to video", _WAN_2_1, 50, 6.0, flow_shift=8.0),
    "2.1-i2v": _Model("Wan 2.1, image to video", _WAN_2_1, 40, 5.0),  # shift 3 at 480p, 5 at 720p
    "2.1-flf2v": _Model(
        "Wan 2.1, first and last image to video", _WAN_2_1, 50, 5.0, flow_shift=16.0
    ),
    "2.2-t2v-a14b": _Model("Wan 2.2 A14B, text to video", _WAN_2_2, 40, 4.0, 3.0, flow_shift=12.0),
    "2.2-i2v-a14b": _Model("Wan 2.2 A14B, image to video", _WAN_2_2, 40, 3.5, 3.5, flow_shift=5.0),
    "2.2-ti2v-5b": _Model(
        "Wan 2.2 5B, text to video",
        _WAN_2_2,
        steps=50,
        guidance=5.0,
        flow_shift=5.0,
        size=(1280, 704),
        fps=24.0,
        frames=121,
    ),
}


def read_variant(files: ModelFiles) -> Variant:
    """Return what the Wan model of a folder can do.

    Raises:
        StorageError: it works with two transformers, and has one.
    """
    task = _read_task(files)
    model = _MODELS[_name_model(files, task)]
    return Variant(
        title=model.title,
        source=model.source,
        tasks=(task,),
        options=(
            *denoising_options(steps=model.steps, guidance=model.guidance),
            *_guidance_2_options(model.guidance_2),
            *flow_shift_options(files, model.flow_shift),
            token_option(_TOKENS),
        ),
        frame_multiple=files.whole_number("vae", "scale_factor_temporal", 4),
        size_multiple=size_multiple(files, files.whole_number("vae", "scale_factor_spatial", 8)),
        size=model.size,
        fps=model.fps,
        default_frames=model.frames,
        longest_frames=model.frames,
        max_tokens=_TOKENS,
        in_float32=("vae",),
    )


def _read_task(files: ModelFiles) -> Task:
    if files.pipeline == _TEXT:
        return Task(VideoMode.TEXT_TO_VIDEO, _TEXT)
    if files.configs["transformer"].get("pos_embed_seq_len") is None:
        return Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, (InputRole.FIRST_FRAME,))
    both = (InputRole.FIRST_FRAME, InputRole.LAST_FRAME)
    fewest = files.whole_number("vae", "scale_factor_temporal", 4) + 1  # one frame is not two
    return Task(VideoMode.FIRST_LAST_FRAME, _IMAGE, both, fewest_frames=fewest)


def _name_model(files: ModelFiles, task: Task) -> str:
    """Return which of the published models it is, or the nearest to it."""
    begins = "t2v" if task.mode is VideoMode.TEXT_TO_VIDEO else "i2v"
    if files.index.get("boundary_ratio") is not None:
        if "transformer_2" not in files.configs:
            raise unusable(files.path, "transformer_2 missing or without config.json")
        return f"2.2-{begins}-a14b"
    if files.index.get("expand_timesteps") is True:
        return "2.2-ti2v-5b"
    if task.mode is VideoMode.FIRST_LAST_FRAME:
        return "2.1-flf2v"
    if begins == "i2v":
        return "2.1-i2v"
    is_small = files.configs["transformer"].get("num_attention_heads") == _HEADS_OF_1_3B
    return "2.1-t2v-1.3b" if is_small else "2.1-t2v-14b"


def _guidance_2_options(guidance: float | None) -> tuple[OptionSpec, ...]:
    if guidance is None:
        return ()
    return (
        OptionSpec(
            name="guidance_scale_2",
            type="number",
            default=guidance,
            minimum=0.0,
            maximum=100.0,
            description="Pull of the prompt in the last steps, which transformer_2 makes.",
        ),
    )


def tiny_wan() -> Any:
    """Build a pipeline that makes videos from text."""
    from diffusers import WanPipeline

    return WanPipeline(**_tiny_components(in_channels=16))


def tiny_wan_2_2() -> Any:
    """Build a pipeline of two transformers that makes videos from text."""
    from diffusers import WanPipeline

    return WanPipeline(**_tiny_components(in_channels=16, transformers=2), boundary_ratio=0.875)


def tiny_wan_2_2_i2v() -> Any:
    """Build a pipeline of two transformers that makes videos from a first frame."""
    from diffusers import WanImageToVideoPipeline

    return WanImageToVideoPipeline(
        **_tiny_components(in_channels=36, transformers=2),
        image_encoder=None,
        image_processor=None,
        boundary_ratio=0.9,
    )


def tiny_wan_i2v(image_tokens: int | None = None) -> Any:
    """Build a pipeline that makes videos from a first frame."""
    from diffusers import WanImageToVideoPipeline
    from transformers import CLIPImageProcessor

    return WanImageToVideoPipeline(
        **_tiny_components(in_channels=36, image_dim=4, image_tokens=image_tokens),
        image_encoder=_tiny_image_encoder(),
        image_processor=CLIPImageProcessor(size=32, crop_size=32),
    )


def tiny_wan_flf2v() -> Any:
    """Build a pipeline that makes videos between two frames."""
    return tiny_wan_i2v(image_tokens=2 * _IMAGE_TOKENS)


def _tiny_components(
    *,
    in_channels: int,
    image_dim: int | None = None,
    image_tokens: int | None = None,
    transformers: int = 1,
) -> dict[str, Any]:
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
    from transformers import UMT5Config, UMT5EncoderModel

    tokenizer = tiny_tokenizer()
    return {
        "tokenizer": tokenizer,
        "text_encoder": UMT5EncoderModel(UMT5Config(**t5_sizes(len(tokenizer)))).eval(),
        "vae": AutoencoderKLWan(
            base_dim=3,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=7.0),
        "transformer": _tiny_transformer(in_channels, image_dim, image_tokens),
        "transformer_2": None if transformers == 1 else _tiny_transformer(in_channels),
    }


def _tiny_transformer(
    in_channels: int, image_dim: int | None = None, image_tokens: int | None = None
) -> "WanTransformer3DModel":
    from diffusers import WanTransformer3DModel

    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=in_channels,
        out_channels=16,
        text_dim=TEXT_WIDTH,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=1024,
        image_dim=image_dim,
        added_kv_proj_dim=None if image_dim is None else 24,  # heads x width of a head
        pos_embed_seq_len=image_tokens,
    )


def _tiny_image_encoder() -> "CLIPVisionModel":
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=4,
        projection_dim=4,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        intermediate_size=16,
        patch_size=16,
    )
    return CLIPVisionModel(config).eval()


FAMILY = Family(
    pipelines=(_TEXT, _IMAGE),
    variant=read_variant,
    tiny={
        "wan": tiny_wan,
        "wan-i2v": tiny_wan_i2v,
        "wan-flf2v": tiny_wan_flf2v,
        "wan-2.2": tiny_wan_2_2,
        "wan-2.2-i2v": tiny_wan_2_2_i2v,
    },
)
