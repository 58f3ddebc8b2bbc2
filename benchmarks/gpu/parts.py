"""The parts of the benchmark, the more important first: each measures until its time is over."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from benchmarks.gpu import causal
from benchmarks.gpu.count import CAPTION, count_operations
from benchmarks.gpu.device import (
    CAP,
    GIB,
    cap,
    free,
    peak_gib,
    random_model,
    random_vae,
    reset_peak,
    wait,
)
from benchmarks.gpu.scale import Scale
from benchmarks.published import WholeSampler, by_the_published_algorithm
from media_agent_magi.engine.blocks.compiling import warm_up
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.magi.config import MagiConfig

LEAST = 15  # seconds


@dataclass(slots=True)
class Bench:
    """A model at a time, and what was measured so far."""

    scale: Scale
    ends: float
    result: dict[str, Any]
    _held: dict[bool, VideoDiT] = field(default_factory=dict)

    def config(self, *, fp8: bool) -> MagiConfig:
        """Return the settings of the weights."""
        return replace(self.scale.base, quantised=fp8)

    def model(self, *, fp8: bool) -> VideoDiT:
        """Return a model with random weights; the other one is let go."""
        if fp8 not in self._held:
            self.let_go()
            self._held[fp8] = random_model(self.config(fp8=fp8), self.scale.device)
        return self._held[fp8]

    def let_go(self) -> None:
        """Let go of the model that is held."""
        self._held.clear()
        free()

    def sampling(self, *, window: int = 4, steps: int = 8) -> SamplerConfig:
        """Return how it is stepped."""
        return replace(self.scale.base.sampler, window_size=window, num_steps=steps)

    def options(self, size: tuple[int, int]) -> dict[str, Any]:
        """Return what a sampler is given besides model and settings."""
        model = self.scale.base.model
        row = TextRow(
            torch.randn(model.caption_max_length, model.caption_channels),
            (torch.arange(model.caption_max_length) < CAPTION).float(),
        )
        noise = seeded_noise(0, self.scale.base.geometry.shape(*size))
        return {"noise": noise, "text": lambda chunk: row}

    def times(self, sampler: ChunkSampler, chunks: int, until: float) -> Iterator[float]:
        """Yield the seconds of each chunk, until so many are made or the time is over."""
        clock = time.perf_counter()
        for number, _ in enumerate(sampler, 1):
            wait(self.scale.device)
            now = time.perf_counter()
            yield now - clock
            if number >= chunks or now >= until:
                return
            clock = time.perf_counter()


def speed(
    bench: Bench, until: float, *, large: bool = False, fp8: bool = False, **sampling: int
) -> dict[str, Any]:
    """Seconds of a steady chunk and of the first, MFU and peak memory of the transformer."""
    scale, config = bench.scale, bench.sampling(**sampling)
    size = scale.large if large else scale.small
    model, shape = bench.model(fp8=fp8), scale.base.geometry.shape(*size)
    began = time.perf_counter()
    warm_up(model, shape, config)
    wait(scale.device)
    warmed = time.perf_counter() - began
    until = max(until, time.perf_counter() + LEAST)  # compiling is not to leave nothing
    free()  # what earlier parts have left behind is none of this peak
    reset_peak(scale.device)
    sampler = ChunkSampler(model, config, **bench.options(size))
    seconds = list(bench.times(sampler, config.window_size + scale.chunks, until))
    steady = seconds[config.window_size :]
    if not steady:
        raise TimeoutError(f"no steady chunk in time; the first took {seconds[0]:.1f} s")
    sampler = ChunkSampler(model, config, **bench.options(size))
    first = next(bench.times(sampler, 1, until))
    chunk = statistics.median(steady)
    operations = count_operations(bench.config(fp8=fp8), size, config)
    reached = operations / chunk
    peaks = bench.result["peak_tflops"]
    return {
        "chunk_seconds": chunk,
        "first_chunk_seconds": first,
        "chunks": len(steady),
        "warm_up_seconds": warmed,
        "tflop": operations / 1e12,
        "tflops": reached / 1e12,
        **{f"mfu_{kind}": reached / 1e12 / peak for kind, peak in peaks.items() if peak},
        "peak_gib": peak_gib(scale.device),
    }


def both_ways(bench: Bench, until: float, *, forwards: int) -> dict[str, Any]:
    """Make a video ours and by the published algorithm; no forward is left out there."""
    scale, model = bench.scale, bench.model(fp8=False)
    config = replace(bench.sampling(), cfg_number=forwards, distill=forwards == 1)
    options = bench.options(scale.small) | {"total": scale.both_ways}
    shape = scale.base.geometry.shape(*scale.small)
    list(bench.times(ChunkSampler(model, config, **options), 2, until))  # warm
    made: list[tuple[float, float | None, torch.Tensor]] = []
    for published in (False, True):
        free()
        reset_peak(scale.device)
        began, latents = time.perf_counter(), []
        with by_the_published_algorithm() if published else nullcontext():
            sampler = (
                WholeSampler(model, config, shape=shape, **options)
                if published
                else ChunkSampler(model, config, **options)
            )
            for chunk in sampler:
                latents.append(chunk.latents)
                if time.perf_counter() > until:
                    raise TimeoutError(f"{len(latents)} of {scale.both_ways} chunks in time")
        wait(scale.device)
        seconds = time.perf_counter() - began
        made.append((seconds, peak_gib(scale.device), torch.cat(latents, dim=2)))
    (ours, our_peak, mine), (theirs, their_peak, other) = made
    return {
        "chunks": scale.both_ways,
        "ours_seconds": ours,
        "published_seconds": theirs,
        "published_over_ours": theirs / ours,
        "ours_peak_gib": our_peak,
        "published_peak_gib": their_peak,
        "mean_difference_over_spread": float((mine - other).abs().mean() / mine.std()),
    }


def capped(bench: Bench, until: float, *, large: bool) -> dict[str, Any]:
    """Make and decode chunks where the device gives no more than 24 GiB."""
    scale = bench.scale
    size = scale.large if large else scale.small
    model, config = bench.model(fp8=False), bench.sampling()
    free()
    with cap(scale.device):
        reset_peak(scale.device)
        vae = random_vae(scale)
        sampler, decoding = ChunkSampler(model, config, **bench.options(size)), []
        for number, chunk in enumerate(sampler, 1):
            wait(scale.device)
            began = time.perf_counter()
            frames = vae.decode(chunk.latents)
            decoding.append(time.perf_counter() - began)
            if number > config.window_size + 1 or time.perf_counter() > until:
                break
        peak = peak_gib(scale.device)
    return {
        "cap_gib": CAP / GIB if scale.is_gpu else None,
        "peak_gib": peak,
        "chunks": len(decoding),
        "decode_seconds": statistics.median(decoding),
        "frames": list(frames.shape),
    }


def endless(bench: Bench, until: float) -> dict[str, Any]:
    """As many of 120 chunks as there is time for: are time and memory flat?"""
    scale, config = bench.scale, bench.sampling()
    sampler = ChunkSampler(bench.model(fp8=False), config, **bench.options(scale.small))
    seconds, peaks = [], []
    reset_peak(scale.device)
    for taken in bench.times(sampler, scale.endless, until):
        seconds.append(taken)
        peaks.append(peak_gib(scale.device))
        reset_peak(scale.device)
    steady = seconds[config.window_size :]
    fifth = max(1, len(steady) // 5)
    settled = peaks[config.window_size + 5 :] or peaks
    return {
        "chunks": len(seconds),
        "chunk_seconds": statistics.median(steady or seconds),
        "last_fifth_over_first": (
            statistics.median(steady[-fifth:]) / statistics.median(steady[:fifth])
            if steady
            else None
        ),
        "peak_gib_settled": settled[0],
        "peak_gib_last": settled[-1],
    }


def causal_blocks(bench: Bench, until: float) -> dict[str, Any]:
    """Blocks of a causal Wan model, decoded and copied to the main memory."""
    bench.let_go()
    return causal.measure(bench.scale, until)


PARTS: list[tuple[str, Callable[..., dict[str, Any]], dict[str, Any], float]] = [
    ("bf16 480x480 window 4", speed, {}, 150),
    ("fp8 480x480 window 4", speed, {"fp8": True}, 60),
    ("published algorithm, distilled", both_ways, {"forwards": 1}, 60),
    ("24 GiB, 480x480", capped, {"large": False}, 40),
    ("wan-causal 832x480, decoded", causal_blocks, {}, 45),
    ("bf16 720x720 window 4", speed, {"large": True}, 110),
    ("bf16 480x480 window 4, 4 steps", speed, {"steps": 4}, 30),
    ("24 GiB, 720x720", capped, {"large": True}, 60),
    ("published algorithm, three forwards", both_ways, {"forwards": 3}, 90),
    ("bf16 480x480 window 1", speed, {"window": 1}, 45),
    ("bf16 720x720 window 1", speed, {"window": 1, "large": True}, 60),
    ("120 chunks", endless, {}, 220),
    ("fp8 720x720 window 4", speed, {"fp8": True, "large": True}, 60),
    ("fp8 480x480 window 1", speed, {"fp8": True, "window": 1}, 40),
    ("fp8 720x720 window 1", speed, {"fp8": True, "window": 1, "large": True}, 60),
]
"""Name, measure, what it is given, seconds at most; the more important first."""
