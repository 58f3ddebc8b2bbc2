"""The known families of models, as data: everything that is not in a folder's own files.

Sizes, lengths, rates and steps are those that each family's authors publish; what a pipeline does
with other values was tried with diffusers 0.42.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Family:
    """One pipeline class of diffusers and what it needs to be asked rightly."""

    pipeline: str
    """Name of the class, as in `_class_name` of a model_index.json."""
    title: str
    """For people."""
    models: tuple[str, ...]
    """Components that hold weights and must be there."""
    frame_multiple: int
    """It makes frame_multiple * k + 1 frames; a VAE that says otherwise goes first."""
    spatial_factor: int
    """Pixels to a latent; a VAE that says otherwise goes first."""
    fps: float
    """The rate it was trained at."""
    size: tuple[int, int]
    """Width and height it was trained at."""
    default_frames: int
    longest_frames: int
    """The longest film it was trained for; longer ones fall apart."""
    steps: int
    fewest_steps: int
    guidance: float
    words: int
    """Tokens of a prompt that it reads."""
    in_float32: tuple[str, ...] = ()
    """Components that lose too much in fewer bits."""
    from_image: bool = False


WAN = Family(
    pipeline="WanPipeline",
    title="Wan, text to video",
    models=("transformer", "vae", "text_encoder"),
    frame_multiple=4,
    spatial_factor=8,
    fps=16.0,
    size=(832, 480),
    default_frames=81,
    longest_frames=81,
    steps=50,
    fewest_steps=1,
    guidance=5.0,
    words=512,
    in_float32=("vae",),
)
WAN_IMAGE = replace(
    WAN, pipeline="WanImageToVideoPipeline", title="Wan, image to video", from_image=True
)
MOCHI = Family(
    pipeline="MochiPipeline",
    title="Mochi, text to video",
    models=("transformer", "vae", "text_encoder"),
    frame_multiple=6,
    spatial_factor=8,
    fps=30.0,
    size=(848, 480),
    default_frames=85,
    longest_frames=163,
    steps=64,
    fewest_steps=2,  # its noise schedule divides by zero with one
    guidance=4.5,
    words=256,
)
FAMILIES = {family.pipeline: family for family in (WAN, WAN_IMAGE, MOCHI)}
