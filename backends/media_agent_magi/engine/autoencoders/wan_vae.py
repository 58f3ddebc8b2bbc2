"""The causal autoencoder of Wan 2.1 (Apache-2.0), coded piece by piece with what came before.

Every convolution in time looks back only, so a video is coded frame by frame: a `Memory` holds the
last inputs of each of these layers. Parameter names are those of the released file. Latents enter
and leave normalised, as the video model wants them.

Letters: B samples, C channels, T frames, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.autoencoders.wan_vae_config import BACK, WanVAEConfig

NORM_FLOOR = 1e-12


@dataclass(frozen=True, slots=True)
class Memory:
    """What convolutions in time look back at.

    kept: layer -> its last inputs (B, C, T, H, W), at most `BACK` frames; none yet: zeros.
    is_first: what comes first is the first frame of a video, which is coded alone.
    """

    is_first: bool = True
    kept: dict[nn.Module, Tensor] = field(default_factory=dict)


class WanVAE(nn.Module):
    """Video (B, 3, 1 + 4k, H, W) in [-1, 1] to latents (B, z, 1 + k, H/8, W/8), and back."""

    def __init__(self, config: WanVAEConfig) -> None:
        super().__init__()
        self.config, z = config, config.z_dim
        self.encoder = Encoder(config)
        self.conv1 = CausalConv(2 * z, 2 * z, 1)
        self.conv2 = CausalConv(z, z, 1)
        self.decoder = Decoder(config)

    @property
    def decoder_frames(self) -> int:
        """How many latent frames a stream must have decoded to go on exactly."""
        return self.config.decoder_frames

    def open_decoder(self, *, is_first: bool = True) -> WanVAEStream:
        """Return a stream; `is_first`: the first latent frame that it gets starts a video.

        Any other stream is exact behind the first `decoder_frames` latent frames.
        """
        return WanVAEStream(self, is_first=is_first)

    @torch.inference_mode()
    def encode(self, video: Tensor) -> Tensor:
        """Return the mean latents, float32; frames beyond 1 + 4k are left out.

        Raises:
            ValueError: The video is empty, or its sides are no multiples of a latent's.
        """
        frames, rows, columns = video.shape[2:]
        each, *sides = self.config.patch
        if not frames or rows % sides[0] or columns % sides[1]:
            raise ValueError(
                f"cannot encode {frames} frames of {columns}x{rows}: "
                f"both sides must be multiples of {sides[0]}"
            )
        video = video.to(self.conv1.weight)
        memory = Memory()
        starts = range(1, frames - each + 1, each)
        pieces = [video[:, :, :1], *(video[:, :, start : start + each] for start in starts)]
        coded = [self.conv1(self.encoder(piece, memory), memory) for piece in pieces]
        latents = torch.cat(coded, dim=2).chunk(2, dim=1)[0].float()
        mean, std = self.scale(latents)
        return (latents - mean) / std

    def decode_frame(self, latents: Tensor, memory: Memory) -> Tensor:
        """Return the frames (B, 3, T, H, W) of one latent frame (B, z, 1, h, w), not clamped."""
        mean, std = self.scale(latents)
        x = (latents.float() * std + mean).to(self.conv2.weight)
        return self.decoder(self.conv2(x, memory), memory)

    def scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and std of the latents, (z, 1, 1, 1), float32."""
        numbers = torch.tensor([self.config.mean, self.config.std], device=like.device)
        mean, std = numbers[:, :, None, None, None]
        return mean, std


class WanVAEStream:
    """Decodes a video in order, however it is cut into pieces, with the same result."""

    def __init__(self, vae: WanVAE, *, is_first: bool) -> None:
        self._vae, self._memory = vae, Memory(is_first)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Return the video (B, 3, T, H, W) in [-1, 1], float32, of latents (B, z, t, h, w).

        The first latent frame of a video becomes a single frame, every other one four.
        """
        return self.decode_unclamped(latents).clamp(-1, 1)

    def decode_unclamped(self, latents: Tensor) -> Tensor:
        """As `decode`; pixels may be outside of [-1, 1]."""
        frames = latents.split(1, dim=2)
        pieces = [self._vae.decode_frame(frame, self._memory).float() for frame in frames]
        return torch.cat(pieces, dim=2)

    @property
    def kept(self) -> dict[nn.Module, Tensor]:
        """What is looked back at, by layer."""
        return self._memory.kept


class Encoder(nn.Module):
    """Video to means and log-variances."""

    def __init__(self, config: WanVAEConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv1 = CausalConv(3, config.dim, 3)
        layers: list[nn.Module] = []
        width = config.dim
        for level, wanted in enumerate(widths):
            for _ in range(config.num_res_blocks):
                layers.append(Residual(width, wanted))
                width = wanted
            if level < len(widths) - 1:
                layers.append(Down(width, in_time=config.temporal_downsample[level]))
        self.downsamples = nn.ModuleList(layers)
        self.middle = middle(width)
        self.head = head(width, 2 * config.z_dim)

    def forward(self, video: Tensor, memory: Memory) -> Tensor:
        """Return (B, 2z, t, h, w)."""
        x = self.conv1(video, memory)
        for layer in (*self.downsamples, *self.middle, self.head):
            x = layer(x, memory)
        return x


class Decoder(nn.Module):
    """Latents to video."""

    def __init__(self, config: WanVAEConfig) -> None:
        super().__init__()
        widths = config.widths[::-1]
        doubles = config.temporal_downsample[::-1]
        width = widths[0]
        self.conv1 = CausalConv(config.z_dim, width, 3)
        self.middle = middle(width)
        layers: list[nn.Module] = []
        for level, wanted in enumerate(widths):
            for _ in range(config.num_res_blocks + 1):
                layers.append(Residual(width, wanted))
                width = wanted
            if level < len(widths) - 1:
                layers.append(Up(width, in_time=doubles[level]))
                width //= 2
        self.upsamples = nn.ModuleList(layers)
        self.head = head(width, 3)

    def forward(self, latents: Tensor, memory: Memory) -> Tensor:
        """Return (B, 3, T, H, W)."""
        x = self.conv1(latents, memory)
        for layer in (*self.middle, *self.upsamples, self.head):
            x = layer(x, memory)
        return x


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
