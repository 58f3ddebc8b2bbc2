"""Rotary position tables over time, rows and columns."""

from __future__ import annotations

import math

import torch
from torch import Tensor

AREA = 256  # every patch grid is scaled to the area of a 16 x 16 grid


def default_bands(count: int, device: torch.device | str | None = None) -> Tensor:
    """Untrained bands b_k = 10000^(-k/count), shape (count,), float32."""
    return 10000.0 ** (-torch.arange(count, dtype=torch.float32, device=device) / count)


def rotary_table(bands: Tensor, first_frame: int, frames: int, rows: int, columns: int) -> Tensor:
    """Table (frames*rows*columns, 6*len(bands)): sines, then cosines, of three axes each.

    Tokens go frame, row, column; the axes time, row, column. `first_frame` and `frames` count
    patches along time (latent frames / t_patch_size) from the start of the video; time is not
    scaled. Rows and columns are centred at 0 and scaled to an area of AREA patches. float32.
    """
    device = bands.device
    factor = math.sqrt(rows * columns / AREA)
    times = torch.arange(first_frame, first_frame + frames, dtype=torch.float32, device=device)
    grid = torch.meshgrid(
        times, _centre(rows, factor, device), _centre(columns, factor, device), indexing="ij"
    )
    positions = torch.stack(grid, dim=-1).flatten(0, 2)  # tokens 3
    angles = (positions[:, :, None] * bands.float()).flatten(1)  # tokens 3*len(bands)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def turning_of(table: Tensor, width: int) -> Tensor:
    """Spread a table over the channels of heads, for `turned`; returns (tokens, 2, width).

    First what they are multiplied by, then what their swapped pairs are; the channels behind the
    pairs stay as they are.
    """
    sin, cos = table.chunk(2, dim=-1)  # tokens 3*len(bands)
    rest = len(table), width - 2 * sin.shape[-1]
    own = torch.cat([cos, cos, cos.new_ones(rest)], dim=-1)
    other = torch.cat([-sin, sin, sin.new_zeros(rest)], dim=-1)
    return torch.stack([own, other], dim=1)


def swapped(x: Tensor) -> Tensor:
    """Swap the halves of the first 3/4 of the head channels of x (..., dh)."""
    width = x.shape[-1] // 8 * 3
    a, b, rest = x.split([width, width, x.shape[-1] - 2 * width], dim=-1)
    return torch.cat([b, a, rest], dim=-1)


def turned(x: Tensor, turning: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate half-split pairs of the channels of x (N, S, heads, dh), by (S, 1, dh) twice."""
    own, other = turning
    return x * own + swapped(x) * other


def apply_rotary(x: Tensor, table: Tensor) -> Tensor:
    """Rotate heads (N, S, heads, dh) by a table that is not spread yet."""
    own, other = turning_of(table, x.shape[-1]).unsqueeze(2).unbind(1)
    return turned(x, (own, other))


def turn_back(keys: Tensor, bands: Tensor, frames: int) -> Tensor:
    """Rotated keys (..., dh or more) as if the video had started `frames` patches of time later."""
    count = len(bands)
    angles = bands.double() * frames
    sin, cos = angles.sin().float(), angles.cos().float()
    first, second = slice(0, count), slice(3 * count, 4 * count)  # the time part of the pairs
    a, b = keys[..., first].float(), keys[..., second].float()
    turned = keys.clone()
    turned[..., first] = (a * cos + b * sin).to(keys.dtype)
    turned[..., second] = (b * cos - a * sin).to(keys.dtype)
    return turned


def _centre(size: int, factor: float, device: torch.device) -> Tensor:
    """Coordinates of `size` patches around 0 whose span is that of size/factor patches."""
    if size == 1:
        return torch.zeros(1, dtype=torch.float32, device=device)
    steps = torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2
    return steps * ((size / factor - 1) / (size - 1))
