"""The settings of the released causal Wan models. No torch here."""

from dataclasses import dataclass

from media_agent_magi.engine.causal.config import CausalConfig, WanConfig
from media_agent_magi.generating.geometry import Geometry

SIDES = range(32, 1280 + 1, 16)
"""Pixels that a side of a video may have."""


@dataclass(frozen=True, slots=True)
class WanCausalConfig:
    """Sizes, sampling and frame size of one model.

    name: of the model. adapter_rank, adapter_alpha: of its adapter; None: it has none. size: rows
    and columns of pixels. continues: whether given frames can begin its videos.
    """

    name: str
    model: WanConfig
    causal: CausalConfig
    adapter_rank: int | None = None
    adapter_alpha: float | None = None
    size: tuple[int, int] = (480, 832)
    fps: int = 16
    continues: bool = True

    @property
    def geometry(self) -> Geometry:
        """How latents lie in time and space."""
        return Geometry(
            fps=self.fps,
            chunk_width=self.causal.block_frames,
            latent_channels=self.model.in_dim,
            frames_first=1,
        )


WAN_1_3B = WanConfig(dim=1536, num_heads=12, ffn_dim=8960, num_layers=30, params_dtype="bfloat16")

SELF_FORCING = WanCausalConfig("self-forcing", WAN_1_3B, CausalConfig(window=21))
"""Released without a window and with room for 21 frames: to there the numbers are the same."""

LONGLIVE = WanCausalConfig(
    "longlive",
    WAN_1_3B,
    CausalConfig(window=12, sink=3, recache=True),
    adapter_rank=256,
    adapter_alpha=256.0,
    continues=False,
)
