"""The forwards of a step of a causal model: one, or two where the clean block does not ride."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial

import torch
from torch import Tensor

from media_agent_magi.engine.cache import KVCache, Past
from media_agent_magi.engine.causal.blocks import Pieces
from media_agent_magi.engine.causal.config import EVERYTHING, CausalConfig
from media_agent_magi.engine.causal.dit import WanDiT
from media_agent_magi.engine.schedule import Blocks
from media_agent_magi.engine.text.keys import Text
from media_agent_magi.engine.transformer import StepInput

CONDITIONS_KEPT, TABLES_KEPT = 64, 4


class WindowedPredictor:
    """Runs a causal model on blocks that see the sink and a window of frames.

    The ring has room for what a block and, where it rides, the clean one before it see.
    """

    own_text = True
    prefix_t = 0.0

    def __init__(self, model: WanDiT, config: CausalConfig, cache: KVCache | None = None) -> None:
        """Take the model; the ring, a new one if not given, is allocated at the first forward."""
        self.model, self.config = model, config
        self.blocks = Blocks(config.block_frames, config.first_alone)
        self.cache = KVCache() if cache is None else cache
        self._condition = lru_cache(CONDITIONS_KEPT)(partial(_condition, model))
        self._rotary = lru_cache(TABLES_KEPT)(model.rotary)

    @property
    def tail_frames(self) -> int | None:
        """How many finished frames are asked for again: those that are seen, for a new text."""
        if not self.config.recache:
            return 0
        return None if self.config.window == EVERYTHING else self.config.window

    def velocity(self, given: StepInput) -> Tensor:
        """Return the flow of `given.x`; zeros for a clean block that does not ride."""
        if given.recaches and not self.config.global_sink:
            self.cache.restart(given.spans[0][0] * self._each(given.x))
        clean = given.step.clean_chunks
        if clean == 0 or self.config.rides:
            return self._forward(given, 0, len(given.t))
        self._forward(given, 0, clean)
        flow = self._forward(given, clean, len(given.t))
        return torch.cat([torch.zeros_like(given.x[:, :, : -flow.shape[2]]), flow], dim=2)

    def store(self, given: StepInput) -> None:
        """Store the keys of clean blocks, one after the other."""
        for part in range(len(given.t)):
            self._forward(given, part, part + 1)

    def expect(self, latents: Tensor) -> None:
        """Hear of latents before there are keys: the ring is allocated once, in its full size."""
        each = self._each(latents)
        self.cache.expect((self.config.room or 0) * each, sink=self.config.sink * each)

    def forget_before(self, chunk: int, tokens: int) -> None:
        """Do nothing: what no part of a forward sees is forgotten when it begins."""

    def recached(self, end: int) -> int | None:
        """Return from which frame on keys are made again where the text changes."""
        return self.config.recached(end) if self.config.recache else None

    def forward(
        self,
        x: Tensor,
        t: tuple[float, ...],
        text: Text,
        spans: Sequence[tuple[int, int]],
        *,
        clean: int = 0,
    ) -> Tensor:
        """Return the flow of parts of a video, which follow each other; float32.

        Args:
            x: Their latents (N, channels, F, H, W).
            t: The timestep of each frame.
            text: What each part reads.
            spans: The first frame of each part, and its end.
            clean: How many parts, the first ones, leave their keys in the ring.
        """
        self.expect(x)
        each, start = self._each(x), spans[0][0]
        begin = self.cache.start // each
        visible = [self.config.visible(end, begin) for _, end in spans]
        self.cache.forget_before(min(pieces[-1][0] for pieces in visible) * each)
        frames = [end - first for first, end in spans]
        stored = sum(frames[:clean]) * each
        return self.model.run(
            x,
            self._condition(t),
            text,
            self._positions(x, start, visible),
            ranges=[self._slots(pieces, each) for pieces in visible],
            frames=frames,
            past=Past(self.cache, self.cache.start, start * each, stored),
            by_slot=self.config.slot_positions,
        )

    def _each(self, latents: Tensor) -> int:
        """Return how many tokens a latent frame has."""
        return math.prod(self.model.grid(latents)[1:])

    def _forward(self, given: StepInput, first: int, last: int) -> Tensor:
        """Run the model on some of the parts of a step."""
        spans, behind = given.spans[first:last], given.spans[first][0] - given.spans[0][0]
        frames = [end - begin for begin, end in spans]
        flow = self.forward(
            given.x[:, :, behind : behind + sum(frames)],
            tuple(t for t, n in zip(given.t[first:last], frames, strict=True) for _ in range(n)),
            tuple(given.text[first:last]),
            spans,
            clean=max(0, min(last, given.step.clean_chunks) - first),
        )
        given.after_forward()
        return flow

    def _positions(
        self, x: Tensor, start: int, visible: list[tuple[tuple[int, int], ...]]
    ) -> Tensor:
        grid = self.model.grid(x)
        if not self.config.slot_positions:
            return self._rotary(grid, start, grid[0])
        seen = max(sum(end - begin for begin, end in pieces) for pieces in visible)
        return self._rotary((seen, *grid[1:]), 0, seen)

    def _slots(self, pieces: Pieces, each: int) -> Pieces:
        """Return where in the ring ranges of frames are, in as few ranges as there are."""
        found: list[tuple[int, int]] = []
        for begin, end in pieces:
            slot = self.cache.slot(begin * each)
            stop = slot + (end - begin) * each
            if found and found[-1][1] == slot:
                slot = found.pop()[0]
            found.append((slot, stop))
        return found


def _condition(model: WanDiT, t: tuple[float, ...]) -> Tensor:
    return model.condition(torch.tensor([t], dtype=torch.float32, device=model.device))
