"""Many jobs that wait for services, in a few objects each."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.cluster.waiting import Waiting
from media_agent.errors import BackendUnavailableError, OperationNotFoundError
from media_agent.ledger.ledger import Ledger
from media_agent_schemas import Artifact, JobCompleted, JobProgressed, JobStatus, OperationRef
from tests.cluster.fakes import Service
from tests.ledger.samples import job

pytestmark = pytest.mark.anyio


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(BackendSettings(data_dir=tmp_path, name="b"))


class Scene:
    """Jobs that wait, and the ones that were worked on."""

    def __init__(self, ledger: Ledger, service: Service) -> None:
        self.ledger, self.service = ledger, service
        self.finished: list[str] = []
        self.waiting = Waiting(ledger, self.finish, now=lambda: datetime.now(UTC))

    async def finish(self, job_id: str) -> None:
        self.finished.append(job_id)

    def wait_for(self, job_id: str, *, is_new: bool = True) -> None:
        self.ledger.jobs.create(job(job_id))
        with self.ledger.owners.claim(job_id):
            pass
        ref = OperationRef(backend="b", model="m", operation_id=job_id)
        self.waiting.add(job_id, self.service, ref, is_new=is_new)

    async def until(self, *finished: str) -> None:
        async with asyncio.timeout(60):
            while sorted(self.finished) != sorted(finished):  # noqa: ASYNC110  # nothing says when
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(ledger: Ledger, service: Service) -> AsyncGenerator[Scene, None]:
    scene = Scene(ledger, service)
    task = asyncio.create_task(scene.waiting.run())
    try:
        yield scene
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await scene.waiting.let_go()


async def test_a_job_is_worked_on_when_its_service_says_that_it_is_over(
    ledger: Ledger, service: Service
) -> None:
    async with running(ledger, service) as scene:
        scene.wait_for("one")
        scene.wait_for("two")
        service.answers["two"] = JobCompleted(artifacts=(Artifact(uri="https://x/y"),))

        await scene.until("two")

        assert len(scene.waiting) == 1
        assert not ledger.owners.is_claimed("two")
        assert ledger.owners.is_claimed("one")


async def test_what_a_service_says_is_kept_once(ledger: Ledger, service: Service) -> None:
    async with running(ledger, service) as scene:
        service.answers["one"] = JobProgressed(phase="render", fraction=0.5)
        scene.wait_for("one")

        while service.polls.count("one") < 4:  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.01)

    told = [event.event.type for event in ledger.events.read("one")]
    assert told == ["job.started", "job.progressed"]
    assert ledger.jobs.get("one").status is JobStatus.IN_PROGRESS


async def test_that_a_job_began_is_said_once_in_the_log(
    ledger: Ledger, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "media_agent.jobs")
    async with running(ledger, service) as scene:
        service.answers["one"] = JobProgressed(phase="render", fraction=0.5)
        scene.wait_for("one")
        while service.polls.count("one") < 2:  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.01)
        await scene.waiting.let_go()
        ref = OperationRef(backend="b", model="m", operation_id="one")
        scene.waiting.add("one", service, ref, is_new=False)  # by whoever has it next
        while service.polls.count("one") < 4:  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.01)

    plan = job("one").plan
    assert caplog.messages == [
        f"job one: queued -> in_progress, {plan.backend}/{plan.model}",
    ]


async def test_a_service_that_cannot_be_asked_is_asked_again_and_an_unknown_job_is_worked_on(
    ledger: Ledger, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.cluster.waiting._PAUSES", (0.01,) * 3)
    async with running(ledger, service) as scene:
        service.answers["away"] = BackendUnavailableError("no answer")
        service.answers["gone"] = OperationNotFoundError("unknown")
        scene.wait_for("away")
        scene.wait_for("gone")

        await scene.until("away", "gone")

    assert service.polls.count("away") == 4
    assert service.polls.count("gone") == 1


async def test_a_job_that_is_to_stop_is_stopped_at_its_service(
    ledger: Ledger, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.cluster.waiting._LOOK_SECONDS", 0.02)
    async with running(ledger, service) as scene:
        scene.wait_for("one")
        assert ledger.owners.request_cancel("one")

        await scene.until("one")


async def test_a_job_that_another_process_took_is_let_go_of(
    ledger: Ledger, service: Service
) -> None:
    other = Ledger(ledger.database.path)  # type: ignore[attr-defined]  # a file
    async with running(ledger, service) as scene:
        service.answers["one"] = JobProgressed(phase="render")
        scene.wait_for("one")
        with other.owners.claim("one", force=True):
            async with asyncio.timeout(60):
                while len(scene.waiting):  # noqa: ASYNC110  # nothing says when
                    await asyncio.sleep(0.01)

            assert other.owners.is_claimed("one")
    assert scene.finished == []
    other.close()


async def test_a_job_of_before_is_looked_at_at_once(ledger: Ledger, service: Service) -> None:
    service.poll_seconds = 3600.0  # type: ignore[misc]  # of this one alone
    async with running(ledger, service) as scene:
        service.answers["one"] = JobCompleted()
        scene.wait_for("one", is_new=False)

        await scene.until("one")


async def test_jobs_that_are_let_go_of_are_free_for_others(
    ledger: Ledger, service: Service
) -> None:
    async with running(ledger, service) as scene:
        scene.wait_for("one")

    assert not ledger.owners.is_claimed("one")
    assert ledger.owners.list_unworked() == ("one",)
