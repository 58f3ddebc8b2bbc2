"""Which chunks are worked on in which step, and what each of them may see. Integers only.

A chunk enters at schedule index 0 and is clean after `num_steps` steps. At most `window_size`
chunks are in work. Chunks enter and leave between stages of num_steps/window_size steps, one at a
time; with a ramp the first ones enter late, so that the first chunk is made alone.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from media_agent_magi.engine.config import SamplerConfig

PREFIX_RANGE = 8
"""Chunks a prefix chunk sees where the config names no range at all."""

TWELVE_STEPS = 12
SHORT_STEPS_LAST = (2.0, 1.0, 1.0)
SHORT_STEPS_FIRST = (1.0, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the latent frames of a video are cut into chunks.

    width: frames of a chunk. first_alone: the first chunk is one frame.
    """

    width: int
    first_alone: bool = False

    def start(self, chunk: int) -> int:
        """Return the first frame of a chunk."""
        if not self.first_alone:
            return chunk * self.width
        return max(0, 1 + (chunk - 1) * self.width)

    def span(self, chunk: int) -> tuple[int, int]:
        """Return the first frame of a chunk, and its end."""
        return self.start(chunk), self.start(chunk + 1)

    def frames(self, chunk: int) -> int:
        """Count the frames of a chunk."""
        return self.start(chunk + 1) - self.start(chunk)

    def whole(self, frames: int) -> int:
        """Count the chunks that so many frames fill."""
        if not self.first_alone:
            return frames // self.width
        return 1 + (frames - 1) // self.width if frames else 0

    def holding(self, frames: int) -> int:
        """Count the chunks that hold so many frames."""
        whole = self.whole(frames)
        return whole if self.start(whole) >= frames else whole + 1


@dataclass(frozen=True, slots=True)
class Step:
    """One denoising step: chunk numbers count from the start of the video, ends are exclusive.

    window: the chunks that are moved by this step. first_chunk: the first chunk the model sees.
    levels: schedule index of every chunk the model sees, None for a clean one (its keys are to be
    stored). kv_ranges: per chunk the chunks it attends to. finished: chunk that is clean after
    this step.
    """

    stage: int
    index: int
    window: tuple[int, int]
    first_chunk: int
    levels: tuple[int | None, ...]
    kv_ranges: tuple[tuple[int, int], ...]
    finished: int | None = None

    def first(self, count: int) -> Step:
        """Return the step with its first `count` chunks alone."""
        return replace(
            self,
            window=(self.window[0], self.first_chunk + count),
            levels=self.levels[:count],
            kv_ranges=self.kv_ranges[:count],
        )

    @property
    def clean_chunks(self) -> int:
        """How many leading chunks are clean."""
        return self.levels.count(None)

    @property
    def is_prefix(self) -> bool:
        """Whether this only stores the keys of given chunks and moves nothing."""
        return self.clean_chunks == len(self.levels)


def ramp_entries(window: int) -> tuple[int, ...]:
    """Stages in which chunks enter while 1, then 2, then 4, ... are in work: 0 4 6 8 for four.

    Behind the last of them a chunk enters in every stage.
    """
    entries, width = [0], 1
    while width < window:
        start, gap = entries[-1], window // width
        entries += [start + gap * (i + 1) for i in range(width)]
        width *= 2
    return tuple(entries)


class ChunkSchedule:
    """The steps of a video, stage by stage. A `total` of None means that no end is known yet."""

    def __init__(self, config: SamplerConfig, prefix_chunks: int = 0) -> None:
        self.config = config
        self.prefix_chunks = prefix_chunks
        self.stage_steps = config.num_steps // config.window_size
        self._entries = ramp_entries(config.window_size) if config.ramp else (0,)

    def entry(self, chunk: int) -> int:
        """Return the stage in which a chunk that is not part of the prefix enters."""
        made, last = chunk - self.prefix_chunks, len(self._entries) - 1
        return self._entries[made] if made <= last else self._entries[last] + made - last

    def newest(self, number: int) -> int:
        """Return the last chunk that has entered by the start of stage `number`."""
        last = len(self._entries) - 1
        beyond = number - self._entries[last]
        made = last + beyond if beyond >= 0 else bisect_right(self._entries, number) - 1
        return self.prefix_chunks + made

    def level(self, chunk: int, number: int, index: int = 0) -> int:
        """Return how many steps a chunk has taken before step `index` of stage `number`."""
        return (number - self.entry(chunk)) * self.stage_steps + index

    def stages(self, total: int) -> int:
        """How many stages a video of `total` chunks takes, prefix chunks counted in `total`."""
        made = total - self.prefix_chunks
        return self.entry(total - 1) + self.config.window_size if made > 0 else 0

    def total_steps(self, total: int) -> int:
        """How many steps a video of `total` chunks takes."""
        return self.stages(total) * self.stage_steps

    def window_start(self, number: int) -> int:
        """Return the first chunk that is in work in a stage."""
        return self.newest(number - self.config.window_size) + 1

    def prefix(self) -> Step | None:
        """Return the one step that stores the keys of the whole prefix chunks, None without any."""
        count = self.prefix_chunks
        if count == 0:
            return None
        seen = self._clean_range(PREFIX_RANGE)
        ranges = tuple((max(0, p + 1 - seen), p + 1) for p in range(count))
        return Step(0, 0, (count, count), 0, (None,) * count, ranges)

    def refill(self, number: int, total: int | None) -> Step | None:
        """Return the one step that stores again what stage `number` and later ones look back at.

        Only chunks are in it that no step of theirs stores; None behind the last stage.
        """
        steps = self.stage(number, total)
        if not steps:
            return None
        end = steps[0].first_chunk
        first = min(end, self.earliest_visible(number, total))
        ranges = tuple((max(first, p + 1 - self._clean_range(1)), p + 1) for p in range(first, end))
        return Step(number, 0, (end, end), first, (None,) * (end - first), ranges)

    def stage(self, number: int, total: int | None) -> tuple[Step, ...]:
        """Return the steps of one stage; empty behind the last one."""
        if total is not None and number >= self.stages(total):
            return ()
        return tuple(self._step(number, k, total) for k in range(self.stage_steps))

    def earliest_visible(self, number: int, total: int | None) -> int:
        """Return the first chunk that any step from stage `number` on can attend to."""
        next_entry = self.entry(self.newest(number) + 1)
        prefetch = range(number, next_entry + self.config.window_size)
        steps = [step for j in prefetch for step in self.stage(j, total)]
        return min((start for s in steps for start, _ in s.kv_ranges), default=0)

    def step_interval(self, index: int) -> float:
        """Relative length of the step at `index` of a stage, as distilled models are told it."""
        if self.config.num_steps % 3:
            return 1.0
        pattern = SHORT_STEPS_LAST
        if self.config.shortcut_mode == "16,16,8":
            pattern = SHORT_STEPS_FIRST
        return pattern[index % 3]

    def step_size(self, index: int) -> float:
        """Return the step-size number of distilled models at `index` of a stage."""
        if self.config.num_steps == TWELVE_STEPS:
            return 8 / self.step_interval(index)
        return self.config.num_steps / 2

    def _step(self, number: int, k: int, total: int | None) -> Step:
        start, end = self.window_start(number), self.newest(number) + 1
        end = end if total is None else min(total, end)
        levels: list[int | None] = [self.level(c, number, k) for c in range(start, end)]
        finished = start if levels[0] == self.config.num_steps - 1 else None
        first = start
        if k == 0 and start > self.window_start(number - 1):
            first, levels = start - 1, [None, *levels]  # the chunk just finished leaves clean keys
        ranges = tuple(self._visible(first + i, level) for i, level in enumerate(levels))
        return Step(number, k, (start, end), first, tuple(levels), ranges, finished)

    def _visible(self, chunk: int, level: int | None) -> tuple[int, int]:
        ranges = self.config.noise2clean_kvrange
        if not ranges:
            return 0, chunk + 1
        if level is None:
            seen = self._clean_range(PREFIX_RANGE)
        else:
            seen = ranges[level * len(ranges) // self.config.num_steps]
        return max(0, chunk + 1 - seen), chunk + 1

    def _clean_range(self, fallback: int) -> int:
        if self.config.clean_chunk_kvrange != -1:
            return self.config.clean_chunk_kvrange
        return (self.config.noise2clean_kvrange or (fallback,))[-1]
