"""The causal autoencoder of Wan 2.1 (Apache-2.0), coded piece by piece with what came before.

Every convolution in time looks back only, so a video is coded frame by frame. Parameter names are
those of the released file. Latents enter and leave normalised, as the video model wants them.

Letters: B samples, C channels, T frames, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from media_agent_magi.engine.autoencoders.wan_vae_config import WanVAEConfig
from media_agent_magi.engine.autoencoders.wan_vae_layers import (
    CausalConv,
    Down,
    Memory,
    Residual,
    Up,
    head,
    middle,
)


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
        return self.decoder.widen(self.decode_deep(latents, memory), memory)

    def decode_deep(self, latents: Tensor, memory: Memory) -> Tensor:
        """Return what all but the two widest levels make of one latent frame (B, z, 1, h, w)."""
        mean, std = self.scale(latents)
        x = (latents.float() * std + mean).to(self.conv2.weight)
        return self.decoder.deepen(self.conv2(x, memory), memory)

    def scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and std of the latents, (z, 1, 1, 1), float32."""
        values = [self.config.mean, self.config.std]
        numbers = torch.tensor(values, dtype=torch.float32, device=like.device)
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
        self._wide = config.deep_layers

    def forward(self, latents: Tensor, memory: Memory) -> Tensor:
        """Return (B, 3, T, H, W)."""
        return self.widen(self.deepen(latents, memory), memory)

    def deepen(self, latents: Tensor, memory: Memory) -> Tensor:
        """Return what enters the two widest levels, (B, C, T, H/2, W/2)."""
        x = self.conv1(latents, memory)
        for layer in (*self.middle, *self.upsamples[: self._wide]):
            x = layer(x, memory)
        return x

    def widen(self, x: Tensor, memory: Memory) -> Tensor:
        """Return (B, 3, T, H, W); every pixel sees `halo` places around it, and no more."""
        for layer in (*self.upsamples[self._wide :], self.head):
            x = layer(x, memory)
        return x
