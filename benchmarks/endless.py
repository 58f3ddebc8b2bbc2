"""Is an endless video as cheap at its end as at its start? `make bench-engine`.

Curves: 600 chunks of magi/tiny and of a model of 41 million random weights, decoded and thrown
away: resident memory and seconds of every chunk, in a process for each. The machine's own speed
changes in minutes: a forward of fixed input beside every chunk is the yardstick, and relative times
are those over it. While memory is measured, what is freed goes back at once
(MALLOC_MMAP_THRESHOLD_), so that peaks are what is needed, not what the allocator has not given
back yet; that costs half of the speed, so that time is measured without it. Reference: the same
videos by the algorithm of the published code, written out below: keys of the whole video, a
position table of the whole video at each forward, three forwards a step, pixels at the end. Its
latents must equal ours, or the comparison does not count. First chunk: with the growing window,
over a steady chunk. Ratios are of one run; times are medians.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from machine import describe_machine, load_average
from torch import Tensor

from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.engine.cache import KVCache, Past
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.guidance import Predictor, StepInput
from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.tiny.config import MODEL, SAMPLER
from media_agent_magi.tiny.loader import load_tiny

RESULTS = Path(__file__).parent / "results"
SHAPE = (16, 6, 8, 8)
RELEASED = SamplerConfig(num_steps=16, window_size=4, chunk_width=6)  # else by default as released
SCALES = {
    name: GuidanceTable.from_config(config)
    for name, config in (("tiny", SAMPLER), ("released", RELEASED))
}
COMPARED = {
    "tiny": [(10, "tiny"), (60, "tiny"), (600, "tiny"), (10, "released")],
    "medium": [(10, "tiny"), (60, "tiny"), (10, "released")],
}
OURS, THEIRS = "#c03030", "#3050c0"
SKIPPED = 10  # chunks until allocators and threads have settled
EARLY = 20
STEADY = slice(SKIPPED, -SAMPLER.window_size)  # at the end fewer chunks are in work
MEDIUM = replace(
    MODEL,
    model_name="41 M random weights",
    num_layers=12,
    hidden_size=512,
    ffn_hidden_size=2048,
    num_attention_heads=16,
    num_query_groups=8,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to measure, and how it is stepped."""

    dit: VideoDiT
    vae: ConvVAE
    config: SamplerConfig
    text: TextRow

    def sampler(
        self, chunks: int, make: Callable[..., ChunkSampler] = ChunkSampler, **options: Any
    ) -> ChunkSampler:
        """Begin a video of so many chunks."""
        scales = options.pop("scales", SCALES["tiny"])
        return make(
            self.dit,
            options.pop("config", self.config),
            noise=seeded_noise(0, SHAPE),
            text=lambda chunk: self.text,
            total=chunks,
            guidance=lambda chunk: scales,
            **options,
        )


def subject(name: str) -> Subject:
    """Load magi/tiny, or draw the weights of the larger model; the latter takes a step a stage."""
    tiny = load_tiny(dtype="float32").models
    text = tiny.text_row("a red circle moving right on a black background")
    if name == "tiny":
        return Subject(tiny.model.dit, tiny.vae, SAMPLER, text)
    torch.manual_seed(0)
    config = replace(SAMPLER, num_steps=4)
    return Subject(VideoDiT(MEDIUM).eval().prepare(), tiny.vae, config, text)


class WholeCache(KVCache):
    """Keeps every key of the video, in one tensor a layer, allocated at once."""

    def forget_before(self, token: int) -> None:
        """Forget nothing."""


def join_whole(self: Past, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Join everything before the window, moved whole, and its own, whatever is looked at."""
    if self.stored:
        stored = slice(self.stored)
        self.cache.write(layer, self.end, keys[:, stored], values[:, stored])
    if not self.end:
        return keys, values
    past_keys, past_values = self.cache.read(layer, 0, self.end).chunk(2, dim=-1)
    keys, values = torch.cat([past_keys, keys], dim=1), torch.cat([past_values, values], dim=1)
    return keys[:, self.start :], values[:, self.start :]


class ThreeForwards(Predictor):
    """Text and history, history, nothing: all chunks in each, whatever its weight."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._rotary = self._table_from_the_start  # type: ignore[assignment]

    def _table_from_the_start(
        self, grid: tuple[int, int, int], first_chunk: int, chunks: int
    ) -> Tensor:
        """Make the table of the whole video so far again, and use its end."""
        patches, rows, columns = grid
        through = first_chunk + chunks
        table = self.model.rotary((patches // chunks * through, rows, columns), 0, through)
        return table[-patches * rows * columns :]

    def _mix(self, given: StepInput) -> Tensor:
        alone = self._alone(given, range(given.first_moving, len(given.t)))
        text, history = self._with_text(given), self._history(given)
        mixed = torch.zeros_like(given.x)
        parts = zip(*(x.chunk(len(given.t), 2) for x in (mixed, text, history)), strict=True)
        for c, (out, with_text, without) in enumerate(parts):
            if c >= given.first_moving:
                pull, scale = given.scales[c]
                out.add_(scale * with_text + (pull - scale) * without)
                out.add_((1 - pull) * alone[c - given.first_moving])
        return mixed


class WholeSampler(ChunkSampler):
    """Our schedule by the published algorithm."""

    def __init__(self, *given: Any, **options: Any) -> None:
        tokens = (
            options["total"] * math.prod(SHAPE[1:]) // (MODEL.t_patch_size * MODEL.patch_size**2)
        )
        super().__init__(*given, **options, cache=WholeCache(tokens), rebase_every=sys.maxsize)
        self._whole = ThreeForwards(self._model, self._config, self._cache)

    def predict(self, given: StepInput) -> Tensor:
        """Return the velocity of one step."""
        return self._whole.velocity(given)


@torch.no_grad()
def curve(name: str, chunks: int) -> dict[str, list[float]]:
    """Make a video; return megabytes and seconds up to and of each chunk, the first ones too."""
    chosen = subject(name)
    before: Tensor | None = None
    rows: dict[str, list[float]] = {"megabytes": [], "seconds": [], "yardstick": []}
    x, t = torch.randn(1, SHAPE[0], 5 * SHAPE[1], *SHAPE[2:]), torch.full((1, 5), 0.5)
    captions, masks = chosen.text.caption.expand(5, -1, -1), chosen.text.mask.expand(5, -1)
    tokens = chosen.dit.grid(x)[0] // 5 * (SHAPE[2] // 2) * (SHAPE[3] // 2)
    ranges = [(0, tokens * (chunk + 1)) for chunk in range(5)]
    clock = time.perf_counter()
    for chunk in chosen.sampler(chunks):
        chosen.vae.decode(chunk.latents, before)
        before = chunk.latents[:, :, -1:]
        made = time.perf_counter()
        rows["seconds"].append(made - clock)
        rows["megabytes"].append(peak_megabytes())
        reset_peak()
        chosen.dit(x, t, captions, masks, kv_ranges=ranges)
        clock = time.perf_counter()
        rows["yardstick"].append(clock - made)
    return rows


@torch.no_grad()
def compare(name: str, seconds: int, guidance: str) -> dict[str, Any]:
    """Make the same video both ways, decoded; return the times and whether the videos are equal."""
    chosen = subject(name)
    options: dict[str, Any] = {"config": SAMPLER, "scales": SCALES[guidance]}
    list(chosen.sampler(2, **options))  # warm
    ours, our_chunks, our_time = time_video(
        chosen, chosen.sampler(seconds, **options), at_end=False
    )
    with patch.object(Past, "join", join_whole):
        theirs, their_chunks, their_time = time_video(
            chosen, chosen.sampler(seconds, WholeSampler, **options), at_end=True
        )
    error = float((ours - theirs).abs().max())
    if error > 1e-2:
        raise SystemExit(f"{name}: the two videos differ by {error:.2g}: no comparison")
    return {
        "seconds_of_video": seconds,
        "guidance": guidance,
        "ours_seconds": our_time,
        "reference_seconds": their_time,
        "ratio": their_time / our_time,
        "largest_difference": error,
        "ours_last_over_first_fifth": ends(our_chunks),
        "reference_last_over_first_fifth": ends(their_chunks),
        "chunk_seconds": {"ours": our_chunks, "reference": their_chunks},
    }


def time_video(
    chosen: Subject, sampler: ChunkSampler, *, at_end: bool
) -> tuple[Tensor, list[float], float]:
    """Make a video and its pixels; return latents, seconds of each chunk, seconds in all."""
    began = clock = time.perf_counter()
    made: list[Tensor] = []
    seconds: list[float] = []
    for chunk in sampler:
        if not at_end:
            chosen.vae.decode(chunk.latents, made[-1][:, :, -1:] if made else None)
        made.append(chunk.latents)
        seconds.append(time.perf_counter() - clock)
        clock = time.perf_counter()
    if at_end:
        for last, latents in zip([None, *made], made, strict=False):
            chosen.vae.decode(latents, None if last is None else last[:, :, -1:])
    return torch.cat(made, dim=2), seconds, time.perf_counter() - began


def ends(seconds: list[float]) -> float | None:
    """Return how much longer the last steady chunks took than the first, None of a short video."""
    steady = seconds[STEADY]
    if len(steady) < SKIPPED:
        return None
    fifth = len(steady) // 5
    return statistics.median(steady[-fifth:]) / statistics.median(steady[:fifth])


@torch.no_grad()
def first_chunk(name: str, repeats: int) -> dict[str, float]:
    """Return the seconds of the first chunk, window growing or not, and of a steady one."""
    chosen = subject(name)
    times: dict[str, list[float]] = {"ramp": [], "all_at_once": [], "steady": []}
    for _ in range(repeats + 1):
        for ramp, kind in ((True, "ramp"), (False, "all_at_once")):
            config = replace(chosen.config, ramp=ramp)
            _, seconds, _ = time_video(chosen, chosen.sampler(12, config=config), at_end=False)
            times[kind].append(seconds[0])
            times["steady"] += seconds[5:8]
    medians = {kind: statistics.median(values[1:]) for kind, values in times.items()}
    return {f"{kind}_seconds": value for kind, value in medians.items()} | {
        "ramp_over_steady": medians["ramp"] / medians["steady"],
        "all_at_once_over_steady": medians["all_at_once"] / medians["steady"],
    }


def judge(rows: dict[str, list[float]]) -> dict[str, float | list[float]]:
    """Return memory at the end over that at chunk 20, and how chunk times behave."""
    memory = rows["megabytes"][SKIPPED:]
    at_20, at_end = max(memory[: EARLY - SKIPPED]), max(memory)
    seconds = np.array(rows["seconds"])[STEADY]
    relative = seconds / np.array(local_medians(rows["yardstick"]))[STEADY]
    middle = float(np.median(relative))
    low, high = slope_interval(relative)
    return {
        "chunks": len(rows["megabytes"]),
        "peak_megabytes_at_20": at_20,
        "peak_megabytes_at_end": at_end,
        "memory_ratio": at_end / at_20,
        "chunk_seconds_p50": float(np.median(seconds)),
        "p99_over_p50": float(np.percentile(seconds, 99) / np.median(seconds)),
        "relative_p99_over_p50": float(np.percentile(relative, 99)) / middle,
        "relative_slope_percent_per_100_chunks": [100 * 100 * x / middle for x in (low, high)],
    }


def local_medians(values: list[float], reach: int = 4) -> list[float]:
    """Return the median of each value and its neighbours."""
    return [
        statistics.median(values[max(0, i - reach) : i + reach + 1]) for i in range(len(values))
    ]


def slope_interval(values: "np.ndarray[Any, Any]", draws: int = 500) -> tuple[float, float]:
    """Return the 95 % interval of the slope per chunk: residuals drawn in blocks of 10."""
    x = np.arange(len(values))
    line = np.polyfit(x, values, 1)
    residuals = values - np.polyval(line, x)
    generator = np.random.default_rng(0)
    slopes = []
    for _ in range(draws):
        starts = generator.integers(0, len(values) - 10, -(-len(values) // 10))
        drawn = np.concatenate([residuals[s : s + 10] for s in starts])[: len(values)]
        slopes.append(line[0] + np.polyfit(x, drawn, 1)[0])
    low, high = np.percentile(slopes, (2.5, 97.5))
    return float(low), float(high)


def draw(panels: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draw two panels a row: a title, and lines over the chunks, each in its colour."""
    from PIL import Image, ImageDraw

    width, height, margin = 460, 200, 46
    image = Image.new("RGB", (2 * width, -(-len(panels) // 2) * height), "white")
    pen = ImageDraw.Draw(image)
    for number, (title, lines) in enumerate(panels.items()):
        top, left = number // 2 * height + 26, number % 2 * width + margin
        inner, down = width - margin - 14, height - 60
        most = 1.15 * max(max(values[SKIPPED:]) for values in lines.values())
        pen.rectangle((left, top, left + inner, top + down), outline="#999999")
        for colour, values in lines.items():
            shown = values[SKIPPED:]
            points = [
                (left + inner * i / (len(shown) - 1), top + down * (1 - value / most))
                for i, value in enumerate(shown)
            ]
            pen.line(points, fill=colour, width=1)
        pen.text((left, top - 16), title, fill="black")
        pen.text((left - 40, top - 4), f"{most:.3g}", fill="black")
        pen.text((left - 14, top + down - 6), "0", fill="black")
        pen.text((left, top + down + 4), f"chunk {SKIPPED}", fill="black")
        pen.text((left + inner - 60, top + down + 4), f"chunk {len(values)}", fill="black")
    image.save(path, optimize=True)


def peak_megabytes() -> float:
    """Return the largest resident size of this process since the last new peak (Linux)."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def reset_peak() -> None:
    """Forget the largest resident size so far."""
    Path("/proc/self/clear_refs").write_text("5", "utf-8")


MEASURES: dict[str, Callable[..., Any]] = {
    "memory": curve,
    "times": curve,
    "compare": compare,
    "first_chunk": first_chunk,
}


def run_in_process(measure: str, *arguments: str | int) -> Any:
    """Measure in a fresh interpreter, and say so."""
    print(measure, *arguments, "...", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--measure", measure, *map(str, arguments)]
    given = {"MALLOC_MMAP_THRESHOLD_": "131072"} if measure == "memory" else {}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **given}
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure everything, write results/endless.json and results/endless.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=7, help="videos of first chunks")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure, name, number, *rest = arguments.measure
        print(json.dumps(MEASURES[measure](name, int(number), *rest)))
        return
    load = load_average()
    curves = {
        name: {
            **run_in_process("times", name, arguments.chunks),
            "megabytes": run_in_process("memory", name, arguments.chunks)["megabytes"],
        }
        for name in ("tiny", "medium")
    }
    compared = {
        name: [run_in_process("compare", name, *asked) for asked in asked_of_both]
        for name, asked_of_both in COMPARED.items()
    }
    chunk_seconds = [row.pop("chunk_seconds") for rows in compared.values() for row in rows]
    longest = max(chunk_seconds, key=lambda lines: len(lines["ours"]))
    result = {
        "command": " ".join(["python", "benchmarks/endless.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "load_before": load,
        "machine": describe_machine(),
        "curves": {name: judge(rows) for name, rows in curves.items()},
        "against_the_reference": compared,
        "first_chunk": {
            name: run_in_process("first_chunk", name, arguments.repeats)
            for name in ("tiny", "medium")
        },
    }
    (RESULTS / "endless.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    panels = {}
    for name, rows in curves.items():
        panels[f"{name}: MB, peak of each chunk"] = {OURS: rows["megabytes"]}
        panels[f"{name}: seconds a chunk"] = {OURS: rows["seconds"]}
    panels["tiny: seconds a chunk, red ours, blue the published algorithm"] = {
        THEIRS: longest["reference"],
        OURS: longest["ours"],
    }
    draw(panels, RESULTS / "endless.png")
    print(json.dumps({key: result[key] for key in list(result)[4:]}, indent=1))


if __name__ == "__main__":
    main()
