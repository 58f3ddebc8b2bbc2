"""What Wan and Wan VACE share: the second transformer of version 2.2, and the licences."""

from media_agent_diffusers.files import ModelFiles, unusable
from media_agent_schemas.facts import OptionSpec

_SHAPES = ((12, 30), (40, 40), (24, 30))
"""Attention heads and layers of the published models: 1.3B, 14B and A14B, 5B. All of them are under
Apache-2.0 (github.com/Wan-Video)."""


def licence(files: ModelFiles) -> str | None:
    """Return the licence of the published models of this shape, None if there is none."""
    heads = files.whole_number("transformer", "num_attention_heads", 40)
    layers = files.whole_number("transformer", "num_layers", 40)
    return "Apache-2.0" if (heads, layers) in _SHAPES else None


def has_two_transformers(files: ModelFiles) -> bool:
    """Return whether a second transformer makes the last steps.

    Raises:
        StorageError: it does, and is not there.
    """
    if files.index.get("boundary_ratio") is None:
        return False
    if "transformer_2" not in files.configs:
        raise unusable(files.path, "transformer_2 missing or without config.json")
    return True


def guidance_2_options(files: ModelFiles, guidance: float | None) -> tuple[OptionSpec, ...]:
    """Return the option for the pull of the prompt on the second transformer, if there is one.

    `guidance` is what the authors use; None: as much as on the first.
    """
    if not has_two_transformers(files):
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
