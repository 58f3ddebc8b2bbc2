"""Is an endless video as cheap at its end as at its start? `make bench-engine`.

Curves: 600 chunks of magi/tiny and of a model of 41 million random weights, decoded and thrown
away: resident memory and seconds of every chunk, in a process for each. The machine's own speed
changes in minutes: a forward of fixed input beside every chunk is the yardstick, and relative times
are those over it. While memory is measured, what is freed goes back at once
(MALLOC_MMAP_THRESHOLD_), so that peaks are what is needed, not what the allocator has not given
back yet; that costs half of the speed, so that time is measured without it. Reference: the same
videos by the algorithm of the published code (benchmarks/published.py), pixels at the end. Its
latents must equal ours, or the comparison does not count. First chunk: with the growing window,
over a steady chunk. Ratios are of one run; times are medians.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.endless.judge import OURS, THEIRS, draw, judge
from benchmarks.endless.measure import MEASURES
from benchmarks.machine import describe_machine, load_average

Rows = dict[str, list[float]]

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
COMPARED = {
    "tiny": [(10, "tiny"), (60, "tiny"), (600, "tiny"), (10, "released")],
    "medium": [(10, "tiny"), (60, "tiny"), (10, "released")],
}


def run_in_process(measure: str, *arguments: str | int) -> Any:
    """Measure in a fresh interpreter, and say so."""
    print(measure, *arguments, "...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.endless.run", "--measure", measure]
    command += map(str, arguments)
    given = {"MALLOC_MMAP_THRESHOLD_": "131072"} if measure == "memory" else {}
    environment = {**os.environ, **given}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment, cwd=ROOT
    )
    return json.loads(done.stdout)


def measure_curves(names: tuple[str, ...], chunks: int) -> dict[str, Rows]:
    """Measure time and memory of each chunk of models, each in a process of its own."""
    return {
        name: {
            **run_in_process("times", name, chunks),
            "megabytes": run_in_process("memory", name, chunks)["megabytes"],
        }
        for name in names
    }


def measure_causal(load: float | None, chunks: int) -> None:
    """Measure the causal model, write results/endless-causal.json and .png."""
    curves = measure_curves(("causal",), chunks)
    result = {**facts(load), "curves": {name: judge(rows) for name, rows in curves.items()}}
    (RESULTS / "endless-causal.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    draw(panels_of(curves), RESULTS / "endless-causal.png")
    print(json.dumps(result["curves"], indent=1))


def facts(load: float | None) -> dict[str, Any]:
    """Return what a result begins with."""
    return {
        "command": " ".join(["python", "-m", "benchmarks.endless.run", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "load_before": load,
        "machine": describe_machine(),
    }


def panels_of(curves: dict[str, Rows]) -> dict[str, Rows]:
    """Return what is drawn of each model: memory and time of its chunks."""
    panels = {}
    for name, rows in curves.items():
        panels[f"{name}: MB, peak of each chunk"] = {OURS: rows["megabytes"]}
        panels[f"{name}: seconds a chunk"] = {OURS: rows["seconds"]}
    return panels


def main() -> None:
    """Measure everything, write results/endless.json and results/endless.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=600)
    parser.add_argument("--causal", action="store_true", help="curves of a causal Wan model alone")
    parser.add_argument("--repeats", type=int, default=7, help="videos of first chunks")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure, name, number, *rest = arguments.measure
        print(json.dumps(MEASURES[measure](name, int(number), *rest)))
        return
    load = load_average()
    if arguments.causal:
        measure_causal(load, arguments.chunks)
        return
    curves = measure_curves(("tiny", "medium"), arguments.chunks)
    compared = {
        name: [run_in_process("compare", name, *asked) for asked in asked_of_both]
        for name, asked_of_both in COMPARED.items()
    }
    chunk_seconds = [row.pop("chunk_seconds") for rows in compared.values() for row in rows]
    longest = max(chunk_seconds, key=lambda lines: len(lines["ours"]))
    result = {
        **facts(load),
        "curves": {name: judge(rows) for name, rows in curves.items()},
        "against_the_reference": compared,
        "first_chunk": {
            name: run_in_process("first_chunk", name, arguments.repeats)
            for name in ("tiny", "medium")
        },
    }
    (RESULTS / "endless.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    panels = panels_of(curves)
    panels["tiny: seconds a chunk, red ours, blue the published algorithm"] = {
        THEIRS: longest["reference"],
        OURS: longest["ours"],
    }
    draw(panels, RESULTS / "endless.png")
    print(json.dumps({key: result[key] for key in list(result)[4:]}, indent=1))


if __name__ == "__main__":
    main()
