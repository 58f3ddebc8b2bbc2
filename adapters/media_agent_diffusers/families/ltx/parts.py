"""What LTX-Video and LTX-2 share: how their latents are laid out, and what a call is made of."""

import math
from dataclasses import replace
from typing import Any

from media_agent_diffusers.families.family import Call, Task, common_arguments
from media_agent_diffusers.files import ModelFiles
from media_agent_schemas.facts import OptionSpec
from media_agent_schemas.media import InputRole
from media_agent_schemas.request import VideoMode

HISTORIES = (1, 9, 17, 25, 33, 41, 49)
"""Frames of a source that a continuation can begin from: whole latents."""
HISTORY = 9
"""The fewest that show a motion."""


def is_distilled(files: ModelFiles) -> bool:
    """Return whether it is a model for few steps; nothing but the name of its folder tells."""
    return "distilled" in files.name.lower()


def frames_to_a_latent(files: ModelFiles) -> int:
    """Return how many frames each latent but the first stands for."""
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
    scaling = config.get("spatio_temporal_scaling", (True, True, True))
    return files.whole_number("vae", patch, default) * 2 ** sum(map(bool, scaling))


def decode_options(files: ModelFiles) -> tuple[OptionSpec, ...]:
    """Return the options of a decoder that takes a last denoising step, if this one does."""
    if not files.configs["vae"].get("timestep_conditioning"):
        return ()
    return (
        number_option("decode_timestep", 0.05, "Noise that the decoder takes away, as a last step"),
        number_option("decode_noise_scale", 0.025, "Noise that is added before that step"),
    )


def number_option(
    name: str, default: float, description: str, *, maximum: float = 1.0
) -> OptionSpec:
    """Return an option for a number from 0 on."""
    return OptionSpec(
        name=name,
        type="number",
        default=default,
        minimum=0.0,
        maximum=maximum,
        description=f"{description}.",
    )


def keyframe_task(task: Task) -> Task:
    """Return the task of a pipeline with conditions that is given any images of a video."""
    roles = (InputRole.FIRST_FRAME, InputRole.LAST_FRAME, InputRole.KEYFRAME)
    return replace(task, mode=VideoMode.FIRST_LAST_FRAME, inputs=(), optional=roles)


def rated_arguments(call: Call) -> dict[str, object]:
    """Return the arguments of a pipeline that is told the frame rate."""
    return {**common_arguments(call), "frame_rate": call.fps}


def conditioned_arguments(call: Call) -> dict[str, object]:
    """Return the arguments of a pipeline that is given images and clips as conditions."""
    return rated_arguments(replace(call, inputs={}))


def list_conditions(call: Call) -> list[tuple[int, Any]]:
    """Return the images and the clip (a list of images) to be shown, each with its frame."""
    first = [call.inputs.get(role) for role in (InputRole.FIRST_FRAME, InputRole.SOURCE_VIDEO)]
    places: list[tuple[int, Any]] = [(0, each) for each in first if each is not None]
    places += call.keyframes
    if (last := call.inputs.get(InputRole.LAST_FRAME)) is not None:
        places.append((call.num_frames - 1, last))
    return places
