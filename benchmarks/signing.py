"""Measures what signing costs: time and memory, for videos of several sizes: `make bench-signing`.

Each video is signed in a process of its own, which says how long that took and by how much its peak
of memory grew. Frames are random bytes, so that the file system cannot make them smaller. The disk
decides much of the wall time of a large file: processor time tells more.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from machine import describe_machine

from media_agent.provenance.c2pa.credentials import find_credentials
from media_agent.provenance.c2pa.manifest import GENERATED
from media_agent.provenance.c2pa.read import read_provenance
from media_agent.provenance.c2pa.sign import sign_file, try_signing
from media_agent.provenance.c2pa.signing import Signing
from media_agent.testing.simulator.videos import write_video

RESULTS = Path(__file__).parent / "results" / "signing.json"
MEGABYTE = 2**20
SIZES = (1, 20, 200, 600)  # MB
RUNS = 5
CREATED = {"action": "c2pa.created", "digitalSourceType": GENERATED}
MANIFEST = {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [CREATED]}}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="in MB")
    parser.add_argument("--folder", type=Path, help="where the videos are written")
    parser.add_argument("--one", type=Path, help="sign this video, and say what it took")
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments.one)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        rows = [measure_size(Path(name), size) for size in arguments.sizes]
    for row in rows:
        print(row)
    RESULTS.write_text(json.dumps({"machine": describe_machine(), "sizes": rows}, indent=2) + "\n")


def measure_size(folder: Path, megabytes: int) -> dict[str, float]:
    """Return the medians of several runs, each in a process of its own."""
    video = folder / "video.mp4"
    write_large(video, megabytes * MEGABYTE)
    words = [sys.executable, __file__, "--one", str(video)]
    runs = []
    for _ in range(RUNS):
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        runs.append(json.loads(said))
    medians = {name: round(float(np.median([run[name] for run in runs])), 4) for name in runs[0]}
    return {"megabytes": megabytes, **medians}


def write_large(path: Path, size: int) -> None:
    """Write a short video that has a box of random frames behind it."""
    write_video(path, np.zeros((24, 64, 64, 3), np.uint8), fps=24)
    with path.open("ab") as file:
        file.write((size + 8).to_bytes(4, "big") + b"mdat")
        for _ in range(size // MEGABYTE):
            file.write(os.urandom(MEGABYTE))


def measure(video: Path) -> dict[str, float]:
    """Sign a video, after one of a pixel: what is loaded once does not count."""
    credentials = find_credentials(
        Signing(policy="try", folder=video.parent / "certificate"), datetime.now(UTC)
    )
    started = time.perf_counter()
    try_signing(credentials)
    first = time.perf_counter() - started
    target, before = video.with_name("signed.mp4"), peak()
    wall, cpu = time.perf_counter(), time.process_time()
    sign_file(video, target, MANIFEST, (), credentials)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    added = peak() - before
    reading = time.process_time()
    report = read_provenance(target)
    reading = time.process_time() - reading
    if report.state != "valid":
        raise SystemExit(f"{video}: {report}")
    return {
        "first_seconds": first,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "added_peak_megabytes": added,
        "added_bytes": target.stat().st_size - video.stat().st_size,
        "cpu_seconds_to_read": reading,
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
