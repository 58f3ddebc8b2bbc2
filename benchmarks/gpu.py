"""How fast is MAGI-1 4.5B on this GPU? Random weights of the released shapes. `make bench-gpu`.

Each part has a share of the time, and results are written after each, so that what is cut off has
left the more important ones behind. Seconds are medians of the chunks of a full window. MFU is the
operations of products and attention, counted from the shapes (gpu_count.py), over what the vendor
says the device can do in bfloat16, and over what a large product reaches here. `--rehearse` runs
the same code on the CPU with small shapes; its numbers mean nothing. `--count` counts kernels,
bytes and operations of the full shapes, on any machine.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from gpu_count import CAPTION, HEAD, count_chunk, count_operations, count_video, line
from machine import describe_machine
from published import WholeSampler, by_the_published_algorithm

from media_agent_magi.engine.autoencoders.vit_vae import ViTVAE, ViTVAEConfig
from media_agent_magi.engine.blocks.compiling import compile_elementwise, warm_up
from media_agent_magi.engine.config import SamplerConfig
from media_agent_magi.engine.dit import VideoDiT
from media_agent_magi.engine.fp8 import FP8
from media_agent_magi.engine.noise import seeded_noise
from media_agent_magi.engine.sampler import ChunkSampler
from media_agent_magi.engine.text.rows import TextRow
from media_agent_magi.loading.stream import on_meta
from media_agent_magi.magi.config import RELEASED, MagiConfig
from media_agent_magi.magi.loader import build
from media_agent_magi.magi.vae import TILES_AT_ONCE, ScaledVAE

RESULT = Path(__file__).parent / "results" / "gpu.json"
GIB = 2**30
CAP = 24 * GIB
PEAKS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "B200": 2250, "4090": 165}
"""TF/s of dense bfloat16, as vendors give them; by a part of the device's name."""
BOTH_WAYS = 10  # chunks of a second, ours and by the published algorithm
ENDLESS = 120
LEAST = 15  # seconds
VAE: dict[str, Any] = {
    "video_size": 256, "video_length": 16, "patch_size": 8, "patch_length": 4, "in_chans": 3,
    "z_chans": 16, "double_z": True, "embed_dim": 1024, "depth": 24, "num_heads": 16,
    "mlp_ratio": 4, "qkv_bias": True, "ln_in_attn": True, "conv_last_layer": True,
    "with_cls_token": True, "norm_code": False, "use_rope": False, "use_final_proj": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """What is measured: the released shapes on a GPU, or small ones in rehearsal."""

    device: torch.device
    base: MagiConfig
    vae: dict[str, Any]
    small: tuple[int, int] = (480, 480)
    large: tuple[int, int] = (720, 720)
    chunks: int = 10
    both_ways: int = BOTH_WAYS
    endless: int = ENDLESS

    @property
    def is_gpu(self) -> bool:
        """Whether the numbers mean something."""
        return self.device.type == "cuda"


REHEARSAL = Scale(
    torch.device("cpu"),
    replace(
        RELEASED["4.5B_distill"],
        model=replace(
            RELEASED["4.5B_distill"].model, num_layers=3, hidden_size=64, ffn_hidden_size=128,
            num_attention_heads=4, num_query_groups=2, kv_channels=16, caption_channels=32,
        ),
    ),
    VAE | {"video_size": 64, "embed_dim": 256, "depth": 1, "num_heads": 4},
    small=(64, 64), large=(96, 96), chunks=3, both_ways=3, endless=8,
)  # fmt: skip


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
            self._held.clear()
            free()
            self._held[fp8] = random_model(self.config(fp8=fp8), self.scale.device)
        return self._held[fp8]

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
        reset_peak(scale.device)
        began, latents = time.perf_counter(), []
        with by_the_published_algorithm() if published else whole():
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


PARTS: list[tuple[str, Callable[..., dict[str, Any]], dict[str, Any], float]] = [
    ("bf16 480x480 window 4", speed, {}, 150),
    ("fp8 480x480 window 4", speed, {"fp8": True}, 60),
    ("published algorithm, distilled", both_ways, {"forwards": 1}, 60),
    ("24 GiB, 480x480", capped, {"large": False}, 40),
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


def random_model(config: MagiConfig, device: torch.device) -> VideoDiT:
    """Return a transformer with random weights, compiled on a GPU."""
    model: VideoDiT = build(config).to_empty(device=device)
    scramble(model)
    model.prepare()
    compile_elementwise(model, backend="inductor" if device.type == "cuda" else "eager")
    return model


def random_vae(scale: Scale) -> ScaledVAE:
    """Return the autoencoder of the released shape with random weights."""
    dtype = torch.bfloat16 if scale.is_gpu else torch.float32
    vae = on_meta(lambda: ViTVAE(ViTVAEConfig.from_dict(scale.vae)).to(dtype))
    vae.to_empty(device=scale.device)
    scramble(vae)
    assert isinstance(vae, ViTVAE)
    base = scale.base
    return ScaledVAE(vae, scale=base.scale_factor, fps=base.fps, at_once=TILES_AT_ONCE)


def scramble(model: torch.nn.Module) -> None:
    """Draw all weights, small enough that nothing overflows."""
    for parameter in model.parameters():
        if parameter.dtype == FP8:
            drawn = torch.randn(parameter.shape, device=parameter.device, dtype=torch.bfloat16)
            parameter.data.copy_(drawn.mul_(0.02).to(FP8))
        elif parameter.dim() > 1:
            parameter.data.normal_(std=0.02)
        else:
            parameter.data.uniform_(0.9, 1.1)


def largest_product(device: torch.device) -> float:
    """Return the TF/s that a large product in bfloat16 reaches here."""
    side = 8192 if device.type == "cuda" else 256
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    taken = []
    for _ in range(20):
        wait(device)
        began = time.perf_counter()
        a @ b
        wait(device)
        taken.append(time.perf_counter() - began)
    return 2 * side**3 / statistics.median(taken[5:]) / 1e12


def known_peak(name: str) -> float | None:
    """Return what the vendor says, None of a device that is not listed."""
    return next((float(peak) for part, peak in PEAKS.items() if part in name), None)


@contextmanager
def cap(device: torch.device) -> Iterator[None]:
    """Give no more than 24 GiB of a GPU."""
    if device.type != "cuda":
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, CAP / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@contextmanager
def whole() -> Iterator[None]:
    """Change nothing."""
    yield


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free() -> None:
    """Give back what is not used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float | None:
    """Return the peak of what torch has taken of the GPU; None on a CPU."""
    return torch.cuda.max_memory_reserved(device) / GIB if device.type == "cuda" else None


def run(scale: Scale, seconds: float, only: str) -> dict[str, Any]:
    """Measure part by part; written after each, if this is a GPU."""
    began = time.perf_counter()
    name = torch.cuda.get_device_name(scale.device) if scale.is_gpu else "CPU, rehearsal"
    result: dict[str, Any] = {
        "command": " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "device": name,
        "machine": describe_machine(),
        "peak_tflops": {"vendor": known_peak(name), "product": largest_product(scale.device)},
        "parts": {},
    }
    bench = Bench(scale, began + seconds, result)
    for part, measure, given, limit in PARTS:
        left = bench.ends - time.perf_counter()
        if only not in part:
            continue
        started = time.perf_counter()
        if left <= 0:
            found: dict[str, Any] = {"left_out": "no time"}
        else:
            say(f"{part} (at most {min(limit, left):.0f} s) ...")
            try:
                with torch.inference_mode():
                    found = measure(bench, started + min(limit, left), **given)
            except Exception as error:  # noqa: BLE001 - the other parts are worth having
                found = {"error": f"{type(error).__name__}: {str(error)[:500]}"}
        result["parts"][part] = found | {"seconds": time.perf_counter() - started}
        say(f"{part}: {json.dumps(rounded(found))}")
        if scale.is_gpu:
            RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return result


def rounded(found: dict[str, Any]) -> dict[str, Any]:
    """Return numbers as one reads them."""
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}


def say(text: str) -> None:
    """Print progress at once."""
    print(text, file=sys.stderr, flush=True)


def count() -> None:
    """Print the counts of the full shapes, each when it is there: minutes on a slow core."""
    print(HEAD, flush=True)
    for weights, name in (("4.5B_distill", "bf16"), ("4.5B_distill_quant", "fp8")):
        config = RELEASED[weights]
        for side, window, compiled in (
            (480, 4, True), (480, 4, False), (480, 1, True), (720, 4, True), (720, 1, True),
        ):  # fmt: skip
            sampler = replace(config.sampler, num_steps=8, window_size=window)
            counts = count_chunk(config, (side, side), sampler, compiled=compiled)
            how = "" if compiled else ", not compiled"
            print(line(f"{name} {side}x{side} window {window}{how}", counts), flush=True)
    config = RELEASED["4.5B_distill"]
    for forwards, name in ((1, "distilled"), (3, "three forwards")):
        sampler = replace(config.sampler, num_steps=8, cfg_number=forwards, distill=forwards == 1)
        for published in (False, True):
            counts = count_video(config, (480, 480), sampler, BOTH_WAYS, published=published)
            who = "published" if published else "ours"
            print(line(f"10 s, {name}, {who}, not compiled", counts), flush=True)


def main() -> None:
    """Measure on a GPU, or rehearse, or count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="small shapes, on the CPU")
    parser.add_argument("--count", action="store_true", help="of the full shapes, on any machine")
    parser.add_argument("--seconds", type=float, default=500, help="for all parts together")
    parser.add_argument("--only", default="", help="parts whose name contains this")
    given = parser.parse_args()
    if given.count:
        count()
    elif given.rehearse:
        print(json.dumps(run(REHEARSAL, min(given.seconds, 45), given.only), indent=1))
    elif torch.cuda.is_available():
        scale = Scale(torch.device("cuda"), RELEASED["4.5B_distill"], VAE)
        print(json.dumps(run(scale, given.seconds, given.only), indent=1))
    else:
        raise SystemExit(
            "there is no GPU here, so nothing was measured. What can be done without one: "
            "python benchmarks/gpu.py --rehearse (the same code, small shapes, a minute), or "
            "--count (kernels, bytes and operations of the full shapes)"
        )


if __name__ == "__main__":
    main()
