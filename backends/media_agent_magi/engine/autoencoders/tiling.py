"""Encoding and decoding of large videos tile by tile, with blended seams.

Tiles start every `size * (1 - overlap)`; each is coded alone, its first rows are faded in over the
last rows of the tile before it, and what the next tile covers is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE

AXES = (2, 3, 4)  # time, rows, columns of (B, C, T, H, W); also the order of blending


@dataclass(frozen=True, slots=True)
class Tiling:
    """Size of a tile in pixels and frames, and which part of it the next tile covers again.

    at_once: how many tiles of equal size are coded as one batch.
    """

    frames: int
    rows: int
    columns: int
    spatial_overlap: float = 0.25
    temporal_overlap: float = 0.0
    at_once: int = 1

    def __post_init__(self) -> None:
        overlaps = (self.temporal_overlap, self.spatial_overlap)
        if not all(0 <= overlap < 1 for overlap in overlaps):
            raise ValueError(f"overlaps must be in [0, 1), not {overlaps}")

    @property
    def size(self) -> tuple[int, int, int]:
        """Tile size in pixels, time first."""
        return self.frames, self.rows, self.columns

    @property
    def overlaps(self) -> tuple[float, float, float]:
        """Overlap of each axis, time first."""
        return self.temporal_overlap, self.spatial_overlap, self.spatial_overlap


def encode_tiled(vae: ViTVAE, video: Tensor, tiling: Tiling) -> Tensor:
    """Return mean latents of (B, 3, T, H, W). Seams fade from tiles that are blended already."""
    tile, patch = tiling.size, vae.config.patch
    latent_tile = [size // p for size, p in zip(tile, patch, strict=True)]
    blend = [int(n * o) for n, o in zip(latent_tile, tiling.overlaps, strict=True)]
    strides = _strides(tile, tiling.overlaps)
    if any(stride % p for stride, p in zip(strides, patch, strict=True)):
        raise ValueError(f"tiles start every {strides}, which must be multiples of {patch}")
    tiles = _code(video, tile, strides, vae.encode, tiling.at_once)
    for place in tiles:
        tiles[place] = _blend(tiles, place, tiles[place], blend)
    return _join(tiles, [n - b for n, b in zip(latent_tile, blend, strict=True)])


def decode_tiled(vae: ViTVAE, latents: Tensor, tiling: Tiling, *, image: bool = False) -> Tensor:
    """Return the video of (B, z, t, h, w). Seams fade from tiles as they were decoded.

    image: a tile of a single latent frame gives a single frame, as in the reference.
    """
    tile = [size // p for size, p in zip(tiling.size, vae.config.patch, strict=True)]
    blend = [int(n * o) for n, o in zip(tiling.size, tiling.overlaps, strict=True)]
    strides = _strides(tile, tiling.overlaps)
    tiles = _code(
        latents, tile, strides, lambda part: vae.decode(part, image=image), tiling.at_once
    )
    blended = {place: _blend(tiles, place, tiles[place], blend) for place in tiles}
    return _join(blended, [n - b for n, b in zip(tiling.size, blend, strict=True)])


def decode_stream(vae: ViTVAE, latents: Tensor, tiling: Tiling) -> Iterator[Tensor]:
    """Yield the video of (B, z, t, h, w) piece by piece, as long as a tile each.

    Without an overlap in time it is what `decode_tiled` returns, and needs one piece of the memory.
    """
    if tiling.temporal_overlap:
        raise ValueError("tiles that overlap in time cannot be decoded one after the other")
    for part in latents.split(tiling.frames // vae.config.patch_length, dim=2):
        yield decode_tiled(vae, part, tiling)


Tiles = dict[tuple[int, ...], Tensor]


def _strides(tile: Sequence[int], overlaps: Sequence[float]) -> list[int]:
    strides = [int(n * (1 - overlap)) for n, overlap in zip(tile, overlaps, strict=True)]
    if min(strides) < 1:
        raise ValueError(f"tiles of {tuple(tile)} are too small for overlaps of {tuple(overlaps)}")
    return strides


def _code(
    x: Tensor,
    tile: Sequence[int],
    strides: Sequence[int],
    run: Callable[[Tensor], Tensor],
    at_once: int,
) -> Tiles:
    """Cut `x` and run the tiles, those of equal size together; the key is a tile's place."""
    parts: Tiles = {}
    counts = [range(-(-size // stride)) for size, stride in zip(x.shape[2:], strides, strict=True)]
    for place in product(*counts):
        part = x
        for axis, index, stride, size in zip(AXES, place, strides, tile, strict=True):
            length = min(size, x.shape[axis] - index * stride)
            part = part.narrow(axis, index * stride, length)
        parts[place] = part
    by_shape: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for place, part in parts.items():
        by_shape.setdefault(tuple(part.shape), []).append(place)
    tiles: Tiles = {}
    for places in by_shape.values():
        for start in range(0, len(places), at_once):
            batch = places[start : start + at_once]
            coded = run(torch.cat([parts[place] for place in batch]))
            tiles |= dict(zip(batch, coded.chunk(len(batch)), strict=True))
    return {place: tiles[place] for place in parts}


def _blend(tiles: Tiles, place: tuple[int, ...], tile: Tensor, blend: Sequence[int]) -> Tensor:
    """Fade the start of a tile in over the end of its neighbours before it."""
    for number, (axis, width) in enumerate(zip(AXES, blend, strict=True)):
        before = tiles.get(tuple(i - (n == number) for n, i in enumerate(place)))
        if before is not None and width > 0:
            tile = _fade(before, tile, axis, width)
    return tile


def _fade(before: Tensor, tile: Tensor, axis: int, width: int) -> Tensor:
    width = min(before.shape[axis], tile.shape[axis], width)
    shape = [1] * tile.dim()
    shape[axis] = width
    rising = torch.arange(width, device=tile.device, dtype=tile.dtype).view(shape) / width
    old = before.narrow(axis, before.shape[axis] - width, width)
    new = tile.narrow(axis, 0, width)
    rest = tile.narrow(axis, width, tile.shape[axis] - width)
    return torch.cat([old * (1 - rising) + new * rising, rest], dim=axis)


def _join(tiles: Tiles, kept: Sequence[int]) -> Tensor:
    """Keep the first part of every tile and put the parts side by side."""
    rows: Tiles = {}
    for place, tile in tiles.items():
        rows[place] = tile[:, :, : kept[0], : kept[1], : kept[2]]
    for axis in reversed(AXES):
        groups: dict[tuple[int, ...], list[Tensor]] = {}
        for place, tile in rows.items():
            groups.setdefault(place[:-1], []).append(tile)
        rows = {place: torch.cat(group, dim=axis) for place, group in groups.items()}
    return rows[()]
