"""Stable Video Diffusion: from an image alone; it reads no prompt.

Numbers are those of the authors' model cards and of the pipeline's documentation; what it does with
other values was tried with diffusers 0.42. One frame breaks it, and so does a last guidance below
the first where that is at 1 or less.
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
)
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

_PIPELINE = "StableVideoDiffusionPipeline"
_LICENCE = "stable-video-diffusion-community"
_PUBLISHED = [320, 640, 1280, 1280]  # channels of the blocks
_NAMES = {14: "stable-video-diffusion-img2vid", 25: "stable-video-diffusion-img2vid-xt"}


def read_variant(files: ModelFiles) -> Variant:
    """Return what the SVD model of a folder can do."""
    frames = files.whole_number("unet", "num_frames", 25)
    name = _NAMES.get(frames, "stable-video-diffusion-img2vid-xt")
    is_published = files.configs["unet"].get("block_out_channels") == _PUBLISHED
    return Variant(
        title=f"Stable Video Diffusion of {frames} frames, image to video",
        source=f"https://huggingface.co/stabilityai/{name}",
        tasks=(
            Task(
                VideoMode.IMAGE_TO_VIDEO,
                _PIPELINE,
                inputs=(InputRole.FIRST_FRAME,),
                arguments=_arguments,
                fewest_frames=2,
                check=_check_guidance,
            ),
        ),
        options=_OPTIONS,
        frame_multiple=1,
        size_multiple=8,
        size=(1024, 576),
        fps=7.0,
        default_frames=frames,
        longest_frames=frames,
        max_tokens=1,
        fps_range=(1.0, 30.0),
        reads_prompt=False,
        takes_negative_prompt=False,
        licence=_LICENCE if is_published else None,
    )


def _arguments(call: Call) -> dict[str, object]:
    """Return the arguments; the rate is one of them: the model was told it in training."""
    unread = ("prompt", "negative_prompt", "max_sequence_length")
    arguments = {name: each for name, each in common_arguments(call).items() if name not in unread}
    return {**arguments, "fps": call.fps}


def _check_guidance(options: Options) -> None:
    first, last = (float(str(options[f"{end}_guidance_scale"])) for end in ("min", "max"))
    if first > last:
        raise InvalidRequestError(
            f"min_guidance_scale {first:g} is above max_guidance_scale {last:g}",
            hint="the guidance grows from the first frame to the last",
        )


def _guidance(end: str, frame: str, default: float) -> OptionSpec:
    return OptionSpec(
        name=f"{end}_guidance_scale",
        type="number",
        default=default,
        minimum=0.0,
        maximum=100.0,
        description=f"Pull of the image at the {frame} frame.",
    )


_OPTIONS = (
    denoising_options(steps=25, guidance=3.0)[0],
    _guidance("min", "first", 1.0),
    _guidance("max", "last", 3.0),
    OptionSpec(
        name="motion_bucket_id",
        type="integer",
        default=127,
        minimum=0,
        maximum=255,
        description="How much moves: more for larger numbers.",
    ),
    OptionSpec(
        name="noise_aug_strength",
        type="number",
        default=0.02,
        minimum=0.0,
        maximum=1.0,
        description="Noise added to the image: more makes more motion, and less of a likeness.",
    ),
    OptionSpec(
        name="decode_chunk_size",
        type="integer",
        default=8,
        minimum=1,
        maximum=1000,
        description="Frames decoded at a time: fewer need less memory, and flicker more.",
    ),
)


def tiny_svd() -> Any:
    """Build a pipeline that makes videos of up to 6 frames from an image."""
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    encoder = CLIPVisionConfig(
        hidden_size=32,
        projection_dim=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=224,  # whatever the processor says, images come at this size
        intermediate_size=16,
        patch_size=32,
    )
    return StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 64),
            down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
            layers_per_block=1,
        ),
        image_encoder=CLIPVisionModelWithProjection(encoder).eval(),
        unet=UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            sample_size=32,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=32,
            num_attention_heads=8,
            projection_class_embeddings_input_dim=96,  # three numbers of 32 channels
            addition_time_embed_dim=32,
            num_frames=6,
        ),
        scheduler=EulerDiscreteScheduler(
            prediction_type="v_prediction",
            sigma_max=700.0,
            sigma_min=0.002,
            timestep_spacing="leading",
            timestep_type="continuous",
            use_karras_sigmas=True,
        ),
        feature_extractor=CLIPImageProcessor(crop_size=32, size=32),
    )


FAMILY = Family(
    pipelines=(_PIPELINE,),
    variant=read_variant,
    tiny={"svd": tiny_svd},
    components=("unet", "vae", "image_encoder"),
)
