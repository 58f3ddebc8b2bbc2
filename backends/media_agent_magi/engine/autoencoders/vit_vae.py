"""The transformer autoencoder between pixels and latents.

Parameter names are those of the released file, so a checkpoint loads strictly. Source: MAGI-1
(arXiv 2505.13211). Latents leave and enter without the scale factor of the video model.

Letters: B samples, S tokens, E embedding width, h heads, d head width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.config import check_keys, refuse

NORM_EPS = 1e-5


@dataclass(frozen=True, slots=True)
class ViTVAEConfig:
    """Sizes of the autoencoder; the names are those of the released config (its key ddconfig).

    video_length, video_size: the clip in pixels that the position table is made for.
    """

    video_size: int
    video_length: int
    patch_size: int
    patch_length: int
    z_chans: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    in_chans: int = 3
    double_z: bool = True
    qkv_bias: bool = True
    ln_in_attn: bool = True
    conv_last_layer: bool = True
    with_cls_token: bool = True
    norm_code: bool = False
    use_rope: bool = False
    use_final_proj: bool = False

    def __post_init__(self) -> None:
        made_for = {
            "double_z": True, "ln_in_attn": True, "conv_last_layer": True, "with_cls_token": True,
            "norm_code": False, "use_rope": False, "use_final_proj": False,
        }  # fmt: skip
        faults = [
            f"{name} must be {value}" for name, value in made_for.items()
            if getattr(self, name) is not value
        ]  # fmt: skip
        if self.embed_dim % self.patch_numbers:
            faults.append(f"embed_dim {self.embed_dim} is no multiple of {self.patch_numbers}")
        if self.embed_dim % self.num_heads:
            faults.append(f"embed_dim {self.embed_dim} is no multiple of {self.num_heads} heads")
        refuse(self, faults)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a config section; ConfigError lists all unknown and missing keys at once."""
        return cls(**check_keys(cls, values))

    @property
    def patch(self) -> tuple[int, int, int]:
        """Frames, rows and columns of one patch."""
        return self.patch_length, self.patch_size, self.patch_size

    @property
    def patch_numbers(self) -> int:
        """Pixels of one patch."""
        return self.patch_length * self.patch_size**2

    @property
    def grid(self) -> tuple[int, int, int]:
        """Patches along time, rows and columns of the clip the position table is made for."""
        side = self.video_size // self.patch_size
        return self.video_length // self.patch_length, side, side


class ViTVAE(nn.Module):
    """Video (B, 3, T, H, W) in [-1, 1] to latents (B, z, T/4, H/8, W/8), and back."""

    def __init__(self, config: ViTVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, video: Tensor) -> Tensor:
        """Return the mean latents. A single frame is repeated to fill a patch of time."""
        return self.moments(video).chunk(2, dim=1)[0]

    def moments(self, video: Tensor) -> Tensor:
        """Return means and log-variances, (B, 2z, t, h, w)."""
        if video.shape[2] == 1:
            video = video.expand(-1, -1, self.config.patch_length, -1, -1)
        size, patch = tuple(video.shape[2:]), self.config.patch
        if any(n % p for n, p in zip(size, patch, strict=True)):
            raise ValueError(f"video of {size} (frames, rows, columns) must divide by {patch}")
        return self.encoder(video)

    def decode(self, latents: Tensor, *, image: bool = False) -> Tensor:
        """Return the video, not clamped.

        image: a single latent frame gives a single frame. The reference does so even where that
        latent frame is the last of a video, and loses three frames of it.
        """
        video = self.decoder(latents)
        return video[:, :, :1] if image and latents.shape[2] == 1 else video


class Trunk(nn.Module):
    """What encoder and decoder share: class token, positions, blocks, last norm."""

    def __init__(self, config: ViTVAEConfig) -> None:
        super().__init__()
        self.config = config
        width, (t, h, w) = config.embed_dim, config.grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + t * h * w, width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def features(self, grid: Tensor) -> Tensor:
        """Run patches (B, t, h, w, E) through the blocks; return (B, t*h*w, E), no class token."""
        size = (grid.shape[1], grid.shape[2], grid.shape[3])
        cls = self.cls_token.expand(len(grid), -1, -1)
        x = torch.cat([cls, grid.flatten(1, 3)], dim=1) + self.positions(size)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 1:]

    def positions(self, size: tuple[int, int, int]) -> Tensor:
        """Return the position table (1, 1 + t*h*w, E), resized where the grid is another one."""
        if size == self.config.grid:
            return self.pos_embed
        cls, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = grid.unflatten(1, self.config.grid).permute(0, 4, 1, 2, 3)  # 1 E t h w
        grid = F.interpolate(grid, size=size, mode="trilinear", align_corners=False)
        return torch.cat([cls, grid.flatten(2).transpose(1, 2)], dim=1)


class Encoder(Trunk):
    """Video to means and log-variances."""

    def __init__(self, config: ViTVAEConfig) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbed(config)
        self.last_layer = nn.Linear(config.embed_dim, 2 * config.z_chans)

    def forward(self, video: Tensor) -> Tensor:
        """Return (B, 2z, t, h, w)."""
        patches = self.patch_embed(video)  # B E t h w
        x = self.last_layer(self.features(patches.permute(0, 2, 3, 4, 1)))  # B S 2z
        return x.transpose(1, 2).unflatten(2, patches.shape[2:])


class Decoder(Trunk):
    """Latents to video."""

    def __init__(self, config: ViTVAEConfig) -> None:
        super().__init__(config)
        self.proj_in = nn.Linear(config.z_chans, config.embed_dim)
        channels = config.embed_dim // config.patch_numbers
        self.last_layer = nn.Conv3d(channels, config.in_chans, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Return (B, 3, T, H, W)."""
        size = latents.shape[2:]
        x = self.features(self.proj_in(latents.permute(0, 2, 3, 4, 1)))  # B S E
        x = x.unflatten(2, (*self.config.patch, -1)).unflatten(1, size)  # B t h w pt ph pw c
        x = x.permute(0, 7, 1, 4, 2, 5, 3, 6)  # B c t pt h ph w pw
        return self.last_layer(x.flatten(6, 7).flatten(4, 5).flatten(2, 3))


class PatchEmbed(nn.Module):
    """Cuts the video into patches, one token each."""

    def __init__(self, config: ViTVAEConfig) -> None:
        super().__init__()
        self.proj = nn.Conv3d(config.in_chans, config.embed_dim, config.patch, config.patch)

    def forward(self, video: Tensor) -> Tensor:
        """Return (B, E, t, h, w)."""
        return self.proj(video)


class Block(nn.Module):
    """Attention, then the MLP; each added to its input. The attention input has no norm."""

    def __init__(self, config: ViTVAEConfig) -> None:
        super().__init__()
        self.attn = Attention(config)
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=NORM_EPS)
        self.mlp = MLP(config.embed_dim, int(config.embed_dim * config.mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, S, E)."""
        x = x + self.attn(x)
        return x + self.mlp(self.norm2(x))


class Attention(nn.Module):
    """Full attention whose queries, keys and values are all normalised per head."""

    def __init__(self, config: ViTVAEConfig) -> None:
        super().__init__()
        self.heads = config.num_heads
        self.qkv = nn.Linear(config.embed_dim, 3 * config.embed_dim, bias=config.qkv_bias)
        self.proj = nn.Linear(config.embed_dim, config.embed_dim)

    def normalise(self, x: Tensor) -> Tensor:
        """Return queries, keys and values, (B, S, 3, h, d), normalised over d.

        The small number is added to the deviation, not to the variance.
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        deviation, mean = torch.std_mean(qkv, dim=-1, correction=0, keepdim=True)
        return (qkv - mean) / (deviation + NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, S, E)."""
        q, k, v = self.normalise(x).permute(2, 0, 3, 1, 4)  # B h S d each
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers around an exact GELU."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, S, E)."""
        return self.fc2(F.gelu(self.fc1(x)))
