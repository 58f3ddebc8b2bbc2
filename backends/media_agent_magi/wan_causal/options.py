"""The options of a request for a causal Wan model. No torch here."""

from dataclasses import replace
from typing import Literal

from pydantic import Field, JsonValue

from media_agent_magi.engine.causal.config import EVERYTHING, CausalConfig
from media_agent_magi.generating.options import EngineOptions, common_options
from media_agent_magi.loading.device import declare_placement
from media_agent_magi.wan_causal.config import WanCausalConfig
from media_agent_schemas.facts import OptionSpec

STATE_EVERY = 20
"""Blocks after which a state is kept: it holds gigabytes of keys."""

COMMON = ("image_fit", "context_frames", "keep_states", "states_budget")
"""Options of all families that hold here: there is no guidance, and the steps are as distilled."""


class WanCausalOptions(EngineOptions):
    """The options of a request."""

    keep_states: int = 2
    states_budget: float = 8.0
    state_every: int = Field(default=STATE_EVERY, ge=1)
    window: int | None = None
    sink: int | None = None
    recache: bool | None = None
    positions: Literal["video", "slot"] | None = None
    device: str = "auto"
    text_precision: Literal["bfloat16", "float32", "int8"] = "bfloat16"

    def choices(self) -> dict[str, JsonValue]:
        """Return what a video depends on and this family alone knows."""
        named = {name: getattr(self, name) for name in ("window", "sink", "recache", "positions")}
        return {name: value for name, value in named.items() if value is not None}


def chosen(config: CausalConfig, choices: dict[str, JsonValue]) -> CausalConfig:
    """Return how a video is made with what a request chooses.

    Raises:
        ConfigError: The window does not hold the sink and a block, or the sink is too long.
    """
    changes = dict(choices)
    positions = changes.pop("positions", None)
    if positions is not None:
        changes["slot_positions"] = positions == "slot"
    return replace(config, **changes)  # type: ignore[arg-type]  # as the options are typed


def declare_options(config: WanCausalConfig) -> tuple[OptionSpec, ...]:
    """Declare the options of a request."""
    causal, usual = config.causal, WanCausalOptions()
    common = common_options(
        steps=(len(causal.steps),),
        usual_steps=len(causal.steps),
        guidance="none",
        shape="the shape of the video",
        state="Each holds the keys of all that is seen: 1.5 to 5 GB at 832x480.",
        chunk=config.geometry.chunk_frames,
    )
    defaults = {"keep_states": usual.keep_states, "states_budget": usual.states_budget}
    kept = tuple(
        spec.model_copy(update={"default": defaults.get(spec.name, spec.default)})
        for spec in common
        if spec.name in COMMON
    )
    block = causal.block_frames
    return (
        *kept,
        OptionSpec(
            name="state_every",
            type="integer",
            default=usual.state_every,
            minimum=1,
            description=f"Blocks of {block} latent frames after which a state is kept.",
        ),
        OptionSpec(
            name="window",
            type="integer",
            default=None if causal.window == EVERYTHING else causal.window,
            minimum=block,
            description="Latent frames that a block sees at most, sink and own ones counted; "
            "absent: as trained, or fewer where memory is short.",
        ),
        OptionSpec(
            name="sink",
            type="integer",
            default=causal.sink,
            minimum=0,
            maximum=block,
            description="Of the first latent frames, how many are never forgotten.",
        ),
        OptionSpec(
            name="recache",
            type="boolean",
            default=causal.recache,
            description="Whether what is seen is read again with a new prompt, as LongLive does.",
        ),
        OptionSpec(
            name="positions",
            type="string",
            default="slot" if causal.slot_positions else "video",
            choices=("video", "slot"),
            description="What counts as the place of a frame: in the video, trained for 4 minutes "
            "at most; or among what is seen, without a limit.",
        ),
        *declare_placement(usual.device, usual.text_precision),
    )
