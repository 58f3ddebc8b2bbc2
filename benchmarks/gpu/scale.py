"""What is measured: the released shapes, or small ones in rehearsal."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig
from media_agent_magi.magi.config import RELEASED, MagiConfig
from media_agent_magi.wan_causal.config import LONGLIVE, WanCausalConfig

BOTH_WAYS = 10  # chunks of a second, ours and by the published algorithm
ENDLESS = 120
VAE: dict[str, Any] = {
    "video_size": 256, "video_length": 16, "patch_size": 8, "patch_length": 4, "in_chans": 3,
    "z_chans": 16, "double_z": True, "embed_dim": 1024, "depth": 24, "num_heads": 16,
    "mlp_ratio": 4, "qkv_bias": True, "ln_in_attn": True, "conv_last_layer": True,
    "with_cls_token": True, "norm_code": False, "use_rope": False, "use_final_proj": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """What is measured: the released shapes on a GPU, or small ones in rehearsal."""

    device: torch.device
    base: MagiConfig
    vae: dict[str, Any]
    small: tuple[int, int] = (480, 480)
    large: tuple[int, int] = (720, 720)
    chunks: int = 10
    both_ways: int = BOTH_WAYS
    endless: int = ENDLESS
    causal: WanCausalConfig = LONGLIVE
    causal_vae: WanVAEConfig = WanVAEConfig()  # noqa: RUF009 - it is frozen

    @property
    def is_gpu(self) -> bool:
        """Whether the numbers mean something."""
        return self.device.type == "cuda"


REHEARSAL = Scale(
    torch.device("cpu"),
    replace(
        RELEASED["4.5B_distill"],
        model=replace(
            RELEASED["4.5B_distill"].model, num_layers=3, hidden_size=64, ffn_hidden_size=128,
            num_attention_heads=4, num_query_groups=2, kv_channels=16, caption_channels=32,
        ),
    ),
    VAE | {"video_size": 64, "embed_dim": 256, "depth": 1, "num_heads": 4},
    small=(64, 64), large=(96, 96), chunks=3, both_ways=3, endless=8,
    causal=replace(
        LONGLIVE, size=(32, 32),
        model=replace(
            LONGLIVE.model, dim=48, num_heads=2, ffn_dim=64, num_layers=2, text_dim=32,
        ),
    ),
    causal_vae=WanVAEConfig(dim=4),
)  # fmt: skip
