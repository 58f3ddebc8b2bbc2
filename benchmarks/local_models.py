"""Measures what media-agent adds to plain diffusers: `make bench-diffusers`.

Tiny pipelines with random weights make the same video both ways, from the call to the file; the
frames of plain diffusers are encoded by the same encoder. Both compute in one thread. Time: in one
process, in turns, CPU seconds of a video; the median over the pairs is said.

Memory: the peak of a process of its own that makes two videos; the median over the pairs is said.
Two equal processes differ by 100 MB, because glibc keeps more and more of what is freed. So each
way is also measured once with glibc told to give back what is freed: that is what a way needs, and
hardly varies; it is no way to run, as it takes half as much time again. Linux only.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from machine import describe_machine, load_average

RESULTS = Path(__file__).parent / "results"
FAMILIES = ("wan", "ltx")
MOST_TIME = 1.02
MOST_BYTES = 50 * 10**6
WAYS = ("plain", "ours")
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}  # larger pieces are no part of a heap
STEPS = 4
FPS = 16.0
PROMPT = "a boat on a lake"
Make = Callable[[int], None]


def make_plainly(folder: Path, shape: dict[str, int], data_dir: Path) -> Make:
    """Return what makes a video with diffusers alone, as its documentation does."""
    from media_agent.testing.simulator.videos import write_video

    diffusers, torch = import_module("diffusers"), import_module("torch")
    pipe = diffusers.DiffusionPipeline.from_pretrained(str(folder), local_files_only=True)
    pipe.set_progress_bar_config(disable=True)

    def make(seed: int) -> None:
        video = pipe(
            prompt=PROMPT,
            **shape,
            num_inference_steps=STEPS,
            max_sequence_length=16,
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="np",
        ).frames[0]
        write_video(data_dir / f"{seed}.mp4", (video * 255).round().astype("uint8"), fps=FPS)

    return make


def make_as_a_job(folder: Path, shape: dict[str, int], data_dir: Path) -> Make:
    """Return what makes a video with the backend, from the request to the file."""
    from media_agent.backend.protocol import BackendSettings
    from media_agent.testing import events_of
    from media_agent_diffusers.backend import DiffusersBackend
    from media_agent_schemas import VideoRequest

    backend = DiffusersBackend(BackendSettings(data_dir, models={"tiny": folder}, threads=1))

    async def work(seed: int) -> None:
        request = VideoRequest.model_validate(
            {
                "prompt": PROMPT,
                "size": {"width": shape["width"], "height": shape["height"]},
                "num_frames": shape["num_frames"],
                "fps": backend.capabilities("tiny").default_fps,
                "seed": seed,
                "options": {"diffusers": {"num_inference_steps": STEPS, "max_sequence_length": 16}},
            }
        )
        ref = await backend.submit(request, key=f"video-{seed}")
        last = (await events_of(backend, ref))[-1]
        if last.type != "job.completed":
            raise RuntimeError(str(last))

    return lambda seed: asyncio.run(work(seed))


def measure_times(folder: Path, shape: dict[str, int], pairs: int) -> dict[str, Any]:
    """Return the CPU seconds of both ways, in turns, after one video each to warm up."""
    import_module("torch").set_num_threads(1)
    with tempfile.TemporaryDirectory() as data_dir:
        ways = {
            "plain": make_plainly(folder, shape, Path(data_dir)),
            "ours": make_as_a_job(folder, shape, Path(data_dir)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for seed in range(pairs + 1):
            for name, make in ways.items():
                began = time.process_time()
                make(seed)
                seconds[name].append(time.process_time() - began)
    plain, ours = (seconds[name][1:] for name in ("plain", "ours"))
    ratios = [mine / theirs for mine, theirs in zip(ours, plain, strict=True)]
    return {
        "cpu_seconds": {
            "plain": round(statistics.median(plain), 3),
            "ours": round(statistics.median(ours), 3),
        },
        "time_ratio": {
            "median": round(statistics.median(ratios), 4),
            "smallest": round(min(ratios), 4),
            "largest": round(max(ratios), 4),
        },
    }


def measure_peaks(folder: Path, shape: dict[str, int], **variables: str) -> dict[str, int]:
    """Return the most memory that a process takes that makes two videos, each way beside the other.

    `variables` are added to its environment.
    """

    def measure(way: str) -> int:
        words = [sys.executable, __file__, "--child", way, str(folder), json.dumps(shape)]
        environment = {**os.environ, **variables}
        done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
        return int(done.stdout)

    with ThreadPoolExecutor(len(WAYS)) as both:
        return dict(zip(WAYS, both.map(measure, WAYS), strict=True))


def run_child(way: str, folder: str, shape: str) -> None:
    """Make two videos in this process, and print its peak in bytes."""
    import_module("torch").set_num_threads(1)
    with tempfile.TemporaryDirectory() as data_dir:
        prepare = make_plainly if way == "plain" else make_as_a_job
        make = prepare(Path(folder), json.loads(shape), Path(data_dir))
        make(0)
        make(1)
    print(_peak_bytes())


def _peak_bytes() -> int:
    """Return the peak of this program; that of getrusage begins with the peak of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def measure_family(family: str, shape: dict[str, int], pairs: int, peaks: int) -> dict[str, Any]:
    """Return times and memory of one family."""
    from media_agent_diffusers.tiny import build_tiny

    with tempfile.TemporaryDirectory() as folder:
        weights = build_tiny(family, Path(folder) / family)
        times = measure_times(weights, shape, pairs)
        measured = [measure_peaks(weights, shape) for _ in range(peaks)]
        needed = measure_peaks(weights, shape, **GIVES_BACK)
    found = {way: sorted(pair[way] for pair in measured) for way in WAYS}
    peak = {way: int(statistics.median(each)) for way, each in found.items()}
    return {
        **times,
        "peak_bytes": {
            way: {"median": peak[way], "smallest": each[0], "largest": each[-1]}
            for way, each in found.items()
        },
        "more_bytes": peak["ours"] - peak["plain"],
        "needed_bytes": needed,
        "more_needed_bytes": needed["ours"] - needed["plain"],
    }


def main() -> None:
    """Measure, print, write results/diffusers.json; the exit code says if the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="videos made both ways")
    parser.add_argument("--peaks", type=int, default=5, help="processes of each way")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_child(*arguments.child)
        return
    from media_agent_diffusers.families.catalogue import tiny_builders

    shape = {
        "width": arguments.width,
        "height": arguments.height,
        "num_frames": arguments.frames,
    }
    load, found = load_average(), {}
    for family in (name for name in FAMILIES if name in tiny_builders()):
        result = measure_family(family, shape, arguments.pairs, arguments.peaks)
        found[family] = result
        print(
            f"{family}: time x{result['time_ratio']['median']:.3f}, "
            f"memory {result['more_bytes'] / 1e6:+.0f} MB "
            f"({result['more_needed_bytes'] / 1e6:+.0f} MB if freed memory is given back)"
        )
    met = all(
        each["time_ratio"]["median"] <= MOST_TIME and each["more_bytes"] <= MOST_BYTES
        for each in found.values()
    )
    report = {
        "command": " ".join(["python", "benchmarks/local_models.py", *sys.argv[1:]]),
        "machine": {**describe_machine(), "diffusers": import_module("diffusers").__version__},
        "load_average": load,
        "video": {**shape, "steps": STEPS},
        "goals": {"time_ratio": MOST_TIME, "more_bytes": MOST_BYTES},
        "families": found,
        "met": met,
    }
    (RESULTS / "diffusers.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
