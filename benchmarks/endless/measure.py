"""Videos of magi/tiny and of a larger model, measured chunk by chunk, in the process that asks."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.endless.causal import CausalSubject
from benchmarks.endless.judge import ends
from benchmarks.published import WholeSampler, by_the_published_algorithm
from media_agent_magi.engine.autoencoders.conv_vae import ConvVAE
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.guidance_table import GuidanceTable
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.tiny.config import MODEL, SAMPLER
from media_agent_magi.tiny.loader import load_tiny

SHAPE = (16, 6, 8, 8)
RELEASED = SamplerConfig(num_steps=16, window_size=4, chunk_width=6)  # else by default as released
SCALES = {
    name: GuidanceTable.from_config(config)
    for name, config in (("tiny", SAMPLER), ("released", RELEASED))
}
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

    def decoder(self) -> Callable[[Tensor], Tensor]:
        """Return what decodes a video chunk by chunk, each with the end of the one before."""
        before: list[Tensor] = []

        def decode(latents: Tensor) -> Tensor:
            frames = self.vae.decode(latents, before.pop() if before else None)
            before.append(latents[:, :, -1:])
            return frames

        return decode

    def yardstick(self) -> Callable[[], object]:
        """Return a forward of fixed input, as large as one of a full window."""
        x, t = torch.randn(1, SHAPE[0], 5 * SHAPE[1], *SHAPE[2:]), torch.full((1, 5), 0.5)
        captions, masks = self.text.caption.expand(5, -1, -1), self.text.mask.expand(5, -1)
        tokens = self.dit.grid(x)[0] // 5 * (SHAPE[2] // 2) * (SHAPE[3] // 2)
        ranges = [(0, tokens * (chunk + 1)) for chunk in range(5)]
        return lambda: self.dit(x, t, captions, masks, kv_ranges=ranges)


def subject(name: str) -> Subject:
    """Load magi/tiny, or draw the weights of the larger model; the latter takes a step a stage."""
    tiny = load_tiny(dtype="float32").models
    text = tiny.text_row("a red circle moving right on a black background")
    if name == "tiny":
        return Subject(tiny.model.dit, tiny.vae, SAMPLER, text)
    torch.manual_seed(0)
    config = replace(SAMPLER, num_steps=4)
    return Subject(VideoDiT(MEDIUM).eval().prepare(), tiny.vae, config, text)


@torch.no_grad()
def curve(name: str, chunks: int) -> dict[str, list[float]]:
    """Make a video; return megabytes and seconds up to and of each chunk, the first ones too."""
    chosen = CausalSubject.of_random_weights() if name == "causal" else subject(name)
    rows: dict[str, list[float]] = {"megabytes": [], "seconds": [], "yardstick": []}
    decode, forward = chosen.decoder(), chosen.yardstick()
    clock = time.perf_counter()
    for chunk in chosen.sampler(chunks):
        decode(chunk.latents)
        made = time.perf_counter()
        rows["seconds"].append(made - clock)
        rows["megabytes"].append(peak_megabytes())
        reset_peak()
        forward()
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
    with by_the_published_algorithm():
        theirs, their_chunks, their_time = time_video(
            chosen,
            chosen.sampler(seconds, partial(WholeSampler, shape=SHAPE), **options),
            at_end=True,
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
