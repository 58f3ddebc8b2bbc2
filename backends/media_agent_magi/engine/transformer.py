"""What the sampler asks of a transformer, and of what runs it for a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from media_agent_magi.engine.blocks.kernels import Kernel
from media_agent_magi.engine.cache import KVCache, Past
from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.schedule import Blocks, Step
from media_agent_magi.engine.text.keys import ChunkText, Text


class Transformer(Protocol):
    """Predicts where the latents of consecutive chunks go, each at its own timestep.

    What repeats itself from forward to forward is asked for apart, so that it is computed once:
    `condition` by timestep, `read` by text, `rotary` by place. `run` does the rest, with ranges of
    keys as the family cuts them.
    """

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """What its blocks compute in."""
        ...

    def null_caption(self) -> Tensor | None:
        """Return the caption of "no text", (L, channels); None where there is none."""
        ...

    def grid(self, x: Tensor) -> tuple[int, int, int]:
        """Return how many patches latents have along time, rows and columns."""
        ...

    def condition(
        self, t: Tensor, drop_caption: bool | Tensor = False, step_size: float | None = None
    ) -> Tensor:
        """Return what tells each chunk its timestep, (N, W, ...), of timesteps (N, W)."""
        ...

    def read(self, caption: Tensor, mask: Tensor) -> ChunkText:
        """Return what blocks read of the captions of a chunk (N, L, channels), mask (N, L)."""
        ...

    def rotary(self, grid: tuple[int, int, int], first_chunk: int, chunks: int) -> Tensor:
        """Return the position table of chunks that fill a grid."""
        ...


class TurningTransformer(Transformer, Protocol):
    """A transformer whose positions may start again, and whose chunks see one range each."""

    @property
    def config(self) -> ModelConfig:
        """Its sizes."""
        ...

    def turn_back(self, keys: Tensor, patches: int) -> Tensor:
        """Return keys as if the video had started so many patches of time later."""
        ...

    def run(
        self,
        x: Tensor,
        condition: Tensor,
        text: Text,
        rotary: Tensor,
        *,
        ranges: Sequence[tuple[int, int]],
        past: Past | None = None,
        kernel: Kernel | None = None,
    ) -> Tensor:
        """Return what is said of every chunk, shaped like `x`, float32; see `VideoDiT.run`."""
        ...


def do_nothing() -> None:
    """Do nothing, after a forward."""


@dataclass(frozen=True, slots=True, eq=False)
class StepInput:
    """What the model sees in one step; one entry per chunk in `t`, `text`, `null` and `scales`.

    x: (N, channels, T, H, W), T the frames of all chunks. t: timesteps. text: what the text forward
    reads. null: what the unconditional forwards read. scales: (history, text) of each chunk.
    near_clean: whether the oldest moving chunk is to be predicted alone as well. after_forward:
    called after each forward. spans: first latent frame of each chunk in the video, and the end.
    recaches: the first of them is what keys are made again of, because the text changes.
    """

    step: Step
    x: Tensor
    t: tuple[float, ...]
    text: Sequence[ChunkText]
    null: Sequence[ChunkText]
    scales: Sequence[tuple[float, float]]
    near_clean: bool = False
    after_forward: Callable[[], None] = do_nothing
    spans: Sequence[tuple[int, int]] = ()
    recaches: bool = False

    def recached(self, seen: Tensor) -> StepInput:
        """Return the step with all that is `seen` in the place of the one clean chunk."""
        (first, end), *moving = self.spans
        x = torch.cat([seen, self.x[:, :, end - first :]], dim=2)
        spans = ((end - seen.shape[2], end), *moving)
        return replace(self, x=x, text=[self.text[1], *self.text[1:]], spans=spans, recaches=True)

    @property
    def first_moving(self) -> int:
        """Position of the first chunk whose velocity counts."""
        return 0 if self.step.is_prefix else self.step.clean_chunks

    @property
    def chunk_frames(self) -> int:
        """Latent frames of one chunk."""
        return self.x.shape[2] // len(self.t)


class StepPredictor(Protocol):
    """Runs the forwards of a step; keys of clean chunks are kept in its cache."""

    @property
    def cache(self) -> KVCache:
        """Where keys are kept."""
        ...

    @property
    def blocks(self) -> Blocks:
        """How latent frames are cut into chunks."""
        ...

    @property
    def own_text(self) -> bool:
        """Whether a clean chunk reads its own text, and none in work gets another; else "no text".

        Given chunks read the text of the first that is made.
        """
        ...

    @property
    def prefix_t(self) -> float:
        """The timestep of given chunks."""
        ...

    @property
    def tail_frames(self) -> int | None:
        """How many finished latent frames may be asked for again; None: all."""
        ...

    def expect(self, latents: Tensor) -> None:
        """Hear of latents (N, C, t, h, w) of the video before there are keys: they decide the room.

        Later calls change nothing.
        """
        ...

    def velocity(self, given: StepInput) -> Tensor:
        """Return what is said of `given.x`, of no meaning for a clean chunk; store its keys."""
        ...

    def store(self, given: StepInput) -> None:
        """Store the keys of clean chunks and do no more."""
        ...

    def forget_before(self, chunk: int, tokens: int) -> None:
        """Let go of the keys of chunks, of so many tokens each, that come before one."""
        ...

    def recached(self, end: int) -> int | None:
        """Return from which latent frame on keys are made again if the text changes at `end`.

        None: they stay as they are.
        """
        ...
