"""One velocity from several forwards of the model.

Base models take three forwards: text and history, history alone, nothing. Distilled models take
one. A forward whose result has weight 0 everywhere is left out; that changes no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, cast

import torch
from torch import Tensor

from media_agent_magi.engine.cache import KVCache, Past
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.schedule import Blocks, ChunkSchedule
from media_agent_magi.engine.text.keys import Text, stack
from media_agent_magi.engine.transformer import (
    StepInput,
    Transformer,
    TurningTransformer,
    do_nothing,
)

CONDITIONS_KEPT, TABLES_KEPT, TEXTS_KEPT = 256, 4, 4


def count_tokens(model: Transformer, latents: Tensor) -> int:
    """Count the tokens that latents (N, channels, T, H, W) become."""
    return math.prod(model.grid(latents))


RunPair = Callable[[Callable[[], Tensor], Callable[[], Tensor]], tuple[Tensor, Tensor]]
"""Runs both and returns what they return; perhaps at the same time."""


class Predictor:
    """Runs the forwards of a step and mixes them.

    What repeats itself from step to step, conditions and position tables, is computed once. Nothing
    here refers back to its owner: the keys of a video go with it, not with the garbage collector.
    """

    own_text = False
    tail_frames: int | None = 0

    def __init__(
        self,
        model: TurningTransformer,
        config: SamplerConfig,
        cache: KVCache,
        pair: RunPair | None = None,
        *,
        rebase_every: int = 64,
    ) -> None:
        """Take the model; with `pair` the forwards with text and with history run in it.

        Positions start again from zero after `rebase_every` chunks, to keep them exact.
        """
        self.blocks, self.prefix_t = Blocks(config.chunk_width), config.clean_t
        self._rebase_every = rebase_every
        self._pair = pair
        self.model = model
        self.config = config
        self.cache = cache
        self.schedule = ChunkSchedule(config)
        self._condition = lru_cache(CONDITIONS_KEPT)(partial(_condition, model))
        self._rotary = lru_cache(TABLES_KEPT)(model.rotary)
        self._stack = lru_cache(TEXTS_KEPT)(stack)

    def velocity(self, given: StepInput) -> Tensor:
        """Return the mixed velocity, shaped like `given.x`; of no meaning for an extra clean chunk.

        Stores the keys of the clean chunks in the cache.
        """
        if self.config.cfg_number == 1:
            return self._single(given)
        return self._mix(given)

    def store(self, given: StepInput) -> None:
        """Store the keys of the clean chunks in the cache and do no more."""
        if self.config.cfg_number == 1:
            self._single(given)
        else:
            self._history(given)

    def expect(self, latents: Tensor) -> None:
        """Do nothing: the ring begins as large as what is written first."""

    def forget_before(self, chunk: int, tokens: int) -> None:
        """Let go of the keys of chunks, of so many tokens each, that come before one."""
        visible = chunk - self.cache.origin
        self.cache.forget_before(visible * tokens)
        if visible >= self._rebase_every:
            patches = visible * self.config.chunk_width // self.model.config.t_patch_size
            turn = partial(self.model.turn_back, patches=patches)
            self.cache.move_origin(visible, tokens, turn)

    def recached(self, end: int) -> None:
        """Return None: a new text changes no keys, which know of none."""

    def _mix(self, given: StepInput) -> Tensor:
        moving = range(given.first_moving, len(given.t))
        scales = [given.scales[c] if c in moving else (1.0, 0.0) for c in range(len(given.t))]
        text_weights = [text for _, text in scales]
        history_weights = [
            history - text if c in moving else 0.0 for c, (history, text) in enumerate(scales)
        ]
        alone = [c for c in moving if scales[c][0] != 1]
        mixed = torch.zeros_like(given.x)
        wants_text = any(text_weights)
        wants_history = any(history_weights) or given.step.clean_chunks > 0
        if wants_text and wants_history and self._fits_together(given):
            run = self._both if self._pair is None else partial(self._both_apart, self._pair)
            with_text, history = run(given)
            mixed += _per_chunk(with_text, text_weights)
            mixed += _per_chunk(history, history_weights)
        else:
            if wants_text:
                mixed += _per_chunk(self._with_text(given), text_weights)
            if wants_history:
                mixed += _per_chunk(self._history(given), history_weights)
        if alone:
            parts = mixed.chunk(len(given.t), dim=2)  # views
            for c, velocity in zip(alone, self._alone(given, alone), strict=True):
                parts[c].add_((1 - scales[c][0]) * velocity)
        return mixed

    def _with_text(self, given: StepInput) -> Tensor:
        text, ranges = tuple(given.text), given.step.kv_ranges
        return self._forward(given, given.x, self._condition_at(given, given.t), text, ranges)

    def _history(self, given: StepInput) -> Tensor:
        condition, null = self._condition_at(given, given.t, (True,)), tuple(given.null)
        return self._forward(given, given.x, condition, null, given.step.kv_ranges, store=True)

    def _both(self, given: StepInput) -> tuple[Tensor, Tensor]:
        """Predict with text and with history alone, as samples of one forward."""
        samples = len(given.x)
        condition = self._condition_at(given, given.t, (False, True)).repeat_interleave(samples, 0)
        text = tuple(
            self._stack(pair, samples) for pair in zip(given.text, given.null, strict=True)
        )
        x, ranges = torch.cat([given.x, given.x]), given.step.kv_ranges
        with_text, history = self._forward(given, x, condition, text, ranges, store=True).chunk(2)
        return with_text, history

    def _both_apart(self, pair: RunPair, given: StepInput) -> tuple[Tensor, Tensor]:
        """Predict with text and with history alone, at the same time where `pair` does so."""
        quiet = replace(given, after_forward=do_nothing)  # not from another thread
        results = pair(partial(self._with_text, quiet), partial(self._history, quiet))
        given.after_forward()
        return results

    def _fits_together(self, given: StepInput) -> bool:
        tokens = len(given.x) * count_tokens(self.model, given.x)
        return tokens <= self.config.tokens_together

    def _alone(self, given: StepInput, chunks: Sequence[int]) -> Tensor:
        """Predict each chunk by itself, without text; (chunks, N, C, K, H, W)."""
        samples = len(given.x)
        x = torch.cat([given.x.chunk(len(given.t), dim=2)[c] for c in chunks])
        times = tuple(given.t[c] for c in chunks)
        condition = self._condition(times, (True,)).transpose(0, 1)  # chunks 1 D/4
        condition = condition.repeat_interleave(samples, 0)
        text = (self._stack(tuple(given.null[c] for c in chunks), samples),)
        ranges = [(0, self._chunk_tokens(given))]
        return self._run(given, x, condition, text, ranges=ranges).unflatten(0, (-1, samples))

    def _single(self, given: StepInput) -> Tensor:
        """One forward; the near-clean chunk rides along once more, seeing only itself."""
        x, t, text, ranges = given.x, given.t, list(given.text), list(given.step.kv_ranges)
        c, count, frames = given.first_moving, len(t), given.chunk_frames
        if given.near_clean:
            x = torch.cat([x, x.chunk(count, dim=2)[c]], dim=2)
            t, end = (*t, t[c]), given.step.first_chunk + count
            text.append(text[c])
            ranges.append((end, end + 1))
        condition = self._condition_at(given, t)
        velocity = self._forward(given, x, condition, tuple(text), ranges, store=True)
        if not given.near_clean:
            return velocity
        seen, alone = velocity[:, :, : count * frames].clone(), velocity[:, :, count * frames :]
        share = self.config.nearly_clean_history_share
        part = seen[:, :, c * frames : (c + 1) * frames]
        part.mul_(share).add_((1 - share) * alone)
        return seen

    def _forward(
        self,
        given: StepInput,
        x: Tensor,
        condition: Tensor,
        text: Text,
        ranges: Sequence[tuple[int, int]],
        *,
        store: bool = False,
    ) -> Tensor:
        """Run the model on the chunks of a step with the cache."""
        tokens, clean = self._chunk_tokens(given), given.step.clean_chunks
        first = given.step.first_chunk
        seen = min(first, *(start for start, _ in ranges))
        origin = self.cache.origin
        return self._run(
            given,
            x,
            condition,
            text,
            first_chunk=first - origin,
            ranges=[((a - seen) * tokens, (b - seen) * tokens) for a, b in ranges],
            past=Past(
                self.cache,
                (seen - origin) * tokens,
                (first - origin) * tokens,
                stored=clean * tokens if store else 0,
                samples=len(given.x),
            ),
        )

    def _condition_at(
        self, given: StepInput, times: tuple[float, ...], drops: tuple[bool, ...] = (False,)
    ) -> Tensor:
        """Return the conditions of chunks in a step, one sample for each of `drops`."""
        size = self.schedule.step_size(given.step.index) if self.config.distill else None
        return self._condition(times, drops, size)

    def _chunk_tokens(self, given: StepInput) -> int:
        return count_tokens(self.model, given.x) // len(given.t)

    def _run(
        self,
        given: StepInput,
        x: Tensor,
        condition: Tensor,
        text: Text,
        *,
        first_chunk: int = 0,
        **options: Any,
    ) -> Tensor:
        table = self._rotary(self.model.grid(x), first_chunk, condition.shape[1])
        velocity = self.model.run(x, condition, text, table, **options)
        given.after_forward()
        return velocity


def guiding(
    model: Transformer,
    config: SamplerConfig,
    cache: KVCache | None,
    pair: RunPair | None,
    rebase_every: int,
) -> Predictor:
    """Return a predictor for a model of the MAGI-1 family, with a new cache if none is given."""
    cache = KVCache() if cache is None else cache
    turning = cast(TurningTransformer, model)
    return Predictor(turning, config, cache, pair, rebase_every=rebase_every)


def _condition(
    model: Transformer,
    times: tuple[float, ...],
    drops: tuple[bool, ...],
    step_size: float | None = None,
) -> Tensor:
    t = torch.tensor([times] * len(drops), dtype=torch.float32, device=model.device)
    return model.condition(t, torch.tensor(drops, device=model.device), step_size)


def _per_chunk(velocity: Tensor, weights: Sequence[float]) -> Tensor:
    """Multiply each chunk of (N, C, T, H, W) by its own number."""
    factors = torch.tensor(weights, device=velocity.device, dtype=velocity.dtype)
    chunks = velocity.unflatten(2, (len(weights), -1))  # N C W K H W
    return (chunks * factors[:, None, None, None]).flatten(2, 3)
