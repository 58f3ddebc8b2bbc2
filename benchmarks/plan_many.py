"""Measures a plan over 150 models, made as by `media-agent plan`: `python benchmarks/plan_many.py`.

The backends are the installed ones with keys that open nothing, some of them twice under another
name until there are 150 models; a prompt is planned over all of them, the five best and the best of
each backend in full. Nothing is sent. Times are of the processor. A yardstick, a fixed loop, says
how fast the machine was meanwhile: a busy neighbour makes both slower.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine import describe_machine, load_average
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.router import Router
from media_agent_schemas.request import Routing, VideoRequest

MODELS, BEST, GOAL_MS = 150, 5, 5.0
REQUESTS = {
    f"{seconds} s, {prefer}": VideoRequest(
        prompt="a fox in snow", duration=seconds, routing=Routing(prefer=prefer)
    )
    for seconds in (5, 60)
    for prefer in ("local-first", "cheapest")
}


def make_router(folder: Path) -> tuple[Router, int]:
    """Return a router over at least 150 models, and how many they are."""
    registry = Registry.discover()
    kinds = [name for name, spec in registry.specs.items() if spec.key_variables and spec.catalogue]
    backends: dict[str, VideoBackend] = {}
    models = copies = 0
    while models < MODELS:
        for kind in kinds:
            name = kind if copies == 0 else f"{kind}-{copies + 1}"
            settings = BackendSettings(data_dir=folder, key=SecretStr("none"), name=name)
            backends[name] = Registry(kinds={name: kind}).create(name, settings)
            models += len(backends[name].capabilities().models)
            if models >= MODELS:
                break
        copies += 1
    return Router(backends, Catalogue.load(registry.specs), draw_seed=lambda: 7), models


def milliseconds(call: Callable[[], object], repeats: int) -> list[float]:
    """Return how long a call takes, once per repeat."""
    call()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        times.append(1000 * (time.process_time() - began))
    return times


def yardstick() -> int:
    """Do the same work every time."""
    counts: dict[int, int] = {}
    for number in range(20_000):
        counts[number % 97] = counts.get(number % 97, 0) + number
    return len(counts)


def main() -> None:
    """Measure and print; the exit code says whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100, help="plans per request")
    repeats = parser.parse_args().repeats
    load = load_average()
    with tempfile.TemporaryDirectory() as folder:
        router, models = make_router(Path(folder))
        runs = {
            name: milliseconds(lambda each=each: router.report(each, best=BEST), repeats)  # type: ignore[misc]
            for name, each in REQUESTS.items()
        }
        ruler = statistics.median(milliseconds(yardstick, repeats))
    machine = describe_machine()
    print(f"{machine['cpu']}, {machine['cores']} cores, load {load}, yardstick {ruler:.2f} ms")
    for name, times in runs.items():
        middle, least = statistics.median(times), min(times)
        print(f"{models} models, {name}: median {middle:.2f} ms, least {least:.2f} ms of CPU")
    sys.exit(statistics.median(next(iter(runs.values()))) > GOAL_MS)


if __name__ == "__main__":
    main()
