"""How near the router that learns comes to an oracle; see `make bench-router`.

    python -m benchmarks.router.run                 # all of it
    python -m benchmarks.router.run --seeds 4 --kinds drift calm
    python -m benchmarks.router.run --unlisted --out DIR   # no times in our catalogue
    python -m benchmarks.router.run --draw          # the table and the plot of the last run again

The constants of `media_agent/routing/learning` were chosen on worlds of the seeds 1001 to 1003;
those below 1000 are for measuring. Of the kinds, `steps` was not looked at before.
"""

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path

from benchmarks.router.rules import (
    EXPLORING,
    LEARNED,
    ORACLE,
    RULES,
    STATIC,
    UNLISTED,
    USD_PER_SECOND,
)
from benchmarks.router.show import draw_plot, format_tables
from benchmarks.router.simulate import simulate
from benchmarks.router.world import KINDS, build_world

_RESULTS = Path(__file__).parents[1] / "results"
_PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "routing.md"
_BEGIN, _END = "<!-- begin of make bench-router -->", "<!-- end of make bench-router -->"
_T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 10: 2.26, 15: 2.14, 20: 2.09}


def main() -> int:
    """Measure, and write the results after each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no further seed then")
    parser.add_argument("--unlisted", action="store_true", help="no times in our catalogue")
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    options = parser.parse_args()
    if options.unlisted and options.out == _RESULTS:
        parser.error("--unlisted is another table: name a folder for it with --out")
    if not options.draw:
        measure(options)
    found = json.loads((options.out / "router.json").read_text())
    tables = format_tables(found)
    (options.out / "router.md").write_text(tables)
    draw_plot(found, options.out / "router.png")
    if options.out == _RESULTS:
        before, begin, rest = _PAGE.read_text().partition(_BEGIN)
        _, end, after = rest.partition(_END)
        _PAGE.write_text(f"{before}{begin}\n\n{tables}\n{end}{after}")
    sys.stdout.write(tables)
    return 0


def measure(options: argparse.Namespace) -> None:
    """Run every rule through every world; all rules meet the same one."""
    begin, cpu = time.monotonic(), time.process_time()
    rules = UNLISTED if options.unlisted else RULES
    costs: dict[str, dict[str, list[float]]] = {
        kind: {name: [] for name in rules} for kind in options.kinds
    }
    for seed in range(1, options.seeds + 1):
        if time.monotonic() - begin > 60 * options.minutes:
            break
        for kind in options.kinds:
            world = build_world(kind, seed, options.requests)
            for name, rule in rules.items():
                costs[kind][name].append(simulate(world, rule(world)).mean)
        found = {
            "command": "--unlisted" if options.unlisted else "make bench-router",
            "requests": options.requests,
            "seeds": seed,
            "usd_per_second": USD_PER_SECOND,
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "kinds": {kind: summarize(each) for kind, each in costs.items()},
        }
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "router.json").write_text(json.dumps(found, indent=2) + "\n")
        sys.stderr.write(f"seed {seed}: {found['cpu_seconds']} s of CPU\n")


def summarize(costs: dict[str, list[float]]) -> dict[str, object]:
    """Return the mean cost of each rule, and over that of the oracle, with 95 % intervals."""
    oracle = costs[ORACLE]
    rules = {}
    for name, each in costs.items():
        over = [one / best for one, best in zip(each, oracle, strict=True)]
        rules[name] = {
            "usd": _with_interval(each),
            "over_oracle": _with_interval(over),
            "costs": [round(one, 6) for one in each],
        }
    static = [min(each) for each in zip(*(costs[name] for name in STATIC), strict=True)]
    over_static = {
        name: _with_interval([a / b for a, b in zip(costs[name], static, strict=True)])
        for name in (LEARNED, EXPLORING)
    }
    worst = {
        name: max(a / b for a, b in zip(costs[name], static, strict=True))
        for name in (LEARNED, EXPLORING)
    }
    return {"rules": rules, "over_best_static": over_static, "worst_over_best_static": worst}


def _with_interval(values: list[float]) -> dict[str, float | None]:
    """Return the mean, and half of its 95 % interval by Student's t; one value has none."""
    count, half = len(values), None
    if count > 1:
        nearest = max(each for each in _T_95 if each <= count)
        half = round(_T_95[nearest] * statistics.stdev(values) / math.sqrt(count), 5)
    return {"mean": round(statistics.fmean(values), 5), "half_interval": half}


if __name__ == "__main__":
    sys.exit(main())
