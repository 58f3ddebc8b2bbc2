"""What a video begins with, where it ends, and which chunks it has finished last."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TAIL_CHUNKS = 4
"""Finished chunks that a state keeps, for another video to continue."""


@dataclass(frozen=True, slots=True, eq=False)
class CleanChunk:
    """A finished chunk: its number in the video and its latents (N, channels, frames, H, W).

    start: latent frames handed out before it.
    """

    index: int
    start: int
    latents: Tensor


@dataclass(slots=True, eq=False)
class Framing:
    """Cuts finished chunks to what is handed out.

    width: latent frames of a chunk. rest: latents that the first made chunk begins with, None where
    nothing was given. skipped: frames of that chunk that are not handed out. frames: how many are
    handed out in all, None without an end. exact: given frames are handed out as they were given.
    tail: the last finished chunks.
    """

    width: int
    rest: Tensor | None = None
    skipped: int = 0
    frames: int | None = None
    exact: bool = False
    tail: tuple[Tensor, ...] = ()

    @classmethod
    def after(
        cls,
        given: Tensor | None,
        width: int,
        *,
        frames: int | None,
        shown: bool | None,
        exact: bool,
    ) -> Framing:
        """Begin with given latents: whole chunks of them are finished, the rest begins the next.

        `shown` says whether the rest is handed out; if it is None, only where no whole chunk is
        given.
        """
        if given is None:
            return cls(width, frames=frames, exact=exact)
        whole = given.shape[2] // width
        rest = given[:, :, whole * width :]
        shown = whole == 0 if shown is None else shown
        tail = given[:, :, : whole * width].split(width, dim=2) if whole else ()
        return cls(width, rest, 0 if shown else rest.shape[2], frames, exact, tuple(tail))

    @property
    def made(self) -> int | None:
        """How many chunks are to be made, None without an end."""
        return None if self.frames is None else -(-(self.frames + self.skipped) // self.width)

    def begin(self, latents: Tensor) -> Tensor:
        """Overwrite the frames of the first made chunk that are given."""
        if self.rest is None:
            return latents
        return torch.cat([self.rest, latents[:, :, self.rest.shape[2] :]], dim=2)

    def forget(self) -> None:
        """Keep only the end of the tail."""
        self.tail = self.tail[-TAIL_CHUNKS:]

    def hand_out(self, chunk: int, number: int, latents: Tensor) -> CleanChunk:
        """Return what is seen of a finished chunk, the `number`th that was made."""
        first, start = (self.skipped, 0) if number == 0 else (0, number * self.width - self.skipped)
        end = self.width if self.frames is None else min(self.width, first + self.frames - start)
        exact = self.begin(latents) if number == 0 else latents
        self.tail = (*self.tail, exact[:, :, :end])
        self.forget()
        return CleanChunk(chunk, start, (exact if self.exact else latents)[:, :, first:end])
