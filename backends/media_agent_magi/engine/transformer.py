"""What the sampler asks of a transformer; `VideoDiT` is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from media_agent_magi.engine.blocks.kernels import Kernel
from media_agent_magi.engine.cache import Past
from media_agent_magi.engine.config import ModelConfig
from media_agent_magi.engine.text.keys import ChunkText, Text


class Transformer(Protocol):
    """Predicts where the latents of consecutive chunks go, each at its own timestep.

    What repeats itself from forward to forward is asked for apart, so that it is computed once:
    `condition` by timestep, `read` by text, `rotary` by place. `run` does the rest.
    """

    @property
    def config(self) -> ModelConfig:
        """Its sizes."""
        ...

    def null_caption(self) -> Tensor:
        """Return the caption of "no text", (L, channels), on the device of the weights."""
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
