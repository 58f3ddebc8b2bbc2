"""What a video begins with, where it ends, and which chunks it has finished last."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from media_agent_magi.engine.schedule import Blocks

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

    blocks: how latent frames are cut into chunks. first: the first chunk that is made. rest:
    latents that it begins with, None where nothing was given. skipped: frames of it that are not
    handed out. frames: how many are handed out in all, None without an end. exact: given frames are
    handed out as they were given. tail: the last finished chunks. tail_frames: how many frames it
    holds at least, where there are so many; None for all.
    """

    blocks: Blocks
    first: int = 0
    rest: Tensor | None = None
    skipped: int = 0
    frames: int | None = None
    exact: bool = False
    tail: tuple[Tensor, ...] = ()
    tail_frames: int | None = 0

    @classmethod
    def after(
        cls,
        given: Tensor | None,
        blocks: Blocks,
        *,
        frames: int | None,
        shown: bool | None,
        exact: bool,
        tail_frames: int | None = 0,
    ) -> Framing:
        """Begin with given latents: whole chunks of them are finished, the rest begins the next.

        `shown` says whether the rest is handed out; if it is None, only where no whole chunk is
        given. `exact`: as it was given; else as the last step left it, which is what the reference
        of MAGI-1 does.
        """
        if given is None:
            return cls(blocks, frames=frames, exact=exact, tail_frames=tail_frames)
        whole = blocks.whole(given.shape[2])
        rest = given[:, :, blocks.start(whole) :]
        shown = whole == 0 if shown is None else shown
        tail = tuple(given[:, :, blocks.start(c) : blocks.start(c + 1)] for c in range(whole))
        skipped = 0 if shown else rest.shape[2]
        return cls(blocks, whole, rest, skipped, frames, exact, tail, tail_frames)

    def refuse_rest(self) -> None:
        """Refuse given frames that are no whole chunks.

        Raises:
            ValueError: They are not.
        """
        if self.rest is not None and self.rest.shape[2]:
            given = self.blocks.start(self.first) + self.rest.shape[2]
            raise ValueError(
                f"{given} given latent frames are no whole blocks of {self.blocks.width}"
                + (", with one in front" if self.blocks.first_alone else "")
            )

    @property
    def made(self) -> int | None:
        """How many chunks are to be made, None without an end."""
        if self.frames is None:
            return None
        end = self.blocks.start(self.first) + self.skipped + self.frames
        return self.blocks.holding(end) - self.first

    def cut(self, tail: Tensor) -> tuple[Tensor, ...]:
        """Cut the end of what is finished into chunks."""
        width = self.blocks.width
        alone = tail.shape[2] % width if self.blocks.first_alone else 0
        first = (tail[:, :, :alone],) if alone else ()
        return first + tail[:, :, alone:].split(width, dim=2)

    def begin(self, latents: Tensor) -> Tensor:
        """Overwrite the frames of the first made chunk that are given."""
        if self.rest is None:
            return latents
        return torch.cat([self.rest, latents[:, :, self.rest.shape[2] :]], dim=2)

    def forget(self) -> None:
        """Keep only the end of the tail."""
        if self.tail_frames is not None:
            chunks = -(-self.tail_frames // self.blocks.width)
            self.tail = self.tail[-max(TAIL_CHUNKS, chunks) :]

    def hand_out(self, chunk: int, latents: Tensor) -> CleanChunk:
        """Return what is seen of a finished chunk."""
        before = self.blocks.start(chunk) - self.blocks.start(self.first)
        first, start = (0, before - self.skipped) if before else (self.skipped, 0)
        end = width = self.blocks.frames(chunk)
        if self.frames is not None:
            end = min(width, first + self.frames - start)
        exact = latents if before else self.begin(latents)
        self.tail = (*self.tail, exact[:, :, :end])
        self.forget()
        return CleanChunk(chunk, start, (exact if self.exact else latents)[:, :, first:end])
