"""Where the noise of a chunk comes from, and what the chunk starts from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from media_agent_magi.engine.stepper import Stepper

NoiseSource = Callable[..., Tensor]
"""Chunk number, and the step that adds it, 0 for what the chunk starts from (may be left out) ->
(1, channels, chunk_width, H, W), standard normal, float32."""

Source = Callable[[int], tuple[Tensor, float] | None]
"""Chunk number -> latents (1 or N, channels, frames, H, W) to be restyled and how much of them, in
(0, 1]: at 1 nothing is left of them. None for a chunk made from noise alone."""


def seeded_noise(seed: int, shape: tuple[int, int, int, int], offset: int = 0) -> NoiseSource:
    """Noise of (channels, chunk_width, H, W) that depends on the seed and the chunk alone.

    So a video has no length that must be known, and any chunk can be made again. It is drawn on the
    CPU, so that it is the same on every device. `offset` is added to chunk numbers, for a sampler
    whose first chunk is not the first of its video.
    """

    def draw(chunk: int, step: int = 0) -> Tensor:
        name = f"{seed}/{chunk + offset}" + (f"/{step}" if step else "")
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
        return torch.randn(1, *shape, generator=generator, dtype=torch.float32)

    return draw


def given_noise(noise: Tensor, chunk_width: int) -> NoiseSource:
    """Noise cut from one tensor (1, channels, chunks*chunk_width, H, W)."""
    return lambda chunk: noise[:, :, chunk * chunk_width : (chunk + 1) * chunk_width]


class Starts:
    """What the chunks of videos side by side start from, on the device of the model."""

    def __init__(
        self,
        noise: NoiseSource | Sequence[NoiseSource],
        source: Source | None,
        stepper: Stepper,
        device: torch.device,
    ) -> None:
        """Take a noise source for each video; `source` gives what is restyled, if anything is."""
        self._noise = (noise,) if callable(noise) else tuple(noise)
        self._source, self._stepper, self._device = source, stepper, device

    def start(self, chunk: int) -> tuple[Tensor, int]:
        """Return noise, with the source of the chunk in it where it has one, and its level.

        Raises:
            ValueError: The strength is out of range.
        """
        noise = self.draw(chunk)
        given = None if self._source is None else self._source(chunk)
        if given is None:
            return noise, 0
        latents, strength = given
        if not 0 < strength <= 1:
            raise ValueError(f"strength of chunk {chunk} must be above 0 and at most 1: {strength}")
        level = self._stepper.nearest(1 - strength)
        return self._stepper.start(noise, self.for_all(latents), level), level

    def draw(self, chunk: int, step: int = 0) -> Tensor:
        """Draw the noise of a chunk: what it starts from, or what a step adds."""
        drawn = [draw(chunk, step) if step else draw(chunk) for draw in self._noise]
        return torch.cat(drawn).to(self._device, torch.float32)

    def for_all(self, latents: Tensor) -> Tensor:
        """Repeat given latents for all videos."""
        latents = latents.to(self._device, torch.float32)
        return latents.expand(len(self._noise), *latents.shape[1:])
