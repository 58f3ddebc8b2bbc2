"""Measures magi/tiny end to end, through the public client: `make bench`.

A video is what a caller gets: planned, generated, decoded, encoded, collected, probed and recorded.
Each repeat runs in a process of its own, makes one short video to load and warm everything, then
the video that counts. Medians over the repeats, with the smallest and the largest. With --before
the same is measured of an earlier commit, in turn, in the same run; with --only-videos the time to
start a program is left out.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
    "cpu_fps": ("frames/s", 1, "frames by seconds of CPU, of all threads"),
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
    with contextlib.ExitStack() as stack:
        trees = [None]
        if arguments.before is not None:
            trees.insert(0, stack.enter_context(checked_out(arguments.before)))
        by_tree: list[list[dict[str, float]]] = [[] for _ in trees]
        for number in range(arguments.repeats):
            for tree, measured in zip(trees, by_tree, strict=True):
                measured.append(measure_in_process(arguments, tree))
                name = "now" if tree is None else arguments.before
                print(
                    f"video {number + 1} of {arguments.repeats}, {name}: "
                    f"{measured[-1]['video_fps']:.1f} frames/s, "
                    f"{measured[-1]['cpu_fps']:.1f} by CPU",
                    file=sys.stderr,
                )
    videos = by_tree[-1]
    runs = {name: [video[name] for video in videos] for name in videos[0]}
    if not arguments.only_videos:
        runs |= start_times(arguments.repeats)
    result = {
        "command": " ".join(["python", "benchmarks/engine.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "model": arguments.model,
        "video_seconds": arguments.seconds,
        "repeats": arguments.repeats,
        "options": arguments.option,
        "threads": os.environ.get("MEDIA_AGENT_THREADS", "as media-agent chooses"),
        "load_before": load,
        "machine": describe_machine(),
        "measures": {name: summarize(runs[name]) for name in MEASURES if name in runs},
    }
    if arguments.before is not None:
        result["before"] = {"commit": arguments.before, "ratios": ratios(by_tree[0], videos)}
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
    parser.add_argument("--before", metavar="COMMIT", help="measure this one too, in turn")
    parser.add_argument("--only-videos", action="store_true", help="leave out how programs start")
    parser.add_argument("--name", default="engine", help="of the files in benchmarks/results")
    parser.add_argument("--video", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Check a commit out beside this checkout while the context is open."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "before"
        git = ["git", "-C", str(root), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def ratios(
    before: list[dict[str, float]], now: list[dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Return how many times the frames there are now, of neighbours in time, by wall and CPU."""
    return {
        name: summarize([b[name] / a[name] for a, b in zip(before, now, strict=True)])
        for name in ("video_fps", "cpu_fps")
    }


def measure_in_process(arguments: argparse.Namespace, tree: Path | None = None) -> dict[str, float]:
    """Run `measure_video` in a fresh interpreter, with the packages of a tree if one is given."""
    environment = dict(os.environ)
    if tree is not None:
        parts = [tree, *(tree / name for name in ("backends", "adapters", "schemas"))]
        environment["PYTHONPATH"] = os.pathsep.join(map(str, parts))
    command = [sys.executable, __file__, "--video", "--model", arguments.model]
    command += ["--seconds", str(arguments.seconds)]
    for option in arguments.option:
        command += ["--option", option]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure_video(model: str, seconds: float, options: list[str]) -> dict[str, float]:
    """Make a warming video and one that counts, and time the latter."""
    from media_agent.config.settings import load_settings
    from media_agent.sync import BlockingVideoClient
    from media_agent_schemas.events import ChunkReady, JobEvent
    from media_agent_schemas.jobs import JobStatus
    from media_agent_schemas.request import Shot, VideoRequest

    def video(length: float) -> tuple[int, float, float, list[float]]:
        """Return frames, seconds in all, of CPU, and when each chunk was ready."""
        shots = tuple(Shot(prompt=text, duration=length / len(PROMPTS)) for text in PROMPTS)
        chosen = {name: json.loads(value) for name, _, value in (o.partition("=") for o in options)}
        request = VideoRequest(
            shots=shots, seed=1, fps=FPS, model=model, options={model.split("/")[0]: chosen}
        )
        ready: list[float] = []

        def note(event: JobEvent) -> None:
            if isinstance(event.event, ChunkReady):
                ready.append(time.perf_counter() - began)

        began, cpu = time.perf_counter(), time.process_time()
        job = client.generate(request, on_event=note)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        if job.status is not JobStatus.COMPLETED:
            sys.exit(f"the video is {job.status}: {job.error}")
        return job.frames_ready, took, cpu, ready

    with (
        tempfile.TemporaryDirectory() as folder,
        BlockingVideoClient(settings=load_settings(data_dir=Path(folder))) as client,
    ):
        *_, cold = video(float(len(PROMPTS)))
        frames, took, cpu, ready = video(seconds)
    gaps = [later - earlier for earlier, later in pairwise(ready)]
    first_chunk_frames = frames / len(ready)
    return {
        "video_fps": frames / took,
        "cpu_fps": frames / cpu,
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
        if name not in measures:
            continue
        numbers = (f"{measures[name][key]:.{digits}f}" for key in ("median", "min", "max"))
        lines.append(f"| {name} | {' | '.join(numbers)} | {unit} | {meaning} |")
    before = result.get("before")
    if isinstance(before, dict):
        lines += ["", f"Against commit {before['commit']}, in turn in the same run:", ""]
        lines += [
            f"* {MEASURES[name][2]}: {ratio['median']:.2f} times the frames per second "
            f"({ratio['min']:.2f} to {ratio['max']:.2f})"
            for name, ratio in before["ratios"].items()
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
