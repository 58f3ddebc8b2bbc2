"""The sizes of Wan 2.1's autoencoder. No torch here: reading a config is cheap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from media_agent_magi.engine.config import check_keys, refuse

BACK = 2
"""Frames that a convolution in time looks back."""

MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
"""Of the latents that the released encoder makes, by channel."""

TILE = 416
"""Pixels that a side of a tile has at most, what it sees around it left out."""


@dataclass(frozen=True, slots=True)
class WanVAEConfig:
    """Sizes of the autoencoder.

    dim: channels of the outermost level. dim_mult: channels of each level, outermost first, in
    multiples of it. num_res_blocks: of a level of the encoder; the decoder has one more.
    temporal_downsample: whether time is halved too, between a level and the next.
    mean, std: of the latents by channel.
    """

    dim: int = 96
    z_dim: int = 16
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    temporal_downsample: tuple[bool, ...] = (False, True, True)
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def __post_init__(self) -> None:
        between = len(self.dim_mult) - 1
        counts = {n: getattr(self, n) for n in ("dim", "z_dim", "num_res_blocks")}
        faults = [f"{n} must be at least 1, not {v!r}" for n, v in counts.items() if v < 1]
        if len(self.temporal_downsample) != between:
            faults.append(f"temporal_downsample must have {between} entries, as dim_mult less one")
        if not len(self.mean) == len(self.std) == self.z_dim:
            faults.append(f"mean and std must have {self.z_dim} entries, one for each channel")
        refuse(self, faults)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a mapping; ConfigError lists all unknown and missing keys at once."""
        return cls(**check_keys(cls, values))

    @property
    def patch(self) -> tuple[int, int, int]:
        """Frames, rows and columns that a latent stands for; the first one for a single frame."""
        side = 2 ** (len(self.dim_mult) - 1)
        return 2 ** sum(self.temporal_downsample), side, side

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, outermost first."""
        return tuple(self.dim * factor for factor in self.dim_mult)

    @property
    def wide_levels(self) -> int:
        """How many levels of the decoder take nearly all of its memory, and double no frames: two.

        One where frames are doubled between these.
        """
        return 1 if not self.temporal_downsample or self.temporal_downsample[0] else 2

    @property
    def deep_layers(self) -> int:
        """How many of the decoder's upsampling layers come before its wide levels."""
        return (len(self.dim_mult) - self.wide_levels) * (self.num_res_blocks + 2)

    @property
    def wide_patch(self) -> int:
        """Rows, and columns, of pixels for a place where the wide levels begin."""
        return 2 ** (self.wide_levels - 1)

    @property
    def halo(self) -> int:
        """Places around it, where the wide levels begin, that a pixel depends on at most."""
        pixels = 1  # the last convolution
        for level in range(self.wide_levels):
            pixels += 2 * (self.num_res_blocks + 1) * 2**level
            if level:
                pixels += 2 ** (level - 1)  # behind a doubling
        return math.ceil(pixels / self.wide_patch)

    @property
    def decoder_frames(self) -> int:
        """Latent frames before a latent frame that its pixels depend on, at most."""
        convolutions = 2 * (self.num_res_blocks + 1)
        rate, frames = 1, float(BACK * (1 + 4))  # the first convolution and the middle
        for doubles in (*self.temporal_downsample[::-1], False):
            frames += BACK * convolutions / rate
            if doubles:
                frames += BACK / rate
                rate *= 2
        frames += BACK / rate  # the last convolution
        return math.ceil(frames)


@dataclass(frozen=True, slots=True)
class Span:
    """A side of a tile, in places where the wide levels begin.

    start, stop: what it fills. first, last: what it is made of, with the halo around it.
    """

    start: int
    stop: int
    first: int
    last: int

    def pixels(self, patch: int) -> tuple[slice, slice]:
        """Return which pixels of the frame it fills, and with which of its own."""
        begin, length = (self.start - self.first) * patch, (self.stop - self.start) * patch
        return slice(self.start * patch, self.stop * patch), slice(begin, begin + length)


def tile_spans(config: WanVAEConfig, side: int) -> tuple[Span, ...]:
    """Cut a side of so many pixels into equal parts."""
    places, count = side // config.wide_patch, math.ceil(side / TILE)
    edges = [places * number // count for number in range(count + 1)]
    return tuple(
        Span(start, stop, max(0, start - config.halo), min(places, stop + config.halo))
        for start, stop in pairwise(edges)
    )


def share_of_tile(config: WanVAEConfig, rows: int, columns: int) -> float:
    """Return which part of a frame of so many pixels the largest tile is, its halo counted."""
    share = 1.0
    for side in (rows, columns):
        longest = max(span.last - span.first for span in tile_spans(config, side))
        share *= longest * config.wide_patch / side
    return share


def count_covered(config: WanVAEConfig, rows: int, columns: int) -> float:
    """Return how often a pixel is decoded, on average: halos overlap."""
    covered = 1.0
    for side in (rows, columns):
        places = sum(span.last - span.first for span in tile_spans(config, side))
        covered *= places * config.wide_patch / side
    return covered
