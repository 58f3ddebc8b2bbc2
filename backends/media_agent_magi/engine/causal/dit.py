"""The causal video transformer of Wan 2.1, as Self-Forcing and LongLive run it.

Parameter names are those of the released state dicts. Sources: Wan (arXiv 2503.20314), Self Forcing
(arXiv 2506.08009), LongLive (arXiv 2509.22622); checked against golden data by
`media_agent_magi.parity`.

Tensor letters: N samples, F latent frames of the forward, S tokens, D width, L rows of a text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media_agent_magi.engine.blocks.kernels import Kernel, kernel_for, rounded_once
from media_agent_magi.engine.cache import Past
from media_agent_magi.engine.causal.blocks import Head, Linear, Pieces, Seen, WanBlock, product
from media_agent_magi.engine.causal.config import WanConfig
from media_agent_magi.engine.causal.rope import rotary_table, sinusoid
from media_agent_magi.engine.dit import unfold_patches
from media_agent_magi.engine.text.keys import ChunkText, Text


class WanDiT(nn.Module):
    """Predicts the flow, data to noise, of latent frames, each at its own timestep."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.config = config
        self.kernel: Kernel = rounded_once
        width, patch = config.dim, config.patch_size
        self.patch_embedding = nn.Conv3d(config.in_dim, width, patch, stride=patch)
        self.text_embedding = nn.Sequential(
            Linear(config.text_dim, width), nn.GELU(approximate="tanh"), Linear(width, width)
        )
        self.time_embedding = nn.Sequential(
            Linear(config.freq_dim, width), nn.SiLU(), Linear(width, width)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), Linear(width, 6 * width))
        self.blocks = nn.ModuleList(WanBlock(config, i) for i in range(config.num_layers))
        self.head = Head(config, math.prod(patch) * config.out_dim)
        self.to(self.dtype)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.patch_embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        dtype: torch.dtype = getattr(torch, self.config.params_dtype)
        return dtype

    def null_caption(self) -> None:
        """Return None: it knows no "no text"."""

    def prepare(self) -> Self:
        """Choose the attention of the device that the weights are on."""
        self.kernel = kernel_for(self.device)
        return self

    def run(
        self,
        x: Tensor,
        condition: Tensor,
        text: Text,
        rotary: Tensor,
        *,
        ranges: Sequence[Pieces],
        frames: Sequence[int] | None = None,
        past: Past | None = None,
        kernel: Kernel | None = None,
        by_slot: bool = False,
    ) -> Tensor:
        """Return the flow of all frames, shaped like `x`, float32.

        Args:
            x: (N, channels, F, H, W) latents, of parts that follow each other.
            condition: what `condition` returned; N may be 1.
            text: what each part reads.
            rotary: where the tokens are, or with `by_slot` the places from the first on.
            ranges: per part the keys it attends to, its own ones last, counted from the first
                token that `past` looks at.
            frames: latent frames of each part; equal ones if not given.
            past: which earlier tokens are looked at, and what is stored; none if not given.
            kernel: what computes attention; the model's own if not given.
            by_slot: keys are turned by their place among those seen, at every forward.
        """
        grid, each = self.grid(x), x.shape[2] // len(ranges)
        frames = [each] * len(ranges) if frames is None else frames
        tokens = [count * grid[1] * grid[2] for count in frames]
        seen = Seen(tokens, ranges, rotary, text, kernel or self.kernel, past, by_slot)
        embedded, projected = condition[:, :, 0], condition[:, :, 1:]
        out = self._embed(x)  # N S D
        for block in self.blocks:
            out = block(out, projected, seen)
        return self._unembed(self.head(out, embedded), grid)

    def grid(self, x: Tensor) -> tuple[int, int, int]:
        """Return how many patches latents have along time, rows and columns."""
        t, rows, columns = (
            n // p for n, p in zip(x.shape[2:], self.config.patch_size, strict=True)
        )
        return t, rows, columns

    def condition(
        self, t: Tensor, drop_caption: bool | Tensor = False, step_size: float | None = None
    ) -> Tensor:
        """Return the embedded time and its six projections, (N, F, 7, D), of timesteps (N, F).

        It takes no other condition.
        """
        embedded = self.time_embedding(sinusoid(t, self.config.freq_dim).to(self.dtype))
        projected = self.time_projection(embedded).unflatten(-1, (6, -1))
        return torch.cat([embedded[:, :, None], projected], dim=2)

    def read(self, caption: Tensor, mask: Tensor) -> ChunkText:
        """Return what blocks read of the rows of a text (N, L, channels), mask (N, L).

        Rows behind its end are zero before they are embedded, and are read like the others.
        """
        rows = (caption * mask.to(caption)[..., None])[:, : self.config.text_len]
        rows = F.pad(rows, (0, 0, 0, self.config.text_len - rows.shape[1]))
        return ChunkText(self.text_embedding(rows.to(self.dtype)))

    def rotary(self, grid: tuple[int, int, int], first_chunk: int, chunks: int) -> Tensor:
        """Return the position table of chunks of equally many frames that fill a grid."""
        first_frame = first_chunk * (grid[0] // chunks)
        return rotary_table(self.config.head_width, first_frame, grid, self.device)

    def _embed(self, x: Tensor) -> Tensor:
        patches = unfold_patches(x.to(self.dtype), self.config.patch_size)
        weight, bias = self.patch_embedding.weight.flatten(1), self.patch_embedding.bias
        assert bias is not None
        return product(patches, weight, bias)

    def _unembed(self, out: Tensor, grid: tuple[int, int, int]) -> Tensor:
        out = out.unflatten(-1, (*self.config.patch_size, -1)).unflatten(1, grid)
        out = out.permute(0, 7, 1, 4, 2, 5, 3, 6)  # N channels t pt h ph w pw
        return out.flatten(6, 7).flatten(4, 5).flatten(2, 3).float()
