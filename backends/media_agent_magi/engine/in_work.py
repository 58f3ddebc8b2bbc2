"""The chunks in work: their latents, and how far each of them is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from media_agent_magi.engine.noise import Starts
from media_agent_magi.engine.schedule import Blocks, Step
from media_agent_magi.engine.stepper import Stepper


class InWork:
    """Latents by chunk; `levels` says at which level a chunk with a source begins."""

    def __init__(self, starts: Starts, stepper: Stepper, blocks: Blocks) -> None:
        self._starts, self._stepper, self._blocks = starts, stepper, blocks
        self.latents: dict[int, Tensor] = {}
        self.levels: dict[int, int] = {}

    def enter(self, chunk: int) -> None:
        """Let a chunk in."""
        noise, level = self._starts.start(chunk)
        self.latents[chunk] = noise[:, :, : self._blocks.frames(chunk)]
        if level:
            self.levels[chunk] = level

    def forget_before(self, step: Step) -> None:
        """Forget what a step and later ones do not look at."""
        self.latents = {c: x for c, x in self.latents.items() if c >= step.first_chunk}
        self.levels = {c: level for c, level in self.levels.items() if c >= step.window[0]}

    def level(self, chunk: int, scheduled: int) -> int:
        """Return the level of a chunk that would have another one without a source."""
        return max(scheduled, self.levels.get(chunk, 0))

    def levels_of(self, step: Step) -> list[int | None]:
        """Return the levels of the chunks of a step, None for a clean one."""
        scheduled = enumerate(step.levels, start=step.first_chunk)
        return [None if level is None else self.level(chunk, level) for chunk, level in scheduled]

    def waiting(self, step: Step) -> list[bool]:
        """Say of each chunk of a step whether it waits, because it begins later.

        Without the newest ones if they wait: nobody looks at them.
        """
        scheduled = enumerate(step.levels, start=step.first_chunk)
        waits = [
            level is not None and level < self.levels.get(chunk, 0) for chunk, level in scheduled
        ]
        while waits and waits[-1]:
            waits.pop()
        return waits

    def joined(self, chunks: Iterable[int]) -> Tensor:
        """Return the latents of chunks, one after the other."""
        return torch.cat([self.latents[chunk] for chunk in chunks], dim=2)

    def move(self, chunk: int, said: Tensor, level: int) -> None:
        """Take a chunk to the next level, by what the model has said of it."""
        draw = partial(self._draw, chunk, level + 1)
        self.latents[chunk] = self._stepper.step(self.latents[chunk], said, level, draw)

    def _draw(self, chunk: int, step: int) -> Tensor:
        return self._starts.draw(chunk, step)[:, :, : self._blocks.frames(chunk)]
