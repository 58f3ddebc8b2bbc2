"""What LTX-Video and LTX-2 share: how their latents are laid out, and options of decoding."""

import math
from typing import Any

from media_agent_diffusers.families.family import Call, common_arguments
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.capabilities import OptionSpec
from media_agent_schemas.media import InputRole

GUIDANCE_RESCALE = "guidance_rescale"
_OF_CONDITIONS = (InputRole.FIRST_FRAME, InputRole.LAST_FRAME, InputRole.SOURCE_VIDEO)


def is_distilled(files: ModelFiles) -> bool:
    """Return whether it is a model for few steps; nothing but its name tells."""
    return any("distilled" in part.lower() for part in files.path.parts)


def frames_to_a_latent(files: ModelFiles) -> int:
    """Return k of "k * n + 1 frames"."""
    return _ratio(files, "temporal_compression_ratio", "patch_size_t", 1)


def side_multiple(files: ModelFiles) -> int:
    """Return what both sides of a frame are multiples of."""
    pixels = _ratio(files, "spatial_compression_ratio", "patch_size", 4)
    return math.lcm(2, pixels * files.whole_number("transformer", "patch_size", 1))


def _ratio(files: ModelFiles, key: str, patch: str, default: int) -> int:
    """Return what the config of the autoencoder says, or what follows from its blocks."""
    config = files.configs["vae"]
    if config.get(key) is not None:
        return files.whole_number("vae", key, 1)
    scaling = config.get("spatio_temporal_scaling") or ()
    return files.whole_number("vae", patch, default) * 2 ** sum(map(bool, scaling))


def decode_options(files: ModelFiles) -> tuple[OptionSpec, ...]:
    """Return the options of an autoencoder whose decoder takes a last denoising step, if it does.

    The values are those of https://huggingface.co/docs/diffusers/api/pipelines/ltx_video.
    """
    if not files.configs["vae"].get("timestep_conditioning"):
        return ()
    return (
        OptionSpec(
            name="decode_timestep",
            type="number",
            default=0.05,
            minimum=0.0,
            maximum=1.0,
            description="Noise that the decoder takes away, as a last step.",
        ),
        OptionSpec(
            name="decode_noise_scale",
            type="number",
            default=0.025,
            minimum=0.0,
            maximum=1.0,
            description="Noise that is added before that.",
        ),
    )


def rescale_option(default: float) -> OptionSpec:
    """Return the option that keeps strong guidance from making frames too bright."""
    return OptionSpec(
        name=GUIDANCE_RESCALE,
        type="number",
        default=default,
        minimum=0.0,
        maximum=1.0,
        description="How far the contrast that guidance adds is taken back; 0: not at all.",
    )


def rated_arguments(call: Call) -> dict[str, object]:
    """Return the arguments of a pipeline that is told the frame rate."""
    return {**common_arguments(call), "frame_rate": call.fps}


def conditioned_arguments(call: Call, conditions: list[Any]) -> dict[str, object]:
    """Return the arguments with conditions in place of images and videos."""
    others = {role: each for role, each in call.inputs.items() if role not in _OF_CONDITIONS}
    plain = {**rated_arguments(_without_inputs(call, others))}
    return {**plain, "conditions": conditions}


def list_conditions(call: Call, frames_to_a_latent: int) -> list[tuple[object, int]]:
    """Return each image or clip that the video is to show, with the latent where it starts.

    A latent but the first stands for several frames, whose last one an image is put on.
    """
    places: list[tuple[object, int]] = []
    if (first := call.inputs.get(InputRole.FIRST_FRAME)) is not None:
        places.append((first, 0))
    if (clip := call.inputs.get(InputRole.SOURCE_VIDEO)) is not None:
        places.append((clip, 0))
    places += [(image, frame // frames_to_a_latent) for frame, image in call.keyframes]
    if (last := call.inputs.get(InputRole.LAST_FRAME)) is not None:
        places.append((last, (call.num_frames - 1) // frames_to_a_latent))
    return places
