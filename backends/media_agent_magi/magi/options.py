"""The options of a request for MAGI-1. No torch here."""

from typing import Literal

from media_agent_magi.generating.options import EngineOptions, common_options
from media_agent_magi.loading.device import declare_placement
from media_agent_magi.magi.config import MagiConfig
from media_agent_schemas.facts import OptionSpec

STEPS = {True: (8, 12, 16, 32), False: (8, 16, 32, 64)}
"""By whether the weights are distilled."""


class MagiOptions(EngineOptions):
    """The options of a request."""

    device: str = "auto"
    text_precision: Literal["bfloat16", "float32", "int8"] = "bfloat16"
    compile: Literal["auto", "on", "off"] = "auto"
    attention: Literal["sdpa", "flex", "magi"] = "sdpa"

    def compiles(self, device: str) -> bool:
        """Return whether elementwise work is compiled on a device."""
        return self.compile == "on" or (self.compile == "auto" and device.startswith("cuda"))


def declare_options(config: MagiConfig) -> tuple[OptionSpec, ...]:
    """Declare the options of a request."""
    common = common_options(
        steps=STEPS[config.distilled],
        usual_steps=config.sampler.num_steps,
        guidance="the released scales",
        shape="the shape of the video",
        state="Each takes some ten megabytes.",
        chunk=config.geometry.chunk_frames,
    )
    kept = (spec for spec in common if not (config.distilled and spec.name == "guidance_scale"))
    usual = MagiOptions()
    return (
        *kept,
        *declare_placement(usual.device, usual.text_precision),
        OptionSpec(
            name="compile",
            type="string",
            default=usual.compile,
            choices=("auto", "on", "off"),
            description="Whether torch compiles what lies between products; auto: on a GPU.",
        ),
        OptionSpec(
            name="attention",
            type="string",
            default=usual.attention,
            choices=("sdpa", "flex", "magi"),
            description="Kernel of attention: torch's own, its FlexAttention, or MagiAttention "
            "where it is installed. The results are equal but for rounding.",
        ),
    )
