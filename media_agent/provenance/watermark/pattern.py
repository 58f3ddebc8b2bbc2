"""Where the bits of a watermark lie: signs of middle frequencies of 8x8 blocks on a fixed grid.

The brightness of a frame, of whatever size, is brought to the grid. Of each block of 8x8 six
frequencies of its cosine transform (DCT) are slots; which bit a slot carries, and with which sign,
is drawn once from a fixed text. The text is no secret: who knows this file can read a mark, remove
it, or write one.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import shake_256
from typing import TYPE_CHECKING

import numpy as np

from media_agent.provenance.watermark.payload import BITS, to_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grid = NDArray[np.float32]  # H W, brightness
    Slots = NDArray[np.float32]  # rows of blocks, columns of blocks, 6

_KEY = b"media-agent watermark 1"
_FREQUENCIES = ((1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 1))  # down, across
_BLOCK = 8
_LARGE_FROM = 160  # pixels of the shorter side


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A grid, with the bit and the sign of each slot (rows, columns, 6), and how strong it is."""

    width: int
    height: int
    strength: float
    """Standard deviation of the pattern, in levels of brightness."""
    bits: "NDArray[np.intp]"
    signs: "Slots"

    def transform(self, grid: "Grid") -> "Slots":
        """Return the frequencies of brightness on the grid."""
        blocks = grid.reshape(self.height // _BLOCK, _BLOCK, self.width // _BLOCK, _BLOCK)
        return np.tensordot(blocks, _WAVES, axes=((1, 3), (1, 2)))

    def draw(self, payload: int) -> "Grid":
        """Return the pattern of a payload on the grid, in levels of brightness."""
        signs = self.signs * (2.0 * to_bits(payload)[self.bits] - 1.0)
        blocks = np.tensordot(signs.astype(np.float32), _WAVES, axes=(2, 0))  # rows columns 8 8
        pattern = blocks.transpose(0, 2, 1, 3).reshape(self.height, self.width)
        return np.asarray(pattern * (self.strength / pattern.std()), np.float32)


@cache
def list_layouts() -> tuple[Layout, Layout]:
    """Return the grid of usual frames, then that of small ones, such as 64x64."""
    return _build(320, 192, strength=1.4), _build(96, 96, strength=2.4)


def choose_layout(width: int, height: int) -> Layout:
    """Return the grid for frames of this size."""
    usual, small = list_layouts()
    return usual if min(width, height) >= _LARGE_FROM else small


def _build(width: int, height: int, *, strength: float) -> Layout:
    shape = height // _BLOCK, width // _BLOCK, len(_FREQUENCIES)
    count = shape[0] * shape[1] * shape[2]
    coins = np.frombuffer(shake_256(_KEY).digest(8 * count), ">u8")
    ranks = np.argsort(np.argsort(coins, kind="stable"), kind="stable")
    signs = np.where(coins % 2, 1, -1).astype(np.float32)  # of the bit that counts least in ranks
    return Layout(width, height, strength, (ranks % BITS).reshape(shape), signs.reshape(shape))


def _list_waves() -> "NDArray[np.float32]":
    """Return the six waves (6, 8, 8), each of length 1."""
    place = (2 * np.arange(_BLOCK) + 1) * np.pi / (2 * _BLOCK)
    waves = [
        np.outer(np.cos(down * place), np.cos(across * place)) for down, across in _FREQUENCIES
    ]
    return np.array([wave / np.linalg.norm(wave) for wave in waves], np.float32)


_WAVES = _list_waves()
