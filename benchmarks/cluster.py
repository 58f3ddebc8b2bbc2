"""Workers on several machines, measured and killed: `make bench-cluster`.

The machines are folders, or network namespaces, of this one; Postgres is a private server of
installed binaries, the provider a simulator here that counts what it accepted. One part by itself:
`python benchmarks/cluster.py scaling` (or waiting, outage, endless, cut; cut needs root).
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import queue
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from machine import describe_machine, load_average
from pydantic import SecretStr

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from media_agent.backend.fence import FencedBackend  # noqa: E402
from media_agent.backend.polled import PolledBackend  # noqa: E402
from media_agent.cluster.waiting import Waiting  # noqa: E402
from media_agent.ledger.rows import insert, row_of  # noqa: E402
from media_agent.ledger.state import JobOptions  # noqa: E402
from media_agent.testing.simulator.base import SimulatedJob  # noqa: E402
from media_agent_hosted.providers.fal.simulator import FalSimulator  # noqa: E402
from media_agent_schemas import (  # noqa: E402
    ChunkReady,
    JobStatus,
    OperationRef,
    VideoJob,
    VideoRequest,
)
from tests.cluster.machines import Machine  # noqa: E402  # the same machines as in the tests
from tests.postgres import PostgresServer, find_binaries  # noqa: E402

if TYPE_CHECKING:
    from media_agent.client import VideoClient

RESULTS = Path(__file__).parent / "results" / "cluster.json"
JOB_SECONDS = 2.0
PER_WORKER = 4
SCALE_GOAL = 3.5
INTERVAL = 60.0
MEMORY_GOAL_MB, INTERVAL_GOAL = 100.0, 0.1
AWAY_SECONDS, CUT_SECONDS = 30.0, 60.0
PATIENCE = 900.0
_PROVIDER = "10.79.0.1"
ENDLESS = VideoRequest(
    prompt="a red circle moving right on a blue background",
    model="magi/tiny",
    endless=True,
    seed=5,
)


class TimedSimulator(FalSimulator):
    """Work that takes its time, however often it is looked at."""

    seconds = JOB_SECONDS

    def stage(self, job: SimulatedJob) -> Literal["queued", "running", "done"]:
        """Say how far a job is by the clock."""
        return "done" if time.time() - job.created_at >= self.seconds else "running"


def measure_scaling(folder: Path, workers: int = 4, rounds: int = 12) -> dict[str, Any]:
    """Return jobs per second of one worker and of several, of work that waits 2 s."""
    rates = {}
    for count in (1, workers):
        with PostgresServer(_binaries()) as postgres, TimedSimulator() as simulator:
            machine = Machine(
                folder / f"scaling-{count}",
                postgres.new_database(),
                folder / f"shared-{count}",
                simulator.url,
                queue=f"concurrent_per_worker = {PER_WORKER}",
                poll_seconds=0.25,
            )
            for _ in range(count):
                machine.start("fal")
            machine.wait_until_ready(count)
            rates[count] = asyncio.run(_rate(machine, count * PER_WORKER * rounds))
            machine.end()
    ideal = PER_WORKER / JOB_SECONDS
    factor = rates[workers] / rates[1]
    return {
        "jobs_per_second": {str(count): round(rate, 2) for count, rate in rates.items()},
        "ideal_of_one": ideal,
        "factor": round(factor, 2),
        "goal": SCALE_GOAL,
        "holds": factor >= SCALE_GOAL,
    }


async def _rate(machine: Machine, count: int) -> float:
    async with machine.client() as client:
        jobs = [
            await client.start(VideoRequest(prompt=f"a kite {n}", seed=n)) for n in range(count)
        ]
        times = []
        for job in await _ended(client, [each.id for each in jobs]):
            assert job.status is JobStatus.COMPLETED, job.error
            times.append(job.updated_at)
    times.sort()
    first, last = times[len(times) // 6], times[-len(times) // 6]  # neither start nor end
    return (len(times) * 4 // 6) / (last - first).total_seconds()


def measure_waiting(folder: Path, jobs: int = 10_000, minutes: float = 4.0) -> dict[str, Any]:
    """Return memory and poll times of many jobs that wait in one process."""
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[dict[str, Any]] = context.Queue()
    with PostgresServer(_binaries()) as postgres:
        url = postgres.new_database().get_secret_value()
        ours, theirs = context.Pipe()
        simulator = context.Process(target=_serve_simulator, args=(theirs,))
        simulator.start()
        where = ours.recv()
        waiter = context.Process(
            target=_wait_for_many, args=(answers, url, where, jobs, minutes, folder)
        )
        waiter.start()
        found = _answer_of(waiter, answers)
        waiter.join()
        ours.send("end")
        simulator.join()
    found["holds"] = (
        found["more_than_idle_mb"] <= MEMORY_GOAL_MB and found["worst_deviation"] <= INTERVAL_GOAL
    )
    return found | {"jobs": jobs, "interval_seconds": INTERVAL}


def _answer_of(waiter: Any, answers: Any) -> dict[str, Any]:
    """Return what a process found out, unless it ends without an answer."""
    while waiter.is_alive() or not answers.empty():
        try:
            found: dict[str, Any] = answers.get(timeout=1)
        except queue.Empty:
            continue
        return found
    raise SystemExit("the process in which jobs wait has ended without an answer")


def _serve_simulator(pipe: Any) -> None:
    simulator = TimedSimulator()
    simulator.seconds = 1e9
    with simulator:
        pipe.send(simulator.url)
        pipe.recv()


def _wait_for_many(
    answers: Any, url: str, where: str, count: int, minutes: float, folder: Path
) -> None:
    answers.put(asyncio.run(_wait(url, where, count, minutes, folder)))


async def _wait(url: str, where: str, count: int, minutes: float, folder: Path) -> dict[str, Any]:
    import httpx
    import psutil

    machine = Machine(
        folder / "waiting", SecretStr(url), folder / "shared", where, poll_seconds=INTERVAL
    )
    client = machine.client()
    ledger = client.store
    plan = await client.plan(VideoRequest(prompt="a kite", seed=1))
    request, model = plan.request, plan.model
    fenced = await client._backends.get(plan.backend)
    assert isinstance(fenced, FencedBackend)
    backend = fenced.inner
    assert isinstance(backend, PolledBackend)
    path = f"{where}/{model}"
    one = await backend.submit(request, key="one")
    await backend.look(one)
    now = datetime.now(UTC)
    with ledger.database.writing() as transaction:
        for number in range(count):
            job = VideoJob(
                id=f"job-{number}", created_at=now, updated_at=now, request=request, plan=plan
            )
            insert(transaction, "jobs", **row_of(job, JobOptions((plan,))))
    times: dict[str, list[float]] = {}
    look = backend.look

    async def timed(ref: OperationRef) -> Any:
        times.setdefault(str(ref.data["key"]), []).append(time.monotonic())
        return await look(ref)

    backend.look = timed  # type: ignore[method-assign]  # which notes when
    process = psutil.Process()

    async def finish(job_id: str) -> None:
        raise AssertionError(f"{job_id} is over")

    waiting = Waiting(ledger, finish, now=lambda: datetime.now(UTC))
    idle = process.memory_info().rss
    running = asyncio.create_task(waiting.run())
    began = time.monotonic()
    async with httpx.AsyncClient(headers={"Authorization": "Key key-of-tests-1234"}) as http:
        for number in range(count):
            due = began + number * INTERVAL / count  # as they would come, over one interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            answer = (await http.post(path, json={"prompt": "a kite"})).json()
            data = {**one.data, **answer, "key": f"job-{number}"}
            known = {name: data.get(name, value) for name, value in one.data.items()}
            ref = one.model_copy(update={"operation_id": answer["request_id"], "data": known})
            waiting.add(f"job-{number}", backend, ref, is_new=True)
    added = time.monotonic() - began
    cpu = process.cpu_times().user
    await asyncio.sleep(60 * minutes)
    more = (process.memory_info().rss - idle) / 1e6
    cpu = (process.cpu_times().user - cpu) / (60 * minutes)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    gaps = [later - earlier for each in times.values() for earlier, later in pairwise(each)]
    return {
        "more_than_idle_mb": round(more, 1),
        "idle_mb": round(idle / 1e6, 1),
        "polls": sum(map(len, times.values())),
        "gaps": len(gaps),
        "mean_gap_seconds": round(sum(gaps) / len(gaps), 2),
        "worst_deviation": round(max(abs(gap - INTERVAL) for gap in gaps) / INTERVAL, 4),
        "seconds_to_add": round(added, 1),
        "cores_used": round(cpu, 2),
    }


def play_outage(folder: Path, jobs: int = 8) -> dict[str, Any]:
    """Stop Postgres for 30 s while jobs are at work; return what was lost or sent twice."""
    with PostgresServer(_binaries()) as postgres, FalSimulator(running_polls=10**6) as simulator:
        machine = Machine(
            folder / "outage", postgres.new_database(), folder / "outage-shared", simulator.url
        )
        machine.start("fal")
        machine.wait_until_ready()

        async def play() -> list[VideoJob]:
            async with machine.client() as client:
                ids = [
                    (await client.start(VideoRequest(prompt=f"a kite {n}", seed=n))).id
                    for n in range(jobs)
                ]
                await _until(lambda: simulator.accepted >= jobs // 2)
                postgres.kill()
                await asyncio.sleep(AWAY_SECONDS)
                postgres.start()
                simulator.running_polls = 0
                return await _ended(client, ids)

        done = asyncio.run(play())
        machine.end()
        accepted = simulator.accepted
    said = [job.error.message for job in done if job.error is not None]
    lost = sum(job.status is not JobStatus.COMPLETED for job in done)
    return {
        "away_seconds": AWAY_SECONDS,
        "jobs": jobs,
        "accepted": accepted,
        "not_completed": lost,
        "errors": said,
        "holds": lost == 0 and accepted == jobs,
    }


def play_endless(folder: Path) -> dict[str, Any]:
    """Kill the worker of an endless video; return whether another machine continued it exactly."""
    from media_agent.client import VideoClient
    from media_agent.config.settings import load_settings
    from media_agent.video.codec import read_frames

    with PostgresServer(_binaries()) as postgres, FalSimulator() as simulator:
        url = postgres.new_database()
        first, second = (
            Machine(folder / name, url, folder / "endless-shared", simulator.url)
            for name in ("endless-a", "endless-b")
        )
        killed = first.start("magi/tiny")
        first.wait_until_ready()

        async def play() -> tuple[VideoJob, int, int]:
            async with second.client() as client:
                job = await client.start(ENDLESS)
                await _until(lambda: _chunks(client, job.id) > 3)
                second.start("magi/tiny")
                await asyncio.to_thread(second.wait_until_ready)
                killed.send_signal(signal.SIGKILL)
                killed.wait()
                before = _chunks(client, job.id)
                await _until(lambda: _chunks(client, job.id) > before + 3)
                asked = sum(client.store.events.chunk_lengths(job.id))
                await client.finish(job.id)
                (done,) = await _ended(client, [job.id])
                return done, before, asked

        done, before, asked = asyncio.run(play())
        second.end()

    async def undisturbed() -> VideoJob:
        settings = load_settings(data_dir=folder / "endless-whole", ledger=None)
        async with VideoClient(settings=settings) as client:
            job = await client.start(ENDLESS)
            # what is in work when a video is finished is computed in other groups
            await _until(lambda: sum(client.store.events.chunk_lengths(job.id)) > asked + 96)
            await client.finish(job.id)
            (whole,) = await _ended(client, [job.id])
            return whole

    made = read_frames(Path(done.artifacts[0].path or ""))
    whole = read_frames(Path(asyncio.run(undisturbed()).artifacts[0].path or ""))
    where = (made[:asked] != whole[:asked]).any(axis=(1, 2, 3)).nonzero()[0]
    return {
        "frames": len(made),
        "frames_compared": asked,
        "chunks_before_the_kill": before,
        "differing_frames": len(where),
        "holds": len(where) == 0 and len(made) >= asked,
    }


def play_cut(folder: Path, jobs: int = 6) -> dict[str, Any]:
    """Cut the cable between a worker and Postgres for 60 s; return what was sent twice."""
    with (
        PostgresServer(_binaries()) as postgres,
        _namespaces() as hosts,
        FarSimulator(running_polls=10**6) as simulator,
    ):
        url = postgres.new_database().get_secret_value()
        machines = []
        provider = simulator.listen_at(_PROVIDER)
        for host in hosts:
            own = url.replace(f"127.0.0.1:{postgres.port}", host.relay(postgres.port))
            machine = Machine(
                folder / f"cut-{host.name}", SecretStr(own), folder / "cut-shared", provider
            )
            machine.prefix = ["ip", "netns", "exec", host.name]
            machine.start("fal")
            machines.append(machine)
        for machine in machines:
            machine.wait_until_ready()
        here = Machine(folder / "cut-here", SecretStr(url), folder / "cut-shared", provider)

        async def play() -> list[VideoJob]:
            async with here.client() as client:
                ids = [
                    (await client.start(VideoRequest(prompt=f"a kite {n}", seed=n))).id
                    for n in range(jobs)
                ]
                await _until(lambda: simulator.accepted >= jobs // 2)
                hosts[0].cut()
                await asyncio.sleep(CUT_SECONDS)
                hosts[0].mend()
                await _until(lambda: simulator.accepted >= jobs)
                simulator.running_polls = 0
                return await _ended(client, ids)

        done = asyncio.run(play())
        for machine in machines:
            machine.end()
        accepted = simulator.accepted
    return {
        "cut_seconds": CUT_SECONDS,
        "jobs": jobs,
        "accepted": accepted,
        "statuses": sorted(job.status.value for job in done),
        "errors": sorted({job.error.message for job in done if job.error is not None}),
        "holds": accepted == jobs and all(job.status is JobStatus.COMPLETED for job in done),
    }


class FarSimulator(FalSimulator):
    """A provider that says of its files that they are at an address that all hosts reach."""

    _far: str | None = None

    def listen_at(self, address: str) -> str:
        """Be reached at this address of this machine too, and say so."""
        relay = _Relay((address, 0), int(self.url.rpartition(":")[2]))
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        self._far = f"http://{address}:{relay.server_address[1]}"
        return self._far

    @property
    def url(self) -> str:
        """Where it is reached."""
        return super().url if self._far is None else self._far


class _Host:
    """A network namespace with two wires to this machine: to Postgres, and to the provider."""

    def __init__(self, number: int) -> None:
        self.name = f"media{os.getpid() % 10000}-{number}"
        self._wires = [f"mw{number}{wire}{os.getpid() % 1000}" for wire in (0, 1)]
        self._number = number
        self._relays: list[socketserver.ThreadingTCPServer] = []
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")
        for wire, name in enumerate(self._wires):
            _ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
            _ip("link", "set", f"{name}p", "netns", self.name)
            _ip("addr", "add", f"{self._address(wire, 1)}/24", "dev", name)
            _ip("link", "set", name, "up")
            _ip("-n", self.name, "addr", "add", f"{self._address(wire, 2)}/24", "dev", f"{name}p")
            _ip("-n", self.name, "link", "set", f"{name}p", "up")
        _ip("-n", self.name, "route", "add", _PROVIDER, "via", self._address(1, 1))

    def relay(self, port: int) -> str:
        """Return an address, on the wire to Postgres, at which a port of this machine is."""
        relay = _Relay((self._address(0, 1), 0), port)
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        self._relays.append(relay)
        return f"{self._address(0, 1)}:{relay.server_address[1]}"

    def cut(self) -> None:
        """Pull the cable to Postgres: what was sent is lost, and nobody is told."""
        _ip("-n", self.name, "link", "set", f"{self._wires[0]}p", "down")

    def mend(self) -> None:
        """Put the cable back."""
        _ip("-n", self.name, "link", "set", f"{self._wires[0]}p", "up")

    def remove(self) -> None:
        """Remove it, and its wires."""
        for relay in self._relays:
            relay.shutdown()
        for wire in self._wires:
            subprocess.run(["ip", "link", "del", wire], check=False, capture_output=True)
        _ip("netns", "del", self.name)

    def _address(self, wire: int, end: int) -> str:
        return f"10.{77 + wire}.{self._number}.{end}"


class _Relay(socketserver.ThreadingTCPServer):
    """Passes bytes on to a port of this machine."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], port: int) -> None:
        super().__init__(address, _Passing)
        self.port = port


class _Passing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Relay)
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            back = threading.Thread(target=_pass, args=(there, self.request), daemon=True)
            back.start()
            _pass(self.request, there)
            back.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    try:
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


@contextmanager
def _namespaces(count: int = 2) -> Iterator[list[_Host]]:
    hosts: list[_Host] = []
    subprocess.run(["ip", "addr", "add", f"{_PROVIDER}/32", "dev", "lo"], check=False)
    try:
        hosts.extend(_Host(number) for number in range(1, count + 1))
        yield hosts
    finally:
        for host in hosts:
            host.remove()
        subprocess.run(["ip", "addr", "del", f"{_PROVIDER}/32", "dev", "lo"], check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _binaries() -> Path:
    found = find_binaries()
    if found is None:
        raise SystemExit("Postgres is not installed: initdb and postgres are not there")
    return found


def _chunks(client: "VideoClient", job_id: str) -> int:
    return sum(isinstance(each.event, ChunkReady) for each in client.store.events.read(job_id))


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  # it happens in other processes
            await asyncio.sleep(0.1)


async def _ended(client: "VideoClient", ids: list[str]) -> list[VideoJob]:
    ended: dict[str, VideoJob] = {}
    async with asyncio.timeout(PATIENCE):
        while len(ended) < len(ids):
            for job_id in ids:
                if job_id not in ended:
                    job = await client.get(job_id)
                    if job.status.is_terminal:
                        ended[job_id] = job
            await asyncio.sleep(0.2)
    return [ended[job_id] for job_id in ids]


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "scaling": measure_scaling,
    "waiting": measure_waiting,
    "outage": play_outage,
    "endless": play_endless,
    "cut": play_cut,
}


def main() -> int:
    """Play the parts that are asked for, keep what came of them, and say whether all hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[*PARTS], help=f"of: {', '.join(PARTS)}")
    parts = parser.parse_args().parts
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results: dict[str, Any] = known.get("parts", {})
    for part in parts:
        if part == "cut" and os.geteuid() != 0:
            print("cut: skipped, network namespaces need root")
            continue
        load, began = load_average(), time.monotonic()
        with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
            result = PARTS[part](Path(folder))
        seconds = round(time.monotonic() - began, 1)
        results[part] = result | {"load_before": load, "seconds": seconds}
        print(f"{part}: {json.dumps(results[part])}", flush=True)
        content = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": describe_machine(),
            "parts": results,
        }
        RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0 if all(results[part]["holds"] for part in parts if part in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
