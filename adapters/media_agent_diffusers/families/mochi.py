"""Mochi 1: from text. Its numbers are the authors'; the rest was tried with diffusers 0.42."""

from typing import Any

from media_agent_diffusers.families.family import (
    Family,
    Task,
    Variant,
    denoising_options,
    size_multiple,
    token_option,
)
from media_agent_diffusers.families.tiny_parts import TEXT_WIDTH, tiny_t5, tiny_tokenizer
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.request import VideoMode

_TEXT = "MochiPipeline"
_TOKENS = 256


def read_variant(files: ModelFiles) -> Variant:
    """Return what the Mochi model of a folder can do."""
    return Variant(
        title="Mochi, text to video",
        source="https://huggingface.co/genmo/mochi-1-preview",
        tasks=(Task(VideoMode.TEXT_TO_VIDEO, _TEXT),),
        options=(
            # its noise schedule divides by zero with one step
            *denoising_options(steps=64, guidance=4.5, fewest_steps=2),
            token_option(_TOKENS),
        ),
        frame_multiple=files.whole_number("vae", "scale_factor_temporal", 6),
        size_multiple=size_multiple(files, files.whole_number("vae", "scale_factor_spatial", 8)),
        size=(848, 480),
        fps=30.0,
        default_frames=85,
        longest_frames=163,
        max_tokens=_TOKENS,
    )


def tiny_mochi() -> Any:
    """Build a pipeline that makes videos from text."""
    import torch
    from diffusers import (
        AutoencoderKLMochi,
        FlowMatchEulerDiscreteScheduler,
        MochiPipeline,
        MochiTransformer3DModel,
    )

    tokenizer = tiny_tokenizer()
    transformer: Any = MochiTransformer3DModel(
        patch_size=2,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        in_channels=12,
        out_channels=None,
        qk_norm="rms_norm",
        text_embed_dim=TEXT_WIDTH,
        time_embed_dim=4,
        activation_fn="swiglu",
        max_sequence_length=16,
    )
    with torch.no_grad():  # torch.empty: without this two builds differ
        transformer.pos_frequencies.zero_()
    return MochiPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_t5(len(tokenizer)),
        vae=AutoencoderKLMochi(
            latent_channels=12,
            out_channels=3,
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        transformer=transformer,
    )


FAMILY = Family(pipelines=(_TEXT,), variant=read_variant, tiny={"mochi": tiny_mochi})
