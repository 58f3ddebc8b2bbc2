"""What a model can do, from its family and its folder alone."""

import math

from media_agent_diffusers.families import Family
from media_agent_diffusers.folder import ModelFolder
from media_agent_schemas.capabilities import (
    Capabilities,
    OptionSpec,
    SizeRange,
    Verification,
    VerificationLevel,
)
from media_agent_schemas.media import InputRole, Size
from media_agent_schemas.request import VideoMode

NAME = "diffusers"
LARGEST_SIDE = 2048


def describe(model: str, folder: ModelFolder) -> Capabilities:
    """Return the capabilities of the model in a folder.

    Raises:
        StorageError: its configs contradict themselves.
    """
    family = folder.family
    temporal = folder.whole_number("vae", "scale_factor_temporal", family.frame_multiple)
    multiple = size_multiple(folder)
    roles = input_roles(folder)
    return Capabilities(
        backend=NAME,
        model=model,
        models=(model,),
        description=f"{family.title}; weights in {folder.path}",
        modes=(_mode(roles),),
        input_roles=roles,
        size_range=SizeRange(
            minimum=_square(max(16, multiple)),
            maximum=_square(LARGEST_SIDE // multiple * multiple),
            multiple=multiple,
        ),
        default_size=Size(
            width=_rounded(family.size[0], multiple), height=_rounded(family.size[1], multiple)
        ),
        fps_values=(family.fps,),
        default_fps=family.fps,
        max_duration=family.longest_frames / family.fps,
        default_duration=family.default_frames / family.fps,
        frame_multiple=temporal,
        frame_offset=1,
        negative_prompt=True,
        seed=True,
        cancels=True,
        resubmits=True,
        local=True,
        options=_options(family, has_second_model(folder), bool(roles)),
        verification=Verification(
            level=VerificationLevel.TINY_WEIGHTS,
            note="pipelines of this family with tiny random weights; real ones were not tried",
        ),
    )


def size_multiple(folder: ModelFolder) -> int:
    """Return what both sides must be multiples of: pixels to a latent, latents to a patch."""
    spatial = folder.whole_number("vae", "scale_factor_spatial", folder.family.spatial_factor)
    return math.lcm(2, spatial * folder.whole_number("transformer", "patch_size", 2))


def has_second_model(folder: ModelFolder) -> bool:
    """Return whether a second transformer does the last steps, with guidance of its own."""
    return folder.index.get("boundary_ratio") is not None


def input_roles(folder: ModelFolder) -> tuple[InputRole, ...]:
    """Return the pictures that the model begins from, each of which it needs."""
    if not folder.family.from_image:
        return ()
    if folder.configs["transformer"].get("pos_embed_seq_len") is not None:
        return InputRole.FIRST_FRAME, InputRole.LAST_FRAME
    return (InputRole.FIRST_FRAME,)


def _mode(roles: tuple[InputRole, ...]) -> VideoMode:
    if InputRole.LAST_FRAME in roles:
        return VideoMode.FIRST_LAST_FRAME
    return VideoMode.IMAGE_TO_VIDEO if roles else VideoMode.TEXT_TO_VIDEO


def _options(family: Family, second_model: bool, takes_image: bool) -> tuple[OptionSpec, ...]:
    specs = [
        OptionSpec(
            name="num_inference_steps",
            type="integer",
            default=family.steps,
            minimum=family.fewest_steps,
            maximum=1000,
            description="Denoising steps; fewer is faster and worse.",
        ),
        OptionSpec(
            name="guidance_scale",
            type="number",
            default=family.guidance,
            minimum=0.0,
            maximum=100.0,
            description="Pull of the prompt; at 1 or less the negative prompt has no effect.",
        ),
        OptionSpec(
            name="max_sequence_length",
            type="integer",
            default=family.words,
            minimum=1,
            maximum=family.words,
            description="Tokens of the prompt that are read; fewer is faster.",
        ),
    ]
    if second_model:
        specs.append(
            OptionSpec(
                name="guidance_scale_2",
                type="number",
                minimum=0.0,
                maximum=100.0,
                description="Pull of the prompt in the last steps; absent: guidance_scale.",
            )
        )
    if takes_image:
        specs.append(
            OptionSpec(
                name="image_fit",
                type="string",
                default="crop",
                choices=("crop", "pad"),
                description="What is done with a picture of another shape than the film: cut off "
                "what is beyond it, or fill up with black.",
            )
        )
    return tuple(specs)


def _square(side: int) -> Size:
    return Size(width=side, height=side)


def _rounded(side: int, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple
