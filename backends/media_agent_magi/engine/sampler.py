"""From noise to clean chunks, one after the other, for as long as there is text.

Memory is bounded by the window: the latents of the chunks in work, and the keys that can still be
attended to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from media_agent_magi.engine.cache import KVCache
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.framing import CleanChunk, Framing
from media_agent_magi.engine.guidance import RunPair, count_tokens, guiding
from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.engine.in_work import InWork
from media_agent_magi.engine.noise import NoiseSource, Source, Starts
from media_agent_magi.engine.schedule import ChunkSchedule, Step
from media_agent_magi.engine.state_io import SamplerState
from media_agent_magi.engine.stepper import EulerStepper, Stepper
from media_agent_magi.engine.text.keys import ChunkText
from media_agent_magi.engine.text.of_chunks import ChunkTexts, TextSource
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.engine.transformer import StepInput, StepPredictor, Transformer

OnForward = Callable[[int, int | None], None]
"""Called after every forward with (steps done, all steps or None); may raise to stop."""


class ChunkSampler:
    """Generates a video chunk by chunk: `for chunk in ChunkSampler(...)`.

    Args:
        model: the transformer, in evaluation mode.
        config: how it is stepped.
        noise: where a chunk starts from; several sources make as many videos side by side.
        text: what a chunk shows; asked once, when the chunk enters the window.
        prefix: latents (1 or N, channels, frames, H, W) that the video continues. Whole chunks
            of it count as chunks of the video, but are not handed out.
        total: number of chunks, whole prefix chunks counted; None continues until `text` ends it.
        frames: latent frames to hand out, instead of `total`; the last chunk is cut to fit.
        guidance: chunk number -> its guidance table; the config's table if not given.
        null: the text row of the unconditional forwards; the model's null caption if not given.
        source: what the chunks are to be made from instead of pure noise.
        on_forward: progress and cancelling.
        hand_out_prefix, exact_prefix: as `Framing.after` says of `shown` and `exact`.
        predictor: runs the forwards; if not given, the `Predictor` of MAGI-1, with the next three.
        cache, rebase_every, pair: as it takes them; a new cache if not given.
        tail_frames: how many of the last finished frames a state holds at least.
        stepper: how latents move; by Euler's rule if not given.
        state: what `state()` returned. The video continues there; prefix, total and frames are
            those of the state.
    """

    def __init__(
        self,
        model: Transformer,
        config: SamplerConfig,
        *,
        noise: NoiseSource | Sequence[NoiseSource],
        text: TextSource,
        prefix: Tensor | None = None,
        total: int | None = None,
        frames: int | None = None,
        guidance: Callable[[int], GuidanceTable] | None = None,
        null: TextRow | None = None,
        source: Source | None = None,
        on_forward: OnForward | None = None,
        hand_out_prefix: bool | None = None,
        exact_prefix: bool = False,
        predictor: StepPredictor | None = None,
        cache: KVCache | None = None,
        rebase_every: int = 64,
        pair: RunPair | None = None,
        tail_frames: int = 0,
        stepper: Stepper | None = None,
        state: SamplerState | None = None,
    ) -> None:
        self._model, self._config = model, config
        self._device = model.device
        self._text, self._on_forward = text, on_forward
        table = GuidanceTable.from_config(config)
        self._guidance = guidance if guidance is not None else lambda _: table
        self._texts = ChunkTexts(model, null, config.null_caption_tokens)
        self._stepper: Stepper = EulerStepper(config) if stepper is None else stepper
        starts = Starts(noise, source, self._stepper, self._device)
        if predictor is None:
            predictor = guiding(model, config, cache, pair, rebase_every)
        self._predictor, self._cache, self._blocks = predictor, predictor.cache, predictor.blocks
        kept = predictor.tail_frames
        self._work = InWork(starts, self._stepper, self._blocks)
        self._stage = self._index = 0
        given = None if prefix is None or state is not None else starts.for_all(prefix)
        self._framing = Framing.after(
            given,
            self._blocks,
            frames=frames,
            shown=hand_out_prefix,
            exact=exact_prefix,
            tail_frames=None if kept is None else max(kept, tail_frames),
        )
        if predictor.own_text:
            self._framing.refuse_rest()
        whole = len(self._framing.tail) if state is None else state.prefix_chunks
        self._schedule = ChunkSchedule(config, whole)
        made, self._next = self._framing.made, whole
        self._total = total if made is None else whole + made
        if state is not None:
            self._restore(state)

    def __iter__(self) -> Iterator[CleanChunk]:
        """Yield every chunk as soon as it is clean."""
        if self._stage == 0 and self._schedule.prefix_chunks > 0:
            self._store_prefix()
        while steps := self._enter_stage():
            for step in steps:
                self._index = step.index
                self._advance(step)
            self._stage, self._index = self._stage + 1, 0
            finished = steps[-1].finished
            if finished is not None:
                yield self._framing.hand_out(finished, self._work.latents[finished])

    def state(self) -> SamplerState:
        """Return what is needed to resume here; to be called between two chunks.

        Its keys are views of the ring, which the next chunk changes: write or copy them before.
        """
        return SamplerState(
            stage=self._stage,
            total=self._total,
            frames=self._framing.frames,
            skipped=self._framing.skipped,
            prefix_chunks=self._schedule.prefix_chunks,
            origin=self._cache.origin,
            first_token=self._cache.first_token,
            latents=dict(self._work.latents),
            rows=dict(self._texts.rows),
            levels=dict(self._work.levels),
            keys=self._cache.entries() if self._config.keep_keys else {},
            prefix=self._framing.rest,
            tail=torch.cat(self._framing.tail, dim=2) if self._framing.tail else None,
            sink=(self._cache.start, self._cache.sink) if self._cache.sink else None,
        )

    @property
    def next_chunk(self) -> int:
        """The first chunk that has not been started; those before it have their text."""
        return self._next

    @property
    def finished_frames(self) -> int:
        """How many latent frames of the video are finished, given ones counted."""
        return self._blocks.start(self._schedule.window_start(self._stage))

    def replace_text(self, text: TextSource, *, below: float = 0.3) -> int:
        """Ask `text` for the chunks in work that are noisier than t = `below`.

        May be called at any time, in `on_forward` too. Returns the first chunk that has changed,
        `next_chunk` where none has.
        """
        texts = self._texts
        in_work = [] if self._predictor.own_text else sorted(texts.rows)
        changed = [c for c in in_work if self._progress(c) < below and texts.ask(c, text)]
        return changed[0] if changed else self.next_chunk

    def predict(self, given: StepInput) -> Tensor:
        """Return the velocity of one step; the place to look at what the model sees and says."""
        return self._predictor.velocity(given)

    def _restore(self, state: SamplerState) -> None:
        def move(x: Tensor) -> Tensor:
            return x.to(self._device)

        self._stage, self._total, framing = state.stage, state.total, self._framing
        framing.skipped, framing.frames = state.skipped, state.frames
        framing.first = state.prefix_chunks
        framing.rest = None if state.prefix is None else move(state.prefix)
        framing.tail = () if state.tail is None else framing.cut(move(state.tail))
        self._work.latents = {chunk: move(x) for chunk, x in state.latents.items()}
        self._work.levels = dict(state.levels)
        if state.tail is not None:
            self._predictor.expect(state.tail)
        place = self._device, self._model.dtype  # a state made elsewhere may have another
        self._cache.restore(state.keys, state.origin, state.first_token, state.sink, place=place)
        for chunk, rows in state.rows.items():
            self._texts.keep(chunk, rows)
        if self._stage > 0:
            self._next = self._schedule.newest(self._stage - 1) + 1
        if self._total is not None:
            self._next = min(self._next, self._total)
        if not state.keys:
            self._make_keys_again()

    def _enter_stage(self) -> tuple[Step, ...]:
        """Let the next chunk in, forget what nobody looks at any more; return the stage's steps."""
        newcomer = self._next
        if newcomer != self._total and self._schedule.entry(newcomer) == self._stage:
            if newcomer in self._texts.rows or self._texts.ask(newcomer, self._text):
                self._work.enter(newcomer)
                self._next += 1
            else:
                self._total = newcomer
        steps = self._schedule.stage(self._stage, self._total)
        if steps:
            self._forget(steps[0])
        return steps

    @torch.inference_mode()
    def _forget(self, step: Step) -> None:
        self._work.forget_before(step)
        self._texts.forget_before(step.first_chunk if self._predictor.own_text else step.window[0])
        visible = self._schedule.earliest_visible(self._stage, self._total)
        tokens = count_tokens(self._model, self._work.latents[step.window[0]])
        self._predictor.forget_before(visible, tokens)

    @torch.inference_mode()
    def _make_keys_again(self) -> None:
        """Store the keys that are still to be looked at, from the chunks that they are of."""
        step, tail = self._schedule.refill(self._stage, self._total), self._framing.tail
        if step is None or not tail:
            return
        tokens = count_tokens(self._model, tail[0])
        origin = self._cache.origin
        self._cache.restore({}, origin, (step.first_chunk - origin) * tokens)
        if step.levels:
            last = self._schedule.window_start(self._stage) - 1  # the newest of the tail
            start = len(tail) - 1 - last + step.first_chunk
            x = torch.cat(tail[start : start + len(step.levels)], dim=2)
            self._predictor.store(self._input(step, x, [self._texts.null] * len(step.levels)))

    @torch.inference_mode()
    def _store_prefix(self) -> None:
        step, x = self._schedule.prefix(), torch.cat(self._framing.tail, dim=2)
        assert step is not None
        if self._predictor.own_text and not self._texts.ask(self._next, self._text):
            self._total = self._next
            return
        text = self._texts.of(self._next)
        self._predictor.store(self._input(step, x, [text] * len(step.levels)))
        self._framing.forget()

    @torch.inference_mode()
    def _advance(self, step: Step) -> None:
        """Take one step with all chunks of the window that are not waiting for theirs."""
        first = self._schedule.prefix_chunks
        if step.first_chunk <= first < step.window[1]:  # its frames that the prefix gives
            self._work.latents[first] = self._framing.begin(self._work.latents[first])
        waiting = self._work.waiting(step)
        if not waiting:
            return
        step = step.first(len(waiting))
        chunks = range(step.first_chunk, step.window[1])
        texts = [self._texts.of(c) for c in chunks]
        given = self._recached(self._input(step, self._work.joined(chunks), texts))
        if step.is_prefix:
            self._predictor.store(given)
            return
        velocity = self.predict(given).split([end - first for first, end in given.spans], dim=2)
        for c, v, level, waits in zip(chunks, velocity, step.levels, waiting, strict=True):
            if level is not None and not waits:
                self._work.move(c, v, level)

    def _input(self, step: Step, x: Tensor, texts: list[ChunkText]) -> StepInput:
        chunks = range(step.first_chunk, step.first_chunk + len(step.levels))
        levels = self._work.levels_of(step)
        is_given = step.first_chunk < self._schedule.prefix_chunks
        clean_t = self._predictor.prefix_t if is_given else self._config.clean_t
        clean = float(torch.tensor(clean_t, dtype=torch.float32))
        t = tuple(clean if i is None else self._stepper.time(i) for i in levels)
        scales = [self._guidance(chunk).at(time) for chunk, time in zip(chunks, t, strict=True)]
        oldest = t[0 if step.is_prefix else step.clean_chunks]
        near_clean = not step.is_prefix and oldest > self._config.nearly_clean_threshold
        null = [] if self._predictor.own_text else [self._texts.null] * len(texts)
        spans = tuple(map(self._blocks.span, chunks))
        return StepInput(step, x, t, texts, null, scales, near_clean, self._report, spans)

    def _recached(self, given: StepInput) -> StepInput:
        """Put all that is seen in the place of the clean chunk where the text changes after it."""
        step = given.step
        if not self._predictor.own_text or step.clean_chunks != 1 or step.is_prefix:
            return given
        first, end = self._predictor.recached(given.spans[0][1]), given.spans[0][1]
        if first is None or not self._texts.differ(step.first_chunk, step.window[0]):
            return given
        return given.recached(torch.cat(self._framing.tail, dim=2)[:, :, first - end :])

    def _progress(self, chunk: int) -> float:
        """Return how far a chunk of the window is, from 0, noise, to 1, clean."""
        level = self._schedule.level(chunk, self._stage, self._index)
        return self._stepper.progress(self._work.level(chunk, level))

    def _report(self) -> None:
        if self._on_forward is not None:
            done = self._stage * self._schedule.stage_steps + self._index
            total = None if self._total is None else self._schedule.total_steps(self._total)
            self._on_forward(done, total)
