"""The parts of the transformer that no token reads another in."""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.rope import default_bands

SINUSOID_WIDTH = 256


def body_dtype(config: ModelConfig) -> torch.dtype:
    """Return the dtype of the transformer body; the other parts are always float32."""
    dtype: torch.dtype = getattr(torch, config.params_dtype)
    return dtype


class Norm(nn.Module):
    """LayerNorm whose stored weight is used as 1 + weight, where the config says so."""

    def __init__(self, config: ModelConfig, width: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.eps = config.layernorm_epsilon
        self.offset = 1.0 if config.apply_layernorm_1p else 0.0
        self.weight = nn.Parameter(torch.full((width,), 1 - self.offset, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(width, dtype=dtype))
        self.register_buffer("scale", None, persistent=False)

    def prepare(self) -> None:
        """Add the 1 now, once; to be called again when the weight changes."""
        self.scale = (self.weight + self.offset).detach()

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        scale = cast(Tensor | None, self.scale)
        scale = self.weight + self.offset if scale is None else scale
        return torch.layer_norm(x, self.weight.shape, scale, self.bias, self.eps)


def gated_sum(x: Tensor, y: Tensor, gate: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
    """Gate y, norm it, add it to x; (N, S, D), gates (N, W, D) by chunk. In float32, cast once."""
    y = y.float().view(len(y), gate.shape[1], -1, y.shape[-1])  # N W C D
    gated = (y * gate.float().unsqueeze(2)).flatten(1, 2)
    return (x.float() + norm(gated)).to(x.dtype)


class MLP(nn.Module):
    """Exact GELU, or SiLU of the first half times the second (gated)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, inner, body = config.hidden_size, config.ffn_hidden_size, body_dtype(config)
        self.activate: Callable[[Tensor], Tensor] = (
            silu_gated if config.gated_linear_unit else F.gelu
        )
        inner_in = inner * (2 if config.gated_linear_unit else 1)
        self.layer_norm = nn.LayerNorm(width, config.layernorm_epsilon, dtype=body)
        self.linear_fc1 = nn.Linear(width, inner_in, bias=False, dtype=body)
        self.linear_fc2 = nn.Linear(inner, width, bias=False, dtype=body)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, S, D) in the body's dtype."""
        return self.linear_fc2(self.activate(self.linear_fc1(self.layer_norm(x))))


def silu_gated(hidden: Tensor) -> Tensor:
    """Return SiLU of the first half times the second."""
    gate, value = hidden.chunk(2, dim=-1)
    return F.silu(gate) * value


class Gates(nn.Module):
    """Turn the condition of a chunk into its attention gate and its MLP gate."""

    def __init__(self, condition: int, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.Linear(condition, 2 * width, dtype=dtype))

    def forward(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return two gates (N, W, D), capped to (-1, 1) by a tanh in float32."""
        gates = torch.tanh(self.proj(F.silu(condition)).float()).to(condition.dtype)
        attention, mlp = gates.chunk(2, dim=-1)
        return attention, mlp


class TimestepEmbedder(nn.Module):
    """Sinusoid of 1000*t, then two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(SINUSOID_WIDTH, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, t: Tensor, body: torch.dtype) -> Tensor:
        """Embed (N, W) timesteps as (N, W, D/4); the sinusoid is rounded to `body` on the way."""
        half = SINUSOID_WIDTH // 2
        index = torch.arange(half, dtype=torch.float32, device=t.device)
        frequencies = torch.exp(-math.log(10000.0) * index / half)
        angles = (t.float()[..., None] * frequencies) * 1000
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1).to(body)
        return self.mlp(waves.float())


class CaptionEmbedder(nn.Module):
    """Projects text rows for cross attention and makes the global text vector."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, width = config.caption_channels, config.hidden_size
        self.null_caption_embedding = nn.Parameter(torch.zeros(config.caption_max_length, channels))
        self.y_proj_xattn = nn.Sequential(
            nn.Linear(channels, int(width * config.xattn_cond_hidden_ratio)), nn.SiLU()
        )
        self.y_proj_adaln = nn.Sequential(
            nn.Linear(channels, int(width * config.cond_hidden_ratio))
        )

    def project(self, caption: Tensor) -> Tensor:
        """Project (..., L, caption_channels) to (..., L, D) for cross attention."""
        return self.y_proj_xattn(caption.float())

    def global_vector(self, drop: Tensor) -> Tensor:
        """Return the text vector of each chunk (N, W, D/4); it does not depend on the caption."""
        kept, dropped = self.y_proj_adaln(self.null_caption_embedding[-2:])
        return torch.where(drop[..., None], dropped, kept)


class LearnedBands(nn.Module):
    """The rotary frequencies, one learned vector for all three axes."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.bands = nn.Parameter(default_bands(bands))


class FinalLinear(nn.Module):
    """Maps features to the numbers of a patch: rows, columns, then channels fastest."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, S, patch numbers)."""
        return self.linear(x)
