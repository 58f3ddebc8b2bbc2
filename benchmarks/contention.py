"""Measures what a busy neighbour costs a video of magi/tiny: `make bench-contention`.

The same video is made alternately on an otherwise idle machine and beside another process that
keeps one core busy, each in a process of its own. Per pair the ratios of CPU seconds and of wall
time are taken, and the median over the pairs is said. With --against N, pairs compare N threads
with one instead, both without the neighbour.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from machine import describe_machine, load_average

PROMPT = "a red circle moving right on a black background"
BUSY = "while True: pass"


class Spent(NamedTuple):
    """Seconds of CPU and of wall clock that one video took."""

    cpu: float
    wall: float


def main() -> None:
    """Measure the pairs, print each and the median ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the video")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--against", type=int, help="compare this number of threads with one")
    arguments = parser.parse_args()
    machine = describe_machine()
    print(f"{machine['cpu']}, {machine['cores']} cores, load before {load_average()}")
    ratios = [pair(arguments.seconds, arguments.against) for _ in range(arguments.pairs)]
    what = "a busy neighbour" if arguments.against is None else f"{arguments.against} threads"
    cpu = statistics.median(ratio.cpu for ratio in ratios)
    wall = statistics.median(ratio.wall for ratio in ratios)
    print(f"{what}, median of {len(ratios)}: CPU x{cpu:.2f}, wall x{wall:.2f}")


def pair(seconds: float, against: int | None) -> Spent:
    """Return what the second of two videos took, over the first."""
    first = video(seconds)
    if against is None:
        with busy_core():
            second = video(seconds)
    else:
        second = video(seconds, threads=against)
    print(f"  CPU {first.cpu:.1f} s, then {second.cpu:.1f} s;", end=" ")
    print(f"wall {first.wall:.1f} s, then {second.wall:.1f} s")
    return Spent(second.cpu / first.cpu, second.wall / first.wall)


def video(seconds: float, threads: int | None = None) -> Spent:
    """Make one video with the command, as a person would."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("MEDIA_AGENT_") and name != "OMP_NUM_THREADS"
        }
        environment |= {"MEDIA_AGENT_DATA_DIR": folder, "MEDIA_AGENT_CONFIG": f"{folder}/none.toml"}
        if threads is not None:
            environment["MEDIA_AGENT_THREADS"] = str(threads)
        command = str(Path(sys.executable).with_name("media-agent"))
        length, out = f"{seconds:g}", f"{folder}/video.mp4"
        words = [command, "generate", PROMPT, "--duration", length, "--seed", "0", "--out", out]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(words, env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(cpu, time.monotonic() - began)


@contextmanager
def busy_core() -> Iterator[None]:
    """Let another process keep one core busy.

    It is waited for only after the measurement, so that its seconds are not counted as the video's.
    """
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
