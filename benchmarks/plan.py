"""Measures how long a plan takes: `python benchmarks/plan.py`.

Five candidates of five natures are planned, priced, ranked and explained, as `media-agent plan`
does after it has started: the backends are there, the catalogue is read. Nothing is sent. Times
are of the processor, so that other work on the machine does not count.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine, load_average
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.router import Router
from media_agent_schemas.plan import PlanReport
from media_agent_schemas.request import Routing, Shot, VideoRequest

RESULTS = Path(__file__).parent / "results"
MODELS = (
    "sandbox/slate",
    "fal/fal-ai/magi",
    "fal/fal-ai/wan/v2.7/text-to-video",
    "fal/fal-ai/kling-video/v3/standard/text-to-video",
    "fal/fal-ai/ltx-2.3/text-to-video",
)
GOAL_MS = 5.0
REQUESTS = {
    "five seconds": VideoRequest(prompt="a fox runs through snow", duration=5),
    "ten minutes": VideoRequest(prompt="a fox runs through snow", duration=600),
    "a storyboard of six shots": VideoRequest(
        shots=tuple(Shot(prompt=f"a fox, view {number}", duration=9) for number in range(6))
    ),
}


def make_router(folder: Path) -> tuple[Router, float]:
    """Return a router over the real backends, and the milliseconds until it was there."""
    began = time.perf_counter()
    registry = Registry.discover()
    backends: dict[str, VideoBackend] = {}
    for name in sorted({model.partition("/")[0] for model in MODELS}):
        settings = BackendSettings(data_dir=folder, key=SecretStr("none"))
        backends[name] = registry.create(name, settings)
    router = Router(backends, Catalogue.load(registry.specs), draw_seed=lambda: 7)
    return router, 1000 * (time.perf_counter() - began)


def only_five(request: VideoRequest, router: Router) -> list[PlanReport]:
    """Plan each of the five by itself, as naming a model does; the sum is what is measured."""
    return [router.report(request.model_copy(update={"model": model})) for model in MODELS]


def milliseconds(request: VideoRequest, router: Router, repeats: int) -> list[float]:
    """Return how long the five candidates took, once per repeat."""
    only_five(request, router)
    times = []
    for _ in range(repeats):
        began = time.process_time()
        reports = only_five(request, router)
        times.append(1000 * (time.process_time() - began))
        assert all(report.chosen is not None for report in reports)
    return times


def main() -> None:
    """Measure, print, write results/plan.json, and say by the exit code if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200, help="plans per request")
    repeats = parser.parse_args().repeats
    load = load_average()
    with tempfile.TemporaryDirectory() as folder:
        router, start = make_router(Path(folder))
        runs = {name: milliseconds(each, router, repeats) for name, each in REQUESTS.items()}
        request = VideoRequest(prompt="a fox", duration=5, routing=Routing(prefer="cheapest"))
        candidates = len(router.report(request).candidates)
    result = {
        "command": " ".join(["python", "benchmarks/plan.py", *sys.argv[1:]]),
        "machine": describe_machine(),
        "load_average": load,
        "goal_ms": GOAL_MS,
        "start_ms": round(start, 1),
        "candidates_in_all": candidates,
        "five_candidates_ms": {
            name: {
                "median": round(statistics.median(times), 2),
                "smallest": round(min(times), 2),
                "largest": round(max(times), 2),
            }
            for name, times in runs.items()
        },
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "plan.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, times in runs.items():
        print(f"{name}: {statistics.median(times):.2f} ms for five candidates")
    sys.exit(statistics.median(runs["five seconds"]) > GOAL_MS)


if __name__ == "__main__":
    main()
