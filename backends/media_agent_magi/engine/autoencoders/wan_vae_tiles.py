"""Decoding with the autoencoder of Wan 2.1 tile by tile, for little memory.

The deep levels, one of which sees the whole frame, are decoded whole: they take little. The wide
ones see only a few places around a pixel; so each tile is given these, and what depends on the edge
of a tile is cut off. No seam has to be blended: the video is that of the whole frame but for
rounding. What a tile looks back at waits in the main memory while the others are decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from media_agent_magi.engine.autoencoders.wan_vae_config import Span, tile_spans
from media_agent_magi.engine.autoencoders.wan_vae_layers import Memory

if TYPE_CHECKING:
    from media_agent_magi.engine.autoencoders.wan_vae import WanVAE


@dataclass(slots=True)
class Tile:
    """A part of the frame. waiting: what it looks back at, by layer, in the main memory."""

    rows: Span
    columns: Span
    memory: Memory
    waiting: dict[nn.Module, Tensor]

    def fetch(self, device: torch.device) -> None:
        """Bring what it looks back at to the device."""
        for layer, kept in self.waiting.items():
            self.memory.kept[layer] = kept.to(device, non_blocking=True)

    def leave(self) -> None:
        """Let it wait in the main memory, page-locked where there is CUDA."""
        for layer, kept in self.memory.kept.items():
            if layer not in self.waiting:
                pinned = kept.device.type == "cuda"
                self.waiting[layer] = torch.empty_like(kept, device="cpu", pin_memory=pinned)
            self.waiting[layer].copy_(kept, non_blocking=True)
        self.memory.kept.clear()


class TiledStream:
    """Decodes a video in order, as `WanVAEStream` does; all tiles of a piece one by one."""

    def __init__(self, vae: WanVAE, *, is_first: bool) -> None:
        self._vae, self._deep = vae, Memory(is_first)
        self.tiles: list[Tile] = []

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Return the video (B, 3, T, H, W) in [-1, 1], float32, of latents (B, z, t, h, w)."""
        frames = latents.split(1, dim=2)
        deep = [self._vae.decode_deep(frame, self._deep).to("cpu") for frame in frames]
        length, patch = sum(x.shape[2] for x in deep), self._vae.config.patch[1]
        rows, columns = (side * patch for side in latents.shape[3:])
        video = torch.empty(len(latents), 3, length, rows, columns, device=latents.device)
        for tile in self.tiles or self._cut(rows, columns):
            tile.fetch(latents.device)
            start = 0
            for x in deep:
                self._decode_part(tile, x, video[:, :, start : start + x.shape[2]])
                start += x.shape[2]
            tile.leave()
        return video.clamp_(-1, 1)

    def _cut(self, rows: int, columns: int) -> list[Tile]:
        config, is_first = self._vae.config, self._deep.is_first
        places = product(tile_spans(config, rows), tile_spans(config, columns))
        self.tiles = [Tile(*place, Memory(is_first), {}) for place in places]
        return self.tiles

    def _decode_part(self, tile: Tile, deep: Tensor, video: Tensor) -> None:
        """Fill a tile of a piece of the video, (B, 3, T, H, W)."""
        rows, columns = tile.rows, tile.columns
        part = deep[:, :, :, rows.first : rows.last, columns.first : columns.last]
        made = self._vae.decoder.widen(part.to(video.device), tile.memory)
        patch = self._vae.config.wide_patch
        to, cut = zip(rows.pixels(patch), columns.pixels(patch), strict=True)
        video[:, :, :, to[0], to[1]] = made[:, :, :, cut[0], cut[1]]
