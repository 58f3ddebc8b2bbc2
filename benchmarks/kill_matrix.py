"""Kills the process after each step of a job, with each fault upstream: `make kill-matrix`.

The providers are simulators in this process and count what they accepted. Each job is begun in a
process of its own, which kills itself (SIGKILL) after a step; further processes resume it until
it is over. Then RANDOM_KILLS jobs are killed at random moments, up to three times each, by a
published seed. The adapters pause SPEED times shorter than they would, fal times out after
FAL_TIMEOUT; the search for lost replies pauses as it always does. What fal accepted is listed at
once, so that what is not there after FAL_LOOKUP never will be.

`--runner dbos` lets workers do it: each life is a worker of a cluster, with the ledger and its
queue in a database of a private Postgres (installed binaries); the first one queues the job.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pydantic import JsonValue, SecretStr

    from media_agent.backend.protocol import BackendSettings, VideoBackend
    from media_agent.client import VideoClient
    from media_agent.ledger.ledger import Ledger
    from media_agent.testing import Simulator
    from media_agent_schemas.jobs import VideoJob
    from media_agent_schemas.request import VideoRequest

RESULTS = Path(__file__).parent / "results"
RANDOM_KILLS = 50
SEED = 20261130
SPEED = 20.0
FAL_TIMEOUT = 3.0  # seconds
FAL_LOOKUP = 3.0  # seconds
POLL_SECONDS = 0.2
RESOLVED_WITHIN = 60.0  # seconds
LIVES = 5  # processes after the first, at most
JOB = "job"
LOOK_SECONDS = 0.1  # between two looks whether the job of a worker has ended
DRAIN_SECONDS = 1.0

Provider = Literal["fal", "openai-compatible"]
PROVIDERS: tuple[Provider, ...] = ("fal", "openai-compatible")
OPTIONS: dict[Provider, dict[str, "JsonValue"]] = {
    "fal": {
        "timeout_seconds": FAL_TIMEOUT,
        "poll_seconds": POLL_SECONDS,
        "lookup_seconds": FAL_LOOKUP,
    },
    "openai-compatible": {
        "server": "vllm-omni",
        "poll_seconds": POLL_SECONDS,
    },  # whose list shows which video is whose
}
STEPS = ("plan", "intent", "submit", "ref", "observe", "collect", "record", "finish")
UPSTREAM = {
    "refused": "*:refuse",
    "500 after accept": "submit:status,status=500,accepts=true",
    "closed after accept": "submit:close_after_accept",
    "stall": "submit:stall",
    "429 with Retry-After": "submit:status,status=429,retry_after=1",
    "garbage": "submit:garbage",
}
AT_RANDOM = "random"  # the step of a cell that is killed at random moments
SEARCH, REF = "searched", "found"  # files with the time of the first


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the matrix; no step: nobody is killed."""

    provider: Provider
    upstream: str
    step: str | None
    kills: tuple[float, ...] = ()
    """Seconds after which each of its first lives is killed, where that is at random."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the job of a cell."""

    cell: Cell
    status: str
    next_step: str | None
    accepted: int
    lookup: str
    reply_lost: bool
    resolved_seconds: float | None  # from the first search for it to a known reference
    was_killed: bool
    lives: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether it kept the promises: paid once at most, and ended or said what to do."""
        ended = self.status in ("completed", "failed")
        said = self.status == "outcome_unknown" and bool(self.next_step)
        return self.accepted <= 1 and (ended or said)

    @property
    def is_resolved(self) -> bool:
        """Whether a lost reply was made good in time."""
        return self.resolved_seconds is not None and self.resolved_seconds <= RESOLVED_WITHIN


def all_cells() -> list[Cell]:
    """Return the whole matrix, and a column in which nobody is killed."""
    return [
        Cell(provider, upstream, step)
        for provider in PROVIDERS
        for upstream in UPSTREAM
        for step in (*STEPS, None)
    ]


def random_cells(longest: float, count: int = RANDOM_KILLS, seed: int = SEED) -> list[Cell]:
    """Return jobs that are killed one to three times, at moments up to `longest` seconds."""
    draw = random.Random(seed)
    return [
        Cell(
            PROVIDERS[number % len(PROVIDERS)],
            draw.choice([*UPSTREAM]),
            AT_RANDOM,
            tuple(round(draw.uniform(0.05, longest), 3) for _ in range(draw.randint(1, 3))),
        )
        for number in range(count)
    ]


def run_cell(
    cell: Cell, folder: Path, runner: str = "inline", ledger_url: "SecretStr | None" = None
) -> Outcome:
    """Play one cell; the simulator listens in this process."""
    from media_agent.ledger.ledger import Ledger
    from media_agent.testing.simulator.faults import Fault

    began = time.monotonic()
    with make_simulator(cell.provider, [Fault.parse(UPSTREAM[cell.upstream])]) as simulator:
        kills = list(cell.kills)
        scene = Scene(folder, cell.provider, simulator.url, ledger_url)
        work = RUNNERS[runner].work
        first = live(work, scene, cell.step, kill_after=_next(kills))
        ledger = Ledger(folder / "data" / "ledger.sqlite", url=ledger_url)
        lives = 0
        while True:
            job = find_job(ledger)
            if (job is not None and job.status.is_terminal) or lives == LIVES:
                break
            lives += 1
            resumes = job is not None  # else it died before the job was kept
            live(work, scene, None, resumes=resumes, kill_after=_next(kills))
        ledger.close()
        accepted = simulator.accepted
    assert job is not None
    lost = (folder / SEARCH).exists()
    found = lost and job.ref is not None
    return Outcome(
        cell=cell,
        status=job.status.value,
        next_step=None if job.error is None else job.error.hint,
        accepted=accepted,
        lookup=find_lookup(cell.provider),
        reply_lost=accepted > 0 and (lost or job.ref is None),
        resolved_seconds=round(read_note(folder, REF) - read_note(folder, SEARCH), 3)
        if found
        else None,
        was_killed=first == -signal.SIGKILL,
        lives=1 + lives,
        seconds=round(time.monotonic() - began, 2),
    )


def find_job(ledger: "Ledger") -> "VideoJob | None":
    """Return the job as it stands; None: its process died before it was kept."""
    from media_agent.errors import JobNotFoundError

    try:
        return ledger.jobs.get(JOB)
    except JobNotFoundError:
        return None


def _next(kills: list[float]) -> float | None:
    return kills.pop(0) if kills else None


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the lives of a job take place."""

    folder: Path
    provider: Provider
    url: str
    ledger_url: "SecretStr | None"
    """None: a file in the folder."""


Work = Callable[[Scene, "str | None", bool], None]
"""What a process does: begin the job of a scene or resume it, and die after a step."""


def live(
    work: Work,
    scene: Scene,
    step: str | None,
    *,
    resumes: bool = False,
    kill_after: float | None = None,
) -> int | None:
    """Let one process work on the job until it ends or is killed; return its exit code."""
    process = _CONTEXT.Process(target=work, args=(scene, step, resumes))
    process.start()
    process.join(kill_after)
    process.kill()  # harmless where it has ended
    process.join()
    return process.exitcode


def work_inline(scene: Scene, step: str | None, resumes: bool) -> None:
    """Begin or resume the job in this process."""
    from media_agent.errors import MediaAgentError

    async def life() -> None:
        async with open_client(scene, step) as client:
            if resumes:
                await client.resume(JOB)
                return
            await client.generate(make_request(), out=scene.folder / "video.mp4", job_id=JOB)

    try:
        asyncio.run(life())
    except MediaAgentError as error:
        raise SystemExit(str(error)) from error


def work_as_worker(scene: Scene, step: str | None, resumes: bool) -> None:
    """Queue the job unless it is to be resumed, and serve its queue until it has ended."""
    from media_agent.cluster.worker import Drain

    async def life() -> None:
        if not resumes:
            async with open_client(scene, None, runner="dbos") as client:
                await client.start(make_request(), out=scene.folder / "video.mp4", job_id=JOB)
        drain = Drain(asyncio.Event(), seconds=DRAIN_SECONDS)
        async with open_client(scene, step) as client:
            serving = client.work_queues((scene.provider,), drain, say=lambda said: None)
            task = asyncio.create_task(serving)
            while not task.done() and not (await client.get(JOB)).status.is_terminal:
                await asyncio.wait([task], timeout=LOOK_SECONDS)
            drain.asked.set()
            await task

    asyncio.run(life())


@dataclass(frozen=True, slots=True)
class Runner:
    """A way to let one life of a job pass."""

    work: Work
    longest_life: float
    """Seconds until a random kill, at most: about three times what an untroubled life takes."""
    needs_postgres: bool = False


RUNNERS = {
    "inline": Runner(work_inline, longest_life=3.0),
    "dbos": Runner(work_as_worker, longest_life=10.0, needs_postgres=True),
}


def make_request() -> "VideoRequest":
    """Return what is asked for in each cell."""
    from media_agent_schemas.request import VideoRequest

    return VideoRequest(prompt="a red kite over a lake", seed=7)


def open_client(scene: Scene, step: str | None, *, runner: str = "inline") -> "VideoClient":
    """Return a client that dies without a word after `step`, and notes when work was found."""

    def checkpoint(reached: str) -> None:
        if reached == "ref":
            note(scene.folder, REF)
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    more = {} if scene.ledger_url is None else {"ledger": scene.ledger_url}
    more |= {} if runner == "inline" else {"jobs": {"runner": runner}}
    return make_client(scene.folder, scene.provider, scene.url, checkpoint, **more)


def make_client(
    folder: Path, provider: Provider, url: str, checkpoint: object, **more: object
) -> "VideoClient":
    """Return a client whose adapters do not wait for long."""
    from media_agent.backend.protocol import BackendSpec
    from media_agent.client import VideoClient
    from media_agent.config.settings import load_settings
    from media_agent.registry.plugins import Discovery
    from media_agent.registry.registry import Registry

    section = {"base_url": url, "key": "kill-matrix", "options": OPTIONS[provider]}
    spec = BackendSpec(name=provider, factory=partial(make_backend, provider, folder))
    return VideoClient(
        settings=load_settings(
            data_dir=folder / "data",
            config=folder / "none.toml",
            default_backend=provider,
            backends={provider: section},
            **more,
        ),
        registry=Registry(Discovery({provider: spec})),
        checkpoint=checkpoint,  # type: ignore[arg-type]
    )


def make_backend(provider: Provider, folder: Path, settings: "BackendSettings") -> "VideoBackend":
    """Return an adapter with short pauses that notes when it was first asked to search."""
    from media_agent_hosted.providers.fal.backend import FalBackend
    from media_agent_hosted.providers.openai_compatible.backend import OpenAICompatibleBackend

    kind = FalBackend if provider == "fal" else OpenAICompatibleBackend
    backend = kind(settings, sleep=sleep_shortly)
    find = backend.find

    async def noting(request: "VideoRequest", *, key: str, since: datetime) -> object:
        note(folder, SEARCH)
        return await find(request, key=key, since=since)

    backend.find = noting  # type: ignore[method-assign,assignment]
    return backend


def note(folder: Path, name: str) -> None:
    """Write the time into a file, the first time."""
    with suppress(FileExistsError), (folder / name).open("x") as file:
        file.write(str(time.time()))


def read_note(folder: Path, name: str) -> float:
    """Return the time that was written."""
    return float((folder / name).read_text())


async def sleep_shortly(seconds: float) -> None:
    """Sleep a part of the time."""
    await asyncio.sleep(seconds / SPEED)


def make_simulator(provider: Provider, faults: Iterable[object]) -> "Simulator":
    """Return the simulator of a provider."""
    from media_agent_hosted.providers.fal.simulator import FalSimulator
    from media_agent_hosted.providers.openai_compatible.simulator import OpenAISimulator

    if provider == "fal":
        return FalSimulator(faults, lists_unended=True)  # type: ignore[arg-type]
    return OpenAISimulator(faults, flavour="vllm-omni", model="kites")  # type: ignore[arg-type]


def find_lookup(provider: Provider) -> str:
    """Return how the adapter finds work whose reply was lost."""
    from media_agent.backend.protocol import BackendSettings

    settings = BackendSettings(data_dir=Path(), options=OPTIONS[provider])
    return make_backend(provider, Path(), settings).capabilities().lookup


def play(cells: Sequence[Cell], at_once: int, runner: str = "inline") -> list[Outcome]:
    """Play cells, some at the same time, each in a folder, and a database, of its own."""
    with tempfile.TemporaryDirectory() as name, make_databases(runner) as new_database:

        def run(number: int) -> Outcome:
            folder = Path(name, str(number))
            folder.mkdir()
            return run_cell(cells[number], folder, runner, new_database())

        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(run, range(len(cells))))


@contextmanager
def make_databases(runner: str) -> "Iterator[Callable[[], SecretStr | None]]":
    """Give what makes an empty database for the ledger of a cell; None: a file will do."""
    if not RUNNERS[runner].needs_postgres:
        yield lambda: None
        return
    from tests.postgres import PostgresServer, find_binaries

    binaries = find_binaries()
    if binaries is None:
        raise SystemExit("no Postgres is installed: apt-get install postgresql")
    with PostgresServer(binaries) as server:
        yield server.new_database


def summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return the numbers that were promised."""
    searched = [each for each in outcomes if each.reply_lost and each.lookup in ("key", "list")]
    resolved = sum(each.is_resolved for each in searched)
    return {
        "cells": len(outcomes),
        "killed": sum(each.was_killed for each in outcomes),
        "most_accepted_per_intent": max(each.accepted for each in outcomes),
        "ends": dict(Counter(each.status for each in outcomes)),
        "broken_promises": [asdict(each.cell) for each in outcomes if not each.holds],
        "lost_replies_with_lookup": len(searched),
        "resolved_within_60_s": resolved,
        "resolved_share": round(resolved / len(searched), 4) if searched else None,
    }


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the matrix as text: how each job ended, and how often it was accepted."""
    letters = {"completed": "done", "failed": "failed", "outcome_unknown": "unknown"}
    heads = [*STEPS, "(alive)"]
    lines = []
    for provider in PROVIDERS:
        lines.append(f"{provider}: end of the job, submissions accepted, by last step before death")
        lines.append(" " * 22 + "".join(f"{head:>11}" for head in heads))
        for upstream in UPSTREAM:
            row = {
                each.cell.step: f"{letters.get(each.status, each.status)} {each.accepted}"
                for each in outcomes
                if (each.cell.provider, each.cell.upstream) == (provider, upstream)
            }
            said = "".join(f"{row.get(step, '-'):>11}" for step in (*STEPS, None))
            lines.append(f"{upstream:<22}{said}")
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Play the matrix, print it and keep it; return 1 when a promise was broken."""
    from benchmarks.machine import describe_machine

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=4, help="cells played at the same time")
    parser.add_argument("--runner", choices=RUNNERS, default="inline", help="who works")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where the numbers go")
    arguments = parser.parse_args()
    if RUNNERS[arguments.runner].needs_postgres:
        _CONTEXT.set_forkserver_preload([*_PRELOAD, "dbos"])
    began = time.monotonic()
    outcomes = play(all_cells(), arguments.at_once, arguments.runner)
    longest = RUNNERS[arguments.runner].longest_life
    by_chance = play(random_cells(longest), arguments.at_once, arguments.runner)
    numbers = {**summary(outcomes), "seconds": round(time.monotonic() - began, 1)}
    chance = {**summary(by_chance), "seed": SEED}
    print(table(outcomes))
    print(json.dumps({"matrix": numbers, "random": chance}, indent=2))
    content = {
        "machine": describe_machine(),
        "runner": arguments.runner,
        "summary": numbers,
        "random": chance,
        "cells": [asdict(each) for each in outcomes],
        "random_cells": [asdict(each) for each in by_chance],
    }
    name = "kill-matrix" + ("" if arguments.runner == "inline" else f"-{arguments.runner}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(outcomes, arguments.folder / f"{name}.png")
    share = numbers["resolved_share"]
    broken = [*numbers["broken_promises"], *chance["broken_promises"]]  # type: ignore[misc]
    is_found = not isinstance(share, float) or share >= 0.95  # None: no list could prove anything
    return 0 if not broken and is_found else 1


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the matrix as an image: a square for each cell, by how its job ended."""
    from PIL import Image, ImageDraw

    colours = {"completed": "#55a868", "failed": "#8c8c8c", "outcome_unknown": "#dd8452"}
    steps, left, side = (*STEPS, None), 200, 62
    image = Image.new("RGB", (left + side * len(steps), 90 + 26 * len(PROVIDERS) * 7), "white")
    pen, top = ImageDraw.Draw(image), 40
    for number, (status, colour) in enumerate(colours.items()):
        pen.rectangle((10 + 150 * number, 12, 22 + 150 * number, 24), fill=colour)
        pen.text((28 + 150 * number, 12), status, fill="black")
    pen.text((480, 12), "number: accepted submissions", fill="black")
    for provider in PROVIDERS:
        pen.text((10, top), provider, fill="black")
        for column, step in enumerate(steps):
            pen.text((left + side * column, top), step or "(alive)", fill="black")
        for upstream in UPSTREAM:
            top += 24
            pen.text((10, top + 4), upstream, fill="black")
            for each in outcomes:
                if (each.cell.provider, each.cell.upstream) == (provider, upstream):
                    x = left + side * steps.index(each.cell.step)
                    colour = colours.get(each.status, "#c44e52") if each.holds else "#c44e52"
                    pen.rectangle((x, top, x + side - 4, top + 20), fill=colour)
                    pen.text((x + 6, top + 4), str(each.accepted), fill="white")
        top += 40
    image.save(path)


# A server that has everything imported and forks a clean process for each life.
_PRELOAD = [
    "media_agent.client",
    "media_agent.video.codec",
    "media_agent_hosted.providers.fal.backend",
]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_PRELOAD)

if __name__ == "__main__":
    raise SystemExit(main())
