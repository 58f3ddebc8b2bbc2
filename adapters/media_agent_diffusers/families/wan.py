"""Wan 2.1 and 2.2: from text, from a first frame, or between two frames.

Sizes, lengths, rates and steps are those that the authors publish; what a pipeline does with other
values was tried with diffusers 0.42.
"""

from typing import TYPE_CHECKING, Any

from media_agent_diffusers.families.family import (
    Family,
    Task,
    Variant,
    denoising_options,
    size_multiple,
    token_option,
)
from media_agent_diffusers.families.tiny_parts import TEXT_WIDTH, t5_sizes, tiny_tokenizer
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.capabilities import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

if TYPE_CHECKING:
    from transformers import CLIPVisionModel

_TEXT, _IMAGE = "WanPipeline", "WanImageToVideoPipeline"
_TOKENS = 512
_IMAGE_TOKENS = 5  # of the tiny image encoder: 2x2 patches of 16 pixels, and the class
_GUIDANCE_2 = OptionSpec(
    name="guidance_scale_2",
    type="number",
    minimum=0.0,
    maximum=100.0,
    description="Pull of the prompt in the last steps; absent: guidance_scale.",
)


def read_variant(files: ModelFiles) -> Variant:
    """Return what the Wan model of a folder can do."""
    is_small = files.index.get("expand_timesteps") is True  # Wan 2.2 TI2V-5B
    has_two_models = files.index.get("boundary_ratio") is not None
    longest = 121 if is_small else 81
    return Variant(
        title=f"Wan, {'text' if files.pipeline == _TEXT else 'image'} to video",
        tasks=(_task(files),),
        options=(
            *denoising_options(steps=50, guidance=5.0),
            token_option(_TOKENS),
            *((_GUIDANCE_2,) if has_two_models else ()),
        ),
        frame_multiple=files.whole_number("vae", "scale_factor_temporal", 4),
        size_multiple=size_multiple(files, files.whole_number("vae", "scale_factor_spatial", 8)),
        size=(1280, 704) if is_small else (832, 480),
        fps=24.0 if is_small else 16.0,
        default_frames=longest,
        longest_frames=longest,
        max_tokens=_TOKENS,
        in_float32=("vae",),
    )


def _task(files: ModelFiles) -> Task:
    if files.pipeline == _TEXT:
        return Task(VideoMode.TEXT_TO_VIDEO, _TEXT)
    if files.configs["transformer"].get("pos_embed_seq_len") is None:
        return Task(VideoMode.IMAGE_TO_VIDEO, _IMAGE, (InputRole.FIRST_FRAME,))
    both = (InputRole.FIRST_FRAME, InputRole.LAST_FRAME)
    return Task(VideoMode.FIRST_LAST_FRAME, _IMAGE, both)


def tiny_wan() -> Any:
    """Build a pipeline that makes videos from text."""
    from diffusers import WanPipeline

    return WanPipeline(**_tiny_components(in_channels=16), transformer_2=None)


def tiny_wan_i2v(image_tokens: int | None = None) -> Any:
    """Build a pipeline that makes videos from a first frame."""
    from diffusers import WanImageToVideoPipeline
    from transformers import CLIPImageProcessor

    return WanImageToVideoPipeline(
        **_tiny_components(in_channels=36, image_dim=4, image_tokens=image_tokens),
        image_encoder=_tiny_image_encoder(),
        image_processor=CLIPImageProcessor(size=32, crop_size=32),
        transformer_2=None,
    )


def tiny_wan_flf2v() -> Any:
    """Build a pipeline that makes videos between two frames."""
    return tiny_wan_i2v(image_tokens=2 * _IMAGE_TOKENS)


def _tiny_components(
    *, in_channels: int, image_dim: int | None = None, image_tokens: int | None = None
) -> dict[str, Any]:
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
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
        "transformer": WanTransformer3DModel(
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
        ),
    }


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
    tiny={"wan": tiny_wan, "wan-i2v": tiny_wan_i2v, "wan-flf2v": tiny_wan_flf2v},
)
