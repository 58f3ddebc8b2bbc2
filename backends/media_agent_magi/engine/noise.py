"""Where the noise of a chunk comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

NoiseSource = Callable[..., Tensor]
"""Chunk number, and the step that adds it, 0 for what the chunk starts from (may be left out) ->
(1, channels, chunk_width, H, W), standard normal, float32."""


def seeded_noise(seed: int, shape: tuple[int, int, int, int], offset: int = 0) -> NoiseSource:
    """Noise of (channels, chunk_width, H, W) that depends on the seed and the chunk alone.

    So a video has no length that must be known, and any chunk can be made again. `offset` is added
    to chunk numbers, for a sampler whose first chunk is not the first of its video.
    """

    def draw(chunk: int, step: int = 0) -> Tensor:
        name = f"{seed}/{chunk + offset}" + (f"/{step}" if step else "")
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
        return torch.randn(1, *shape, generator=generator)

    return draw


def given_noise(noise: Tensor, chunk_width: int) -> NoiseSource:
    """Noise cut from one tensor (1, channels, chunks*chunk_width, H, W)."""
    return lambda chunk: noise[:, :, chunk * chunk_width : (chunk + 1) * chunk_width]
