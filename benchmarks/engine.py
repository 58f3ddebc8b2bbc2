"""Measures magi/tiny end to end, through the public client: `make bench`.

A video is what a caller gets: planned, generated, decoded, encoded, collected, probed and recorded.
Each repeat runs in a process of its own, makes one short video to load and warm everything, then
the video that counts. Medians over the repeats, with the smallest and the largest.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from machine import describe_machine, load_average

RESULTS = Path(__file__).parent / "results"
PROMPTS = (
    "a red circle moving right on a black background",
    "a green square moving down on a navy background",
    "a yellow triangle moving up and left on a gray background",
)
FPS = 24.0
MEASURES = {  # name -> (unit, digits, what it is)
    "video_fps": ("frames/s", 1, "whole video, from the call to the record on disk"),
    "real_time_factor": ("x", 2, "the same over 24 frames per second"),
    "steady_fps": ("frames/s", 1, "from the first finished chunk to the last"),
    "first_chunk_seconds": ("s", 3, "from the call to the first finished chunk, model loaded"),
    "chunk_seconds": ("s", 3, "between finished chunks, median within a video"),
    "cold_first_chunk_seconds": ("s", 3, "the same in a fresh process: torch and weights loaded"),
    "peak_memory_mb": ("MB", 0, "largest resident size of that process"),
    "import_seconds": ("s", 3, "import media_agent.client, over a bare Python"),
    "schemas_import_seconds": ("s", 3, "import media_agent_schemas, over a bare Python"),
    "help_seconds": ("s", 3, "media-agent --help, wall clock"),
}
Summary = dict[str, dict[str, float]]


def main() -> None:
    """Measure, print the table, write results/NAME.json and results/NAME.md."""
    arguments = read_arguments()
    if arguments.video:
        print(json.dumps(measure_video(arguments.model, arguments.seconds, arguments.option)))
        return
    load = load_average()
    videos = []
    for number in range(arguments.repeats):
        videos.append(measure_in_process(arguments))
        fps = videos[-1]["video_fps"]
        print(f"video {number + 1} of {arguments.repeats}: {fps:.1f} frames/s", file=sys.stderr)
    runs = {name: [video[name] for video in videos] for name in videos[0]}
    runs |= start_times(arguments.repeats)
    result = {
        "command": " ".join(["python", "benchmarks/engine.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "model": arguments.model,
        "video_seconds": arguments.seconds,
        "repeats": arguments.repeats,
        "options": arguments.option,
        "threads": os.environ.get("MEDIA_AGENT_THREADS", "1, as media-agent chooses"),
        "load_before": load,
        "machine": describe_machine(),
        "measures": {name: summarize(runs[name]) for name in MEASURES},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{arguments.name}.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    (RESULTS / f"{arguments.name}.md").write_text(page(result), "utf-8")
    print(page(result))


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="magi/tiny")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of the video")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--name", default="engine", help="of the files in benchmarks/results")
    parser.add_argument("--video", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_in_process(arguments: argparse.Namespace) -> dict[str, float]:
    """Run `measure_video` in a fresh interpreter."""
    command = [sys.executable, __file__, "--video", "--model", arguments.model]
    command += ["--seconds", str(arguments.seconds)]
    for option in arguments.option:
        command += ["--option", option]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure_video(model: str, seconds: float, options: list[str]) -> dict[str, float]:
    """Make a warming video and one that counts, and time the latter."""
    from media_agent.config.settings import load_settings
    from media_agent.sync import BlockingVideoClient
    from media_agent_schemas.events import ChunkReady, JobEvent
    from media_agent_schemas.jobs import JobStatus
    from media_agent_schemas.request import Shot, VideoRequest

    def video(length: float) -> tuple[int, float, list[float]]:
        """Return frames, seconds in all, and when each chunk was ready."""
        shots = tuple(Shot(prompt=text, duration=length / len(PROMPTS)) for text in PROMPTS)
        chosen = {name: json.loads(value) for name, _, value in (o.partition("=") for o in options)}
        request = VideoRequest(
            shots=shots, seed=1, fps=FPS, model=model, options={model.split("/")[0]: chosen}
        )
        ready: list[float] = []

        def note(event: JobEvent) -> None:
            if isinstance(event.event, ChunkReady):
                ready.append(time.perf_counter() - began)

        began = time.perf_counter()
        job = client.generate(request, on_event=note)
        took = time.perf_counter() - began
        if job.status is not JobStatus.COMPLETED:
            sys.exit(f"the video is {job.status}: {job.error}")
        return job.frames_ready, took, ready

    with (
        tempfile.TemporaryDirectory() as folder,
        BlockingVideoClient(settings=load_settings(data_dir=Path(folder))) as client,
    ):
        _, _, cold = video(float(len(PROMPTS)))
        frames, took, ready = video(seconds)
    gaps = [later - earlier for earlier, later in pairwise(ready)]
    first_chunk_frames = frames / len(ready)
    return {
        "video_fps": frames / took,
        "real_time_factor": frames / took / FPS,
        "steady_fps": (frames - first_chunk_frames) / (ready[-1] - ready[0]),
        "first_chunk_seconds": ready[0],
        "chunk_seconds": statistics.median(gaps),
        "cold_first_chunk_seconds": cold[0],
        "peak_memory_mb": peak_memory_bytes() / 1e6,
    }


def start_times(repeats: int) -> dict[str, list[float]]:
    """Time imports over a bare interpreter, and the help of the command line."""
    bare = [python_seconds("pass") for _ in range(repeats)]
    floor = statistics.median(bare)
    command = [str(Path(sys.executable).parent / "media-agent"), "--help"]
    return {
        "import_seconds": [
            python_seconds("import media_agent.client") - floor for _ in range(repeats)
        ],
        "schemas_import_seconds": [
            python_seconds("import media_agent_schemas") - floor for _ in range(repeats)
        ],
        "help_seconds": [
            seconds_of(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))
            for _ in range(repeats)
        ],
    }


def python_seconds(code: str) -> float:
    """Return the wall clock time of a fresh interpreter that runs `code`."""
    return seconds_of(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, kilobytes here


def summarize(values: list[float]) -> dict[str, float]:
    """Return median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def page(result: dict[str, object]) -> str:
    """Return the result as a page."""
    machine, measures = result["machine"], result["measures"]
    assert isinstance(machine, dict)
    assert isinstance(measures, dict)
    lines = [
        f"# {result['model']}, end to end",
        "",
        f"`{result['command']}` on {result['date']}; {result['repeats']} repeats, "
        f"a video of {result['video_seconds']:g} s each, in a process of its own. "
        f"Threads: {result['threads']}. Load before: {result['load_before']}.",
        "",
        "Machine: " + ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        "",
        "| measure | median | min | max | unit | what it is |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (unit, digits, meaning) in MEASURES.items():
        numbers = (f"{measures[name][key]:.{digits}f}" for key in ("median", "min", "max"))
        lines.append(f"| {name} | {' | '.join(numbers)} | {unit} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
