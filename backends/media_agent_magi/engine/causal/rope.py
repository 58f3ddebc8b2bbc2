"""Rotary positions of neighbouring channels: time, rows and columns, at absolute places."""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10000.0


def pairs_of_axes(head_width: int) -> tuple[int, int, int]:
    """Return how many pairs of channels turn with the frame, the row and the column."""
    pairs = head_width // 2
    return pairs - 2 * (pairs // 3), pairs // 3, pairs // 3


def angles(positions: Tensor, pairs: int) -> Tensor:
    """Return position * 10000^(-j / pairs) of places (S,), (S, pairs), float64."""
    steps = torch.arange(pairs, dtype=torch.float64, device=positions.device)
    return positions.double()[:, None] * BASE ** (-steps / max(1, pairs))


def rotary_table(
    head_width: int,
    first_frame: int,
    grid: tuple[int, int, int],
    device: torch.device | str | None = None,
) -> Tensor:
    """Return cosines and sines (2, S, head_width / 2) of tokens in the order frame, row, column.

    Float64 as in the reference; on a GPU float32, of which these are the nearest numbers.
    """
    places = [
        torch.arange(start, start + count, device=device)
        for start, count in zip((first_frame, 0, 0), grid, strict=True)
    ]
    of_axes = [
        angles(place, pairs) for place, pairs in zip(places, pairs_of_axes(head_width), strict=True)
    ]
    frames, rows, columns = grid
    turned = torch.cat(
        [
            of_axes[0][:, None, None].expand(-1, rows, columns, -1),
            of_axes[1][None, :, None].expand(frames, -1, columns, -1),
            of_axes[2][None, None].expand(frames, rows, -1, -1),
        ],
        dim=-1,
    ).flatten(0, 2)  # S dh/2
    table = torch.stack([turned.cos(), turned.sin()])
    return table.float() if table.is_cuda else table


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn heads (N, S, heads, dh) as complex numbers, in the numbers of the table; round once."""
    cos, sin = table[:, :, None]  # S 1 dh/2
    a, b = x.to(table.dtype).unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).to(x.dtype)


def sinusoid(t: Tensor, width: int) -> Tensor:
    """Return cosines, then sines of timesteps of any shape, (..., width), float64."""
    waves = angles(t.flatten(), width // 2)
    return torch.cat([waves.cos(), waves.sin()], dim=-1).unflatten(0, t.shape)
