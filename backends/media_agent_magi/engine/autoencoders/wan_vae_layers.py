"""The layers of Wan 2.1's autoencoder; those that look back in time are told their `Memory`.

Letters: B samples, C channels, T frames, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.autoencoders.wan_vae_config import BACK

NORM_FLOOR = 1e-12


@dataclass(frozen=True, slots=True)
class Memory:
    """What convolutions in time look back at.

    kept: layer -> its last inputs (B, C, T, H, W), at most `BACK` frames; none yet: zeros.
    is_first: what comes first is the first frame of a video, which is coded alone.
    """

    is_first: bool = True
    kept: dict[nn.Module, Tensor] = field(default_factory=dict)


class CausalConv(nn.Conv3d):
    """A convolution whose frame sees itself and those before it; zeros before the first."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__(inputs, outputs, size, padding=(0, size // 2, size // 2))

    def forward(self, x: Tensor, memory: Memory) -> Tensor:  # type: ignore[override]  # its past
        """Return as many frames as there are in `x`."""
        return super().forward(x if self.kernel_size[0] == 1 else with_past(self, x, memory))


class TimeConv(nn.Conv3d):
    """A convolution over time alone, of frames that are put together by its caller."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, (BACK + 1, 1, 1), (stride, 1, 1))


def with_past(layer: nn.Module, x: Tensor, memory: Memory) -> Tensor:
    """Put the two frames before `x` in front of it, and remember the last two of all."""
    past = memory.kept.get(layer)
    if past is None:
        past = x.new_zeros((*x.shape[:2], BACK, *x.shape[3:]))
    joined = torch.cat([past, x], dim=2)
    memory.kept[layer] = joined[:, :, -BACK:].clone()
    return joined


class Norm(nn.Module):
    """Gives the channels of every place the length sqrt(C), then weights them."""

    def __init__(self, width: int, places: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width, *[1] * places))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, ...)."""
        return F.normalize(x, dim=1, eps=NORM_FLOOR) * x.shape[1] ** 0.5 * self.gamma


class Chain(nn.Sequential):
    """Layers one after the other, of which convolutions in time are told their memory."""

    def forward(self, x: Tensor, memory: Memory) -> Tensor:  # type: ignore[override]  # its past
        """Return what the last layer makes of it."""
        for layer in self:
            x = layer(x, memory) if isinstance(layer, CausalConv) else layer(x)
        return x


class Residual(nn.Module):
    """Two convolutions, added to their input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = Chain(
            Norm(inputs, 3), nn.SiLU(), CausalConv(inputs, outputs, 3),
            Norm(outputs, 3), nn.SiLU(), nn.Dropout(0.0), CausalConv(outputs, outputs, 3),
        )  # fmt: skip
        self.shortcut = None if inputs == outputs else CausalConv(inputs, outputs, 1)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """Return (B, outputs, T, H, W)."""
        kept = x if self.shortcut is None else self.shortcut(x, memory)
        return kept + self.residual(x, memory)


class Attention(nn.Module):
    """Every place of a frame sees all places of that frame; added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Norm(width, 2)
        self.to_qkv = nn.Conv2d(width, 3 * width, 1)
        self.proj = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """Return (B, C, T, H, W)."""
        frames = x.transpose(1, 2).flatten(0, 1)  # B*T C H W
        qkv = self.to_qkv(self.norm(frames)).flatten(2).transpose(1, 2)  # B*T H*W 3C
        q, k, v = qkv[:, None].chunk(3, dim=-1)  # B*T 1 H*W C each
        seen = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2)
        frames = self.proj(seen.unflatten(2, frames.shape[2:]))
        return x + frames.unflatten(0, (len(x), -1)).transpose(1, 2)


class Up(nn.Module):
    """Twice the rows and columns, half the channels; `in_time` also twice the frames.

    The first frame of a video stays one frame, and is not among what the next ones look back at.
    """

    def __init__(self, width: int, *, in_time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            nn.Upsample(scale_factor=(2.0, 2.0), mode="nearest"),
            nn.Conv2d(width, width // 2, 3, padding=1),
        )
        self.time_conv = TimeConv(width, 2 * width) if in_time else None

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """Return (B, C/2, T or 2T, 2H, 2W)."""
        if self.time_conv is not None:
            x = self._double(self.time_conv, x, memory)
        return each_frame(self.resample, x)

    def _double(self, conv: TimeConv, x: Tensor, memory: Memory) -> Tensor:
        first = x[:, :, :0]
        if memory.is_first and conv not in memory.kept:
            first, x = x[:, :, :1], x[:, :, 1:]
            memory.kept[conv] = x.new_zeros((*x.shape[:2], BACK, *x.shape[3:]))
        if x.shape[2] == 0:
            return first
        doubled = conv(with_past(conv, x, memory)).unflatten(1, (2, -1))  # B 2 C T H W
        return torch.cat([first, doubled.permute(0, 2, 3, 1, 4, 5).flatten(2, 3)], dim=2)


class Down(nn.Module):
    """Half the rows and columns; `in_time` also half the frames.

    The first frame of a video stays as it is, and the next ones look back at it.
    """

    def __init__(self, width: int, *, in_time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2)
        )
        self.time_conv = TimeConv(width, width, stride=2) if in_time else None

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """Return (B, C, T or T/2, H/2, W/2)."""
        x = each_frame(self.resample, x)
        conv = self.time_conv
        if conv is None:
            return x
        before = memory.kept.get(conv)
        memory.kept[conv] = x[:, :, -1:].clone()
        return x if before is None else conv(torch.cat([before, x], dim=2))


def each_frame(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer to every frame of (B, C, T, H, W)."""
    frames = layer(x.transpose(1, 2).flatten(0, 1))
    return frames.unflatten(0, (len(x), -1)).transpose(1, 2)


def middle(width: int) -> nn.ModuleList:
    """Return the layers of the innermost level."""
    return nn.ModuleList([Residual(width, width), Attention(width), Residual(width, width)])


def head(inputs: int, outputs: int) -> Chain:
    """Return the last layers of a half."""
    return Chain(Norm(inputs, 3), nn.SiLU(), CausalConv(inputs, outputs, 3))
