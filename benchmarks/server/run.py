"""Measures `media-agent serve` beside LiteLLM's proxy: `make bench-server`.

Both ask the same mock upstream. LiteLLM is installed into .venv-litellm and only run, never
imported. Each number is measured of
both in turn, within the same minute; medians are of several runs. Creating, asking and downloading
is what both do; listeners and many jobs at once are measured of media-agent alone. CPU is that of
the server's process, not of the load.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.machine import describe_machine, load_average
from benchmarks.server.cases import (
    Numbers,
    Subject,
    at_once,
    creates,
    download,
    listeners,
    medians,
    statuses,
)
from benchmarks.server.load import Target, create
from benchmarks.server.programs import (
    LITELLM_KEY,
    Program,
    allow_many_connections,
    litellm,
    media_agent,
    own_folders,
    upstreams,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

RESULTS = HERE.parent / "results" / "server.json"
LITELLM = "litellm[proxy]==1.108.7"
VENV = ROOT / ".venv-litellm"
GOALS = {
    "create at 16": {"cpu_ms": "<= 1.5", "per_second": ">= 3x"},
    "create at 64": {"per_second": "no fall"},
    "status at 16": {"cpu_ms": "<= 0.5", "per_second": ">= 6x"},
    "status at 64": {"per_second": "no fall"},
    "start": {"seconds": "<= 2", "idle_memory_mb": "<= 130"},
    "download": {"first_byte_ms": "< 50", "extra_memory_mb": "< 32", "range_status": "206"},
    "listeners": {"listeners_with_all_events": "1000"},
    "jobs at once": {"slowest_create_s": "< 1", "slowest_status_meanwhile_s": "< 1"},
}
Measure = Callable[[Subject], Awaitable[Numbers]]


def main() -> None:
    """Measure, print a table, and write results/server.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each rate")
    parser.add_argument("--count", type=int, default=300, help="creates in a run; statuses: twice")
    parser.add_argument("--megabytes", type=int, default=200, help="size of the large video")
    parser.add_argument("--venv", type=Path, default=VENV, help="where LiteLLM is")
    parser.add_argument("--alone", action="store_true", help="media-agent only; writes nothing")
    given = parser.parse_args()
    if not given.alone:
        install_litellm(given.venv)
    allow_many_connections()
    began = load_average()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), given))
    result = {
        "command": " ".join(["python -m benchmarks.server.run", *sys.argv[1:]]),
        "machine": describe_machine(),
        "load_average_before": began,
        "litellm": LITELLM,
        "goals": GOALS,
        "load_average_after": load_average(),
        "results": rounded(found),
    }
    if not given.alone:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print_table(found)


def install_litellm(venv: Path) -> None:
    """Make an environment with LiteLLM's proxy, once."""
    if (venv / "bin" / "litellm").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", LITELLM], check=True)


async def measure(folder: Path, given: argparse.Namespace) -> dict[str, dict[str, Numbers]]:
    """Start everything, and return the numbers of each case, by the name of the server."""
    small, large = make_videos(folder, given.megabytes * 1_000_000)
    videos = {"slow": small, "quick": small, "steps": small, "large": large}
    found: dict[str, dict[str, Numbers]] = {}
    with ExitStack() as stack:
        services = upstreams(folder, videos)
        for service in services.values():
            service.ready_at = "/counts"
            _begin(service, stack)
        ports = {name: service.port for name, service in services.items()}
        ours = Subject(*_with_target(media_agent(folder, ports)))
        theirs = Subject(*_with_target(litellm(folder, ports, given.venv), LITELLM_KEY))
        found["start"] = {}
        both = (ours,) if given.alone else (ours, theirs)
        for subject in both:
            found["start"][subject.program.name] = start(subject.program, stack)
        slow = Target(ports["slow"])
        ids = {each.program.name: await create(each.target, "slow") for each in both}

        for in_flight in (16, 64):
            ask = partial(ask_for_status, ids=ids, count=2 * given.count, in_flight=in_flight)
            what = f"status at {in_flight}"
            found[what] = await alternate(what, both, ask, given.repeats)
        size = large.stat().st_size
        found["download"] = await alternate("download", both, partial(fetch, size=size))
        for in_flight in (16, 64):
            make = partial(creates, upstream=slow, count=given.count, in_flight=in_flight)
            what = f"create at {in_flight}"
            found[what] = await alternate(what, both, make, given.repeats)
        for what, our_measure in (
            ("listeners", partial(listeners, model="steps")),
            ("jobs at once", partial(at_once, model="quick")),
        ):
            found[what] = await alternate(what, (ours,), our_measure)
    return found


def start(program: Program, stack: ExitStack) -> Numbers:
    """Start a server; return how long it took until it answered, and what it holds idle."""
    print(f"starting {program.name}", file=sys.stderr)
    _begin(program, stack)
    time.sleep(2)
    return {"seconds": program.start_seconds, "idle_memory_mb": program.memory_mb()}


async def alternate(
    what: str, subjects: tuple[Subject, ...], measure: Measure, repeats: int = 1
) -> dict[str, Numbers]:
    """Measure each server in turn, so many times; return the medians."""
    runs: dict[str, list[Numbers]] = {each.program.name: [] for each in subjects}
    for _ in range(repeats):
        for each in subjects:
            print(f"{what}: {each.program.name}", file=sys.stderr)
            found = await measure(each)
            print(
                json.dumps({name: round(value, 2) for name, value in found.items()}),
                file=sys.stderr,
            )
            runs[each.program.name].append(found)
    return {name: medians(each) for name, each in runs.items()}


async def ask_for_status(
    subject: Subject, *, ids: dict[str, str], count: int, in_flight: int
) -> Numbers:
    """Measure the statuses of the video that a server knows."""
    video_id = ids[subject.program.name]
    return await statuses(subject, video_id, count=count, in_flight=in_flight)


async def fetch(subject: Subject, *, size: int) -> Numbers:
    """Have a large video made, and measure its download."""
    video_id = await create(subject.target, "large")
    await subject.wait_for(video_id)
    return await download(subject, video_id, size)


def make_videos(folder: Path, size: int) -> tuple[Path, Path]:
    """Write a small MP4, and the same one with room that nothing uses, of so many bytes."""
    small, large = folder / "small.mp4", folder / "large.mp4"
    command = [str(Path(sys.executable).with_name("media-agent")), "generate", "a fox"]
    words = ["--model", "sandbox", "--duration", "1", "--out", str(small), "--json"]
    environment = {**os.environ, **own_folders(folder)}
    subprocess.run([*command, *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    content = small.read_bytes()
    free = size - len(content)
    with large.open("wb") as file:
        file.write(content + free.to_bytes(4, "big") + b"free")
        file.truncate(size)
    return small, large


def rounded(found: dict[str, dict[str, Numbers]]) -> dict[str, dict[str, Numbers]]:
    """Return the numbers with two digits behind the point."""
    return {
        case: {
            name: {each: round(value, 2) for each, value in numbers.items()}
            for name, numbers in servers.items()
        }
        for case, servers in found.items()
    }


def print_table(found: dict[str, dict[str, Numbers]]) -> None:
    """Print each number of both servers, with the goal where there is one."""
    print(f"{'':40}{'media-agent':>14}{'LiteLLM':>14}  goal")
    for case, numbers in found.items():
        theirs = numbers.get("LiteLLM", {})
        for name, value in numbers["media-agent"].items():
            other = f"{theirs[name]:.2f}" if name in theirs else ""
            goal = GOALS.get(case, {}).get(name, "")
            print(f"{f'{case}: {name}':40}{value:>14.2f}{other:>14}  {goal}")


def _begin(program: Program, stack: ExitStack) -> None:
    stack.callback(program.end)
    program.start()


def _with_target(program: Program, key: str | None = None) -> tuple[Program, Target]:
    return program, Target(program.port, key)


if __name__ == "__main__":
    main()
