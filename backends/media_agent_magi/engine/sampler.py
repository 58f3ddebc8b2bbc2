"""From noise to clean chunks, one after the other, for as long as there is text.

Memory is bounded by the window: the latents of the chunks in work, and the keys that can still be
attended to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.guidance import (
    GuidanceTable,
    Predictor,
    StepInput,
    count_tokens,
)
from media_agent_magi.engine.noise import NoiseSource
from media_agent_magi.engine.schedule import ChunkSchedule, Step
from media_agent_magi.engine.text_rows import TextRow, null_row
from media_agent_magi.engine.times import timesteps

TextSource = Callable[[int], TextRow | None]
"""Chunk number -> its text; None where the film ends before this chunk."""

OnForward = Callable[[int, int | None], None]
"""Called after every forward with (steps done, all steps or None); may raise to stop."""


@dataclass(frozen=True, slots=True, eq=False)
class CleanChunk:
    """A finished chunk: its number in the video and its latents (1, channels, frames, H, W)."""

    index: int
    latents: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SamplerState:
    """Everything needed to go on after a chunk was handed out; all tensors are copies.

    stage: the next one. latents: by chunk. keys: by layer, from token `first_token` on.
    """

    stage: int
    total: int | None
    latents: dict[int, Tensor]
    keys: dict[int, Tensor]
    first_token: int


class ChunkSampler:
    """Generates a film chunk by chunk: `for chunk in ChunkSampler(...)`.

    Args:
        model: the transformer, in evaluation mode.
        config: how it is stepped.
        noise: where a chunk starts from.
        text: what a chunk shows; asked once, when the chunk enters the window.
        prefix: latents (1, channels, frames, H, W) that the film goes on from. Whole chunks of it
            count as chunks of the video, but are not handed out.
        total: number of chunks, whole prefix chunks counted; None goes on until `text` ends it.
        guidance: chunk number -> its guidance table; the config's table if not given.
        null: the text row of the unconditional forwards; the model's null caption if not given.
        on_forward: progress and cancelling.
        hand_out_prefix: whether the first chunk includes the prefix frames it begins with; if not
            given, only where the prefix is shorter than a chunk.
        exact_prefix: hand these frames out as they were given; if false as the last step left
            them, which is what the reference does.
        state: what `state()` returned; the film goes on there. `text` is asked again for the
            chunks in work.
    """

    def __init__(
        self,
        model: VideoDiT,
        config: SamplerConfig,
        *,
        noise: NoiseSource,
        text: TextSource,
        prefix: Tensor | None = None,
        total: int | None = None,
        guidance: Callable[[int], GuidanceTable] | None = None,
        null: TextRow | None = None,
        on_forward: OnForward | None = None,
        hand_out_prefix: bool | None = None,
        exact_prefix: bool = False,
        state: SamplerState | None = None,
    ) -> None:
        self._model, self._config = model, config
        self._device = model.null_caption().device
        self._noise, self._text, self._on_forward = noise, text, on_forward
        whole = 0 if prefix is None else prefix.shape[2] // config.chunk_width
        self._schedule = ChunkSchedule(config, whole)
        self._prefix = None if prefix is None else prefix.to(self._device, torch.float32)
        self._hand_out_prefix = whole == 0 if hand_out_prefix is None else hand_out_prefix
        self._exact_prefix = exact_prefix
        table = GuidanceTable.from_config(config)
        self._guidance = guidance if guidance is not None else lambda _: table
        null = null_row(model.null_caption(), config.null_caption_tokens) if null is None else null
        self._null = self._on_device(null)
        self._times = timesteps(config)
        self._cache = KVCache()
        self._predictor = Predictor(model, config, self._cache, self._report)
        self._rows: dict[int, TextRow] = {}
        self._latents: dict[int, Tensor] = {}
        self._stage = self._steps_done = 0
        self._prefix_stored = whole == 0
        self._total = total
        if state is not None:
            self._restore(state)

    def __iter__(self) -> Iterator[CleanChunk]:
        """Yield every chunk as soon as it is clean."""
        if not self._prefix_stored:
            self._store_prefix()
        while steps := self._enter_stage():
            for step in steps:
                self._advance(step)
            self._stage += 1
            finished = steps[-1].finished
            if finished is not None:
                yield self._hand_out(finished)

    def state(self) -> SamplerState:
        """Copy what is needed to go on from here; to be called between two chunks."""
        return SamplerState(
            stage=self._stage,
            total=self._total,
            latents={chunk: x.clone() for chunk, x in self._latents.items()},
            keys={layer: entry.clone() for layer, entry in self._cache.entries().items()},
            first_token=self._cache.first_token,
        )

    def predict(self, given: StepInput) -> Tensor:
        """Return the velocity of one step; the place to look at what the model sees and says."""
        return self._predictor.velocity(given)

    def _restore(self, state: SamplerState) -> None:
        self._stage, self._total = state.stage, state.total
        self._steps_done = state.stage * self._schedule.stage_steps
        self._latents = {chunk: x.to(self._device) for chunk, x in state.latents.items()}
        keys = {layer: entry.to(self._device) for layer, entry in state.keys.items()}
        self._cache.restore(keys, state.first_token)
        self._prefix_stored = True
        first = self._schedule.window_start(state.stage)
        for chunk in [c for c in self._latents if c >= first]:
            row = self._text(chunk)
            if row is None:
                raise ValueError(f"chunk {chunk} is in work, but has no text")
            self._rows[chunk] = self._on_device(row)

    def _enter_stage(self) -> tuple[Step, ...]:
        """Let the next chunk in, forget what nobody looks at any more; return the stage's steps."""
        newcomer = self._schedule.prefix_chunks + self._stage
        if self._total is None or newcomer < self._total:
            row = self._text(newcomer)
            if row is None:
                self._total = newcomer
            else:
                self._rows[newcomer] = self._on_device(row)
                self._latents[newcomer] = self._noise(newcomer).to(self._device, torch.float32)
        steps = self._schedule.stage(self._stage, self._total)
        if steps:
            self._forget(steps[0])
        return steps

    def _forget(self, step: Step) -> None:
        self._latents = {c: x for c, x in self._latents.items() if c >= step.first_chunk}
        self._rows = {c: row for c, row in self._rows.items() if c >= step.window[0]}
        latents = self._latents[step.window[0]]
        visible = self._schedule.earliest_visible(self._stage, self._total)
        self._cache.forget_before(visible * count_tokens(self._model.config, latents))

    @torch.no_grad()
    def _store_prefix(self) -> None:
        step = self._schedule.prefix()
        assert step is not None
        assert self._prefix is not None
        x = self._prefix[:, :, : len(step.levels) * self._config.chunk_width]
        self._predictor.store(self._input(step, x, [self._null] * len(step.levels)))
        self._prefix_stored = True

    @torch.no_grad()
    def _advance(self, step: Step) -> None:
        """Take one step with all chunks of the window."""
        chunks = range(step.first_chunk, step.window[1])
        self._put_prefix_back(step)
        x = torch.cat([self._latents[c] for c in chunks], dim=2)
        rows = [self._rows.get(c, self._null) for c in chunks]
        velocity = self.predict(self._input(step, x, rows)).chunk(len(chunks), dim=2)
        for c, v, level in zip(chunks, velocity, step.levels, strict=True):
            if level is not None:
                self._latents[c] = self._latents[c] + v * (
                    self._times[level + 1] - self._times[level]
                )
        self._steps_done += 1

    def _input(self, step: Step, x: Tensor, rows: list[TextRow]) -> StepInput:
        t = torch.tensor(
            [self._config.clean_t if i is None else float(self._times[i]) for i in step.levels]
        )
        scales = [self._guidance(step.first_chunk + i).at(float(t[i])) for i in range(len(t))]
        oldest = float(t[0 if step.is_prefix else step.clean_chunks])
        near_clean = not step.is_prefix and oldest > self._config.nearly_clean_threshold
        null = [self._null] * len(rows)
        return StepInput(step, x, t.to(self._device), rows, null, scales, near_clean)

    def _put_prefix_back(self, step: Step) -> None:
        """Overwrite the frames of the first made chunk that the prefix gives."""
        first = self._schedule.prefix_chunks
        if self._prefix is None or first not in self._latents or first < step.first_chunk:
            return
        rest = self._prefix[:, :, first * self._config.chunk_width :]
        self._latents[first] = torch.cat([rest, self._latents[first][:, :, rest.shape[2] :]], dim=2)

    def _hand_out(self, chunk: int) -> CleanChunk:
        latents = self._latents[chunk]
        if self._prefix is None or chunk != self._schedule.prefix_chunks:
            return CleanChunk(chunk, latents)
        rest = self._prefix[:, :, chunk * self._config.chunk_width :]
        if not self._hand_out_prefix:
            latents = latents[:, :, rest.shape[2] :]
        elif self._exact_prefix:
            latents = torch.cat([rest, latents[:, :, rest.shape[2] :]], dim=2)
        return CleanChunk(chunk, latents)

    def _on_device(self, row: TextRow) -> TextRow:
        return TextRow(
            row.caption.detach().to(self._device, torch.float32), row.mask.to(self._device)
        )

    def _report(self) -> None:
        if self._on_forward is not None:
            total = None if self._total is None else self._schedule.total_steps(self._total)
            self._on_forward(self._steps_done, total)
