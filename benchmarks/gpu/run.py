"""How fast are MAGI-1 4.5B and LongLive on this GPU? `make bench-gpu`.

Weights are random, shapes those released. Each part has a share of the time, and results are
written after each, so that what is cut off has left the more important ones behind. Seconds are
medians of the chunks of a full window. MFU is the operations of products and attention, counted
from the shapes (count.py), over what the vendor says the device can do in bfloat16, and over what a
large product reaches here. `--rehearse` runs the same code on the CPU with small shapes; its
numbers mean nothing. `--count` counts kernels, bytes and operations of the full shapes, on any
machine.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.causal import count_blocks
from benchmarks.gpu.count import HEAD, count_chunk, count_video, line
from benchmarks.gpu.device import known_peak, largest_product
from benchmarks.gpu.parts import PARTS, Bench
from benchmarks.gpu.scale import BOTH_WAYS, REHEARSAL, VAE, Scale
from benchmarks.machine import describe_machine
from media_agent_magi.magi.config import RELEASED
from media_agent_magi.wan_causal.config import LONGLIVE

RESULT = Path(__file__).parents[1] / "results" / "gpu.json"


def run(scale: Scale, seconds: float, only: str) -> dict[str, Any]:
    """Measure part by part; written after each, if this is a GPU."""
    began = time.perf_counter()
    name = torch.cuda.get_device_name(scale.device) if scale.is_gpu else "CPU, rehearsal"
    result: dict[str, Any] = {
        "command": " ".join(["python", "-m", "benchmarks.gpu.run", *sys.argv[1:]]),
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
    for name, counts in count_blocks(LONGLIVE).items():
        print(line(f"LongLive 832x480, {name}, not compiled", counts), flush=True)
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
            "python -m benchmarks.gpu.run --rehearse (the same code, small shapes, a minute), or "
            "--count (kernels, bytes and operations of the full shapes)"
        )


if __name__ == "__main__":
    main()
