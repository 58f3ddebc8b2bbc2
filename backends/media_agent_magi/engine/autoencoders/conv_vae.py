"""A small convolutional autoencoder behind the same interface as the transformer one.

Four frames become one latent frame: 4x shorter in time, 8x smaller in space. Each group of four is
encoded on its own and decoded with a look at the latent frame before it, so that motion continues
from group to group. All padding is circular, because the world it serves is a torus. The last
encoder layer is a batch norm without weights, so latents have unit variance and need no scale.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.config import ConvVAEConfig

FRAMES = 4
PATCH = 4


class ConvVAE(nn.Module):
    """Video (B, 3, T, H, W) in [-1, 1] to latents (B, C, T/4, H/8, W/8), and back."""

    def __init__(self, config: ConvVAEConfig) -> None:
        super().__init__()
        self.config = config
        pixels = 3 * FRAMES * PATCH * PATCH
        outer = [Residual(config.width) for _ in range(config.blocks)]
        inner = [Residual(config.inner_width) for _ in range(config.blocks)]
        self.encoder = nn.Sequential(
            nn.Conv2d(pixels, config.width, 1),
            *outer,
            circular(config.width, config.inner_width, stride=2),
            *inner,
            nn.Conv2d(config.inner_width, config.latent_channels, 1),
            nn.BatchNorm2d(config.latent_channels, affine=False),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(2 * config.latent_channels, config.inner_width, 1),
            *[Residual(config.inner_width) for _ in range(config.blocks + 1)],
            circular(config.inner_width, 4 * config.width),
            nn.PixelShuffle(2),
            *[Residual(config.width) for _ in range(config.blocks + 1)],
            nn.Conv2d(config.width, 4 * config.outer_width, 1),
            nn.PixelShuffle(2),
            Residual(config.outer_width),
            Readout(config.outer_width, config.readout_width, 3 * FRAMES * 4),
            nn.PixelShuffle(2),
        )

    def encode(self, video: Tensor) -> Tensor:
        """Return latents of unit variance; T must be a multiple of 4, H and W of 8."""
        batch, _, frames, rows, columns = video.shape
        if frames % FRAMES or rows % (2 * PATCH) or columns % (2 * PATCH):
            raise ValueError(f"cannot encode {frames} frames of {columns}x{rows}: not 4 x 8 x 8")
        groups = video.unflatten(2, (-1, FRAMES)).transpose(1, 2).flatten(0, 1)  # B*g 3 4 H W
        latents = self.encoder(F.pixel_unshuffle(groups.flatten(1, 2), PATCH))
        return latents.unflatten(0, (batch, -1)).transpose(1, 2)

    def decode(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """Return the video, (B, 3, T, H, W), not clamped, in the dtype of the decoder.

        Args:
            latents: What to decode, (B, C, t, h, w).
            before: The latent frame that comes before them, (B, C, 1, h, w); None where the video
                begins. With it a video decoded in pieces equals the video decoded at once.
        """
        if before is None:
            before = torch.zeros_like(latents[:, :, :1])
        context = torch.cat([before, latents[:, :, :-1]], dim=2)
        inputs = torch.cat([context, latents], dim=1).transpose(1, 2)  # B t 2C h w
        dtype = next(self.decoder.parameters()).dtype
        pixels = self.decoder(inputs.flatten(0, 1).to(dtype))
        groups = pixels.unflatten(1, (3, FRAMES))  # B*t 3 4 H W
        return groups.unflatten(0, (len(latents), -1)).transpose(1, 2).flatten(2, 3)


class Residual(nn.Module):
    """Two 3x3 convolutions added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = circular(width, width)
        self.second = circular(width, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return x + self.second(F.silu(self.first(F.silu(x))))


class Readout(nn.Module):
    """The pixels of four frames out of features: a linear part, and one that is not.

    A linear readout alone is a first-order picture of an edge that moves, too little of which
    reaches the first and the last of the four frames.
    """

    def __init__(self, width: int, hidden_width: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(width, outputs, 1)
        self.hidden = circular(width, hidden_width)
        self.output = nn.Conv2d(hidden_width, outputs, 1, bias=False)
        nn.init.zeros_(self.output.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w) of features (B, width, h, w)."""
        x = F.silu(x)
        return self.linear(x) + self.output(F.silu(self.hidden(x)))


def circular(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution on the torus."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, padding_mode="circular")


def to_uint8(video: Tensor) -> Tensor:
    """Turn pixels in [-1, 1] into 0..255, clamped and cut, not rounded, as the reference does."""
    return (video.float() * 127.5 + 127.5).clamp(0, 255).to(torch.uint8)
