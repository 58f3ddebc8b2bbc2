"""Measures what `pip install media-agent` puts on disk: `python benchmarks/install.py`.

It is installed without extras into an empty environment. av, which carries its own FFmpeg, is
counted beside the rest; pip and setuptools are not ours. Sizes are of disk blocks, in megabytes
(10^6 bytes); bytecode is what pip compiles while it installs.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from importlib.metadata import Distribution, distributions
from pathlib import Path

from machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
GOAL_MB = 60.0
GOAL_SECONDS = 0.15
_NOT_OURS = ("pip", "setuptools")
_STARTS = 15
_CODE = ("pass", "import media_agent", "from media_agent import VideoClient", "import httpx")


def install(folder: Path) -> Path:
    """Make an environment in `folder`, install into it, and return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    command = [python, "-m", "pip", "install", "--quiet", "--constraint", constraints, ROOT]
    subprocess.run(command, check=True)
    return python


def size(package: Distribution, *, bytecode: bool) -> float:
    """Return the megabytes of a package, as its own list of files says."""
    paths = [Path(str(file.locate())) for file in package.files or ()]
    counted = [path for path in paths if path.exists() and (bytecode or path.suffix != ".pyc")]
    return sum(path.stat().st_blocks * 512 for path in counted) / 1e6


def sizes(python: Path) -> dict[str, dict[str, float]]:
    """Return the megabytes of every package, the largest first."""
    [site] = python.parents[1].glob("lib/python*/site-packages")
    found = {
        package.name: {
            "files_mb": round(size(package, bytecode=False), 2),
            "with_bytecode_mb": round(size(package, bytecode=True), 2),
        }
        for package in distributions(path=[str(site)])
        if package.name not in _NOT_OURS
    }
    return dict(sorted(found.items(), key=lambda each: -each[1]["with_bytecode_mb"]))


def start_seconds(python: Path, folder: Path) -> dict[str, float]:
    """Return the median processor time of an interpreter that runs each line of code."""
    seconds: dict[str, list[float]] = {code: [] for code in _CODE}
    for _ in range(_STARTS):
        for code in _CODE:  # in turns, so that a busy moment hits all alike
            before = children_seconds()
            subprocess.run([python, "-c", code], check=True, cwd=folder)
            seconds[code].append(children_seconds() - before)
    return {code: round(statistics.median(each), 3) for code, each in seconds.items()}


def children_seconds() -> float:
    """Return the processor time of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure() -> dict[str, object]:
    """Install, and return what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        python = install(Path(folder) / "venv")
        seconds = round(time.perf_counter() - began, 1)
        packages = sizes(python)
        starts = start_seconds(python, Path(folder))
    rest = [each for name, each in packages.items() if name != "av"]
    return {
        "machine": describe_machine(),
        "goal": {"without_av_mb": GOAL_MB, "import_over_bare_seconds": GOAL_SECONDS},
        "without_av_mb": {
            kind: round(sum(each[kind] for each in rest), 1)
            for kind in ("files_mb", "with_bytecode_mb")
        },
        "import_over_bare_seconds": round(starts["import media_agent"] - starts["pass"], 3),
        "processor_seconds": starts,
        "install_seconds": seconds,
        "packages": packages,
    }


def main() -> int:
    """Measure, print, and write the result; exit code 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "install.json")
    arguments = parser.parse_args()
    found = measure()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    total, start = found["without_av_mb"], found["import_over_bare_seconds"]
    assert isinstance(total, dict)
    assert isinstance(start, float)
    return int(total["with_bytecode_mb"] > GOAL_MB or start > GOAL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
