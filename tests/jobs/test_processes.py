"""Several processes on one ledger, with a provider that counts what it accepts."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import SecretStr

from media_agent.ledger.ledger import Ledger
from media_agent.testing.simulator.faults import Fault
from media_agent_hosted.providers.fal.simulator import FalSimulator
from media_agent_schemas import JobStatus


@pytest.fixture(scope="module")
def at_work() -> ModuleType:
    from tests.jobs import work_in_processes

    return work_in_processes


@pytest.fixture(scope="module")
def context(at_work: ModuleType) -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["media_agent.client", "media_agent.video.codec", at_work.__name__]
    )
    return context


@pytest.fixture
def start(
    context: multiprocessing.context.ForkServerContext,
) -> Iterator[Callable[..., BaseProcess]]:
    started: list[BaseProcess] = []

    def begin(target: Callable[..., None], *arguments: object) -> BaseProcess:
        process = context.Process(target=target, args=arguments)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.join()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@pytest.mark.parametrize("count", [2, 8])
def test_processes_that_open_the_ledger_while_work_is_submitted_submit_nothing(
    at_work: ModuleType,
    context: multiprocessing.context.ForkServerContext,
    start: Callable[..., BaseProcess],
    tmp_path: Path,
    count: int,
) -> None:
    barrier = context.Barrier(count + 1)
    with FalSimulator([Fault("submit", "delay", seconds=0.7)]) as simulator:
        others = [
            start(at_work.resume_everything, tmp_path, simulator.url, barrier) for _ in range(count)
        ]
        first = start(at_work.make, tmp_path, simulator.url, "k", "a kite", None)
        wait_until(lambda: bool(simulator.calls("submit")))
        barrier.wait(60)
        for process in (first, *others):
            process.join(60)

        assert [process.exitcode for process in (first, *others)] == [0] * (count + 1)
        assert simulator.accepted == 1
        assert len(simulator.calls("submit")) == 1
    (job,) = Ledger(tmp_path / "data" / "ledger.sqlite").jobs.list()
    assert job.status is JobStatus.COMPLETED


@pytest.mark.parametrize("count", [2, 8])
def test_the_same_key_from_several_processes_at_once_is_one_job(
    at_work: ModuleType,
    context: multiprocessing.context.ForkServerContext,
    start: Callable[..., BaseProcess],
    tmp_path: Path,
    count: int,
) -> None:
    barrier = context.Barrier(count)
    with FalSimulator() as simulator:
        processes = [
            start(at_work.make, tmp_path, simulator.url, "k", "a kite", barrier)
            for _ in range(count)
        ]
        for process in processes:
            process.join(60)

        assert [process.exitcode for process in processes] == [0] * count
        assert simulator.accepted == 1
    seen = [path.name.split(".")[0] for path in tmp_path.glob("*.seen")]
    (job,) = Ledger(tmp_path / "data" / "ledger.sqlite").jobs.list()
    assert set(seen) == {job.id}
    assert job.status is JobStatus.COMPLETED


def test_when_the_process_of_a_key_is_killed_the_other_one_continues(
    at_work: ModuleType,
    start: Callable[..., BaseProcess],
    tmp_path: Path,
) -> None:
    with FalSimulator(running_polls=8) as simulator:
        first = start(at_work.make, tmp_path, simulator.url, "k", "a kite", None)
        wait_until(lambda: len(simulator.calls("status")) > 1)
        second = start(at_work.make, tmp_path, simulator.url, "k", "a kite", None)
        first.kill()
        first.join()
        second.join(60)

        assert second.exitcode == 0
        assert simulator.accepted == 1
    (job,) = Ledger(tmp_path / "data" / "ledger.sqlite").jobs.list()
    assert job.status is JobStatus.COMPLETED
    assert (tmp_path / "video.mp4").exists()


def test_when_a_machine_is_killed_another_one_on_the_same_postgres_continues(
    at_work: ModuleType,
    context: multiprocessing.context.ForkServerContext,
    start: Callable[..., BaseProcess],
    postgres_url: SecretStr,
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    address = postgres_url.get_secret_value()
    with FalSimulator(running_polls=8) as simulator:
        for folder in (one, two):
            folder.mkdir()
        first = start(at_work.make_on, address, one, simulator.url, "k", "a kite")
        wait_until(lambda: len(simulator.calls("status")) > 1)
        barrier = context.Barrier(2)
        second = start(at_work.resume_on, address, two, simulator.url, barrier)
        first.kill()
        first.join()
        barrier.wait(60)
        second.join(60)

        assert second.exitcode == 0
        assert simulator.accepted == 1
        assert len(simulator.calls("submit")) == 1
    ledger = Ledger(two / "data" / "ledger.sqlite", url=postgres_url)
    (job,) = ledger.jobs.list()
    ledger.close()
    assert job.status is JobStatus.COMPLETED
    assert not (two / "data" / "ledger.sqlite").exists()


def test_a_job_is_cancelled_from_another_process(
    at_work: ModuleType, start: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    with FalSimulator(queued_polls=100_000) as simulator:
        first = start(at_work.make, tmp_path, simulator.url, "k", "a kite", None)
        wait_until(lambda: len(simulator.calls("status")) > 1)

        start(at_work.cancel, tmp_path, simulator.url).join(60)
        first.join(60)

        assert first.exitcode == 0
        assert len(simulator.calls("cancel")) == 1
    (job,) = Ledger(tmp_path / "data" / "ledger.sqlite").jobs.list()
    assert job.status is JobStatus.CANCELLED
