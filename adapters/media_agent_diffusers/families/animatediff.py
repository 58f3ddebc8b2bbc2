"""AnimateDiff: an image model of the kind of Stable Diffusion 1.5, with a motion adapter.

Its numbers are those of the pipeline's documentation; the rest was tried with diffusers 0.42. More
frames than the motion adapter has positions for break it.
"""

from typing import Any

from media_agent_diffusers.families.clip_parts import tiny_clip_text, tiny_clip_tokenizer
from media_agent_diffusers.families.family import (
    Call,
    Family,
    Task,
    Variant,
    common_arguments,
    denoising_options,
)
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.request import VideoMode

_PIPELINE = "AnimateDiffPipeline"
_TOKENS = 77
_ETA = OptionSpec(
    name="eta",
    type="number",
    default=0.0,
    minimum=0.0,
    maximum=1.0,
    description="Noise added in each step; only the scheduler DDIM does so.",
)
_DECODE_CHUNK = OptionSpec(
    name="decode_chunk_size",
    type="integer",
    default=16,
    minimum=1,
    maximum=1000,
    description="Frames decoded at a time: fewer need less memory.",
)


def read_variant(files: ModelFiles) -> Variant:
    """Return what the AnimateDiff model of a folder can do; its licence depends on its parts."""
    most = files.whole_number("motion_adapter", "motion_max_seq_length", 32)
    side = files.whole_number("unet", "sample_size", 64) * _pixels_per_latent(files)
    return Variant(
        title="AnimateDiff, text to video",
        source="https://huggingface.co/docs/diffusers/api/pipelines/animatediff",
        tasks=(Task(VideoMode.TEXT_TO_VIDEO, _PIPELINE, arguments=_arguments),),
        options=(*denoising_options(steps=50, guidance=7.5), _ETA, _DECODE_CHUNK),
        frame_multiple=1,
        size_multiple=8,
        size=(side, side),
        fps=8.0,
        default_frames=min(16, most),
        longest_frames=most,
        max_tokens=_TOKENS,
    )


def _pixels_per_latent(files: ModelFiles) -> int:
    blocks = files.configs["vae"].get("block_out_channels")
    return 2 ** (len(blocks) - 1) if isinstance(blocks, list) and blocks else 8


def _arguments(call: Call) -> dict[str, object]:
    arguments = common_arguments(call)
    del arguments["max_sequence_length"]
    return arguments


def tiny_animatediff() -> Any:
    """Build a pipeline that makes videos of up to 32 frames from text."""
    from diffusers import (
        AnimateDiffPipeline,
        AutoencoderKL,
        DDIMScheduler,
        MotionAdapter,
        UNet2DConditionModel,
    )

    return AnimateDiffPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
            up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
            norm_num_groups=8,
        ),
        text_encoder=tiny_clip_text(),
        tokenizer=tiny_clip_tokenizer(),
        unet=UNet2DConditionModel(
            block_out_channels=(8, 8),
            layers_per_block=1,
            sample_size=16,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=8,
            norm_num_groups=2,
        ),
        motion_adapter=MotionAdapter(
            block_out_channels=(8, 8),
            motion_layers_per_block=1,
            motion_norm_num_groups=2,
            motion_num_attention_heads=2,
        ),
        scheduler=DDIMScheduler(beta_schedule="linear", clip_sample=False),
    )


FAMILY = Family(
    pipelines=(_PIPELINE,),
    variant=read_variant,
    tiny={"animatediff": tiny_animatediff},
    components=("unet", "motion_adapter", "vae", "text_encoder"),
)
