"""What a worker does with a turn, and with what it has when it is to end."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.client import VideoClient
from media_agent.cluster.engine import Work
from media_agent.cluster.turns import Stage, Turn
from media_agent.cluster.worker import Drain, QueueWorker, find_limits, find_waiting
from media_agent.config.backend_section import BackendSection
from media_agent.config.jobs_section import QueueSection
from media_agent.config.settings import load_settings
from media_agent.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    LedgerBusyError,
    StorageError,
    UnsupportedRequestError,
)
from media_agent.jobs import stopping
from media_agent.jobs.running.observing import Observer, StillWaitingError
from media_agent.jobs.sharing import Sharing
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import SubmissionState
from media_agent.ledger.store import postgres_connections
from media_agent.ledger.store.database import UndecidedError
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing.simulator.videos import write_video
from media_agent_schemas import (
    Artifact,
    Capabilities,
    JobCompleted,
    JobOutcomeUnknown,
    JobStatus,
    OperationRef,
    Size,
    VideoMode,
    VideoRequest,
)
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import TerminalEvent
from tests.cluster.fakes import MemoryQueue, Service
from tests.postgres import PostgresServer

pytestmark = pytest.mark.anyio

REQUEST = VideoRequest(prompt="a cat", duration=2, seed=0)


class Engine:
    """Runs no turn by itself: a test does."""

    work: Work

    async def start(self, work: Work) -> None:
        self.work = work

    async def stop(self, seconds: float) -> None:
        """Wait for nothing."""


class Scene:
    """A worker over a queue in memory."""

    drain: Drain

    def __init__(
        self, folder: Path, limits: QueueSection | None = None, store: Ledger | None = None
    ) -> None:
        queue = QueueSection() if limits is None else limits
        sections = {"b": BackendSection(queue=queue)}
        settings = load_settings(data_dir=folder / "data", default_backend="b", backends=sections)
        registry = Registry(Discovery({"b": BackendSpec("b", self._make)}))
        self.client = VideoClient(settings=settings, registry=registry, store=store)
        self.queue, self.engine = MemoryQueue(), Engine()
        self.said: list[str] = []
        self.worker = QueueWorker(
            self.client._context,
            self.client._running,
            self.queue,
            self.engine,  # type: ignore[arg-type]  # as much of it as is needed
            sections,
            say=self.said.append,
        )
        self.video = folder / "made.mp4"
        write_video(self.video, np.zeros((8, 16, 16, 3), np.uint8), fps=4)

    def _make(self, settings: BackendSettings) -> VideoBackend:
        self.service = Service(settings)
        return self.service

    async def keep(self, request: VideoRequest = REQUEST) -> str:
        """Keep a job that nobody works on."""
        job, _ = await self.client._intake.take(request, _options())
        with self.client.store.owners.claim(job.id):
            return job.id

    def complete(self, job_id: str) -> None:
        self.service.answers[job_id] = JobCompleted(artifacts=(Artifact(path=str(self.video)),))

    def service_was_asked(self, job_id: str) -> bool:
        return job_id in self.service.polls

    async def until(self, job_id: str, status: JobStatus) -> None:
        async with asyncio.timeout(60):
            while (await self.client.get(job_id)).status is not status:  # noqa: ASYNC110  # nothing says when
                await asyncio.sleep(0.01)


def _options():  # type: ignore[no-untyped-def]  # of a call without any
    from media_agent.jobs.options import GenerateOptions

    return GenerateOptions()


@asynccontextmanager
async def serving(
    folder: Path,
    limits: QueueSection | None = None,
    *,
    drain: float = 0.2,
    store: Ledger | None = None,
) -> AsyncGenerator[Scene, None]:
    scene = Scene(folder, limits, store)
    scene.drain = Drain(asyncio.Event(), drain)
    task = asyncio.create_task(scene.worker.run(scene.drain))
    try:
        async with asyncio.timeout(60):
            while not scene.said:  # noqa: ASYNC110  # nothing says when
                await asyncio.sleep(0.01)
        yield scene
    finally:
        scene.drain.asked.set()
        await task
        await scene.client.aclose()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "LOOK_SECONDS", 0.01)


async def test_a_turn_ends_once_a_service_has_the_work_and_the_job_is_completed_later(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as scene:
        job_id = await scene.keep()

        word = await scene.engine.work(job_id, False)
        scene.complete(job_id)
        await scene.until(job_id, JobStatus.COMPLETED)

    assert word == "waiting"
    assert (await scene.client.get(job_id)).artifacts[0].path is not None


async def test_a_turn_keeps_its_place_where_the_number_of_jobs_is_limited(tmp_path: Path) -> None:
    async with serving(tmp_path, QueueSection(concurrent_per_worker=2)) as scene:
        job_id = await scene.keep()

        turn = asyncio.create_task(scene.engine.work(job_id, False))
        await scene.until(job_id, JobStatus.QUEUED)
        scene.complete(job_id)

        assert await turn == "ended"
        assert (await scene.client.get(job_id)).status is JobStatus.COMPLETED


async def test_a_job_that_is_over_is_left_as_it_is(tmp_path: Path) -> None:
    async with serving(tmp_path) as scene:
        job_id = await scene.keep()
        await scene.client.cancel(job_id)

        assert await scene.engine.work(job_id, False) == "ended"
        assert scene.service.polls == []


async def test_a_turn_waits_for_a_ledger_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.cluster.worker._PAUSES", (0.01,) * 5)
    async with serving(tmp_path) as scene:
        job_id = await scene.keep()
        get, failures = scene.client.store.jobs.get, [StorageError("away")] * 3

        def fail_thrice(job_id: str):  # type: ignore[no-untyped-def]  # as `get`
            if failures:
                raise failures.pop()
            return get(job_id)

        monkeypatch.setattr(scene.client.store.jobs, "get", fail_thrice)

        assert await scene.engine.work(job_id, False) == "waiting"


async def test_a_job_that_another_process_works_on_is_waited_for_and_then_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from media_agent.ledger.ledger import Ledger

    monkeypatch.setattr("media_agent.cluster.worker._PAUSES", (0.01,) * 9)
    async with serving(tmp_path) as scene:
        job_id = await scene.keep()
        other = Ledger(scene.client.settings.ledger_path)

        with other.owners.claim(job_id):
            word = await scene.engine.work(job_id, False)

        assert word == "others work on it"
        other.close()


async def test_what_has_not_ended_in_time_is_handed_back_as_the_next_turn(tmp_path: Path) -> None:
    async with serving(tmp_path, QueueSection(concurrent_per_worker=2)) as scene:
        job_id = await scene.keep()
        scene.queue.turns = [Turn(job_id, 0, Stage.RUNNING, "b", 1, "w")]
        turn = asyncio.create_task(scene.engine.work(job_id, False))
        while not scene.service_was_asked(job_id):  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.01)

        scene.drain.asked.set()

        assert await turn == "handed back"
        assert [each.name for each in scene.queue.turns] == [
            f"{job_id}.turn-0",
            f"{job_id}.turn-1",
        ]
        assert not scene.client.store.owners.is_claimed(job_id)


async def test_what_would_wait_once_the_worker_ends_is_handed_back_and_owned_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = Observer.observe

    async def end_meanwhile(
        self: Observer, backend: VideoBackend, ref: OperationRef
    ) -> TerminalEvent:
        try:
            return await observe(self, backend, ref)
        except StillWaitingError:
            scene.drain.asked.set()
            while not scene.worker._is_ending:  # noqa: ASYNC110  # nothing says when
                await asyncio.sleep(0.01)
            raise

    monkeypatch.setattr(Observer, "observe", end_meanwhile)
    async with serving(tmp_path, drain=30) as scene:
        job_id = await scene.keep()
        scene.queue.turns = [Turn(job_id, 0, Stage.RUNNING, "b", 1, "w")]

        assert await scene.engine.work(job_id, False) == "handed back"

        assert [each.number for each in scene.queue.turns] == [0, 1]
        assert not scene.client.store.owners.is_claimed(job_id)


async def test_a_turn_that_begins_once_the_worker_ends_is_handed_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, QueueSection(concurrent_per_worker=2)) as scene:
        job_id, is_over = await scene.keep(), asyncio.Event()

        async def take_one_more(seconds: float) -> None:
            await is_over.wait()

        monkeypatch.setattr(scene.engine, "stop", take_one_more)
        scene.drain.asked.set()
        while not scene.worker._is_ending:  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.01)

        try:
            async with asyncio.timeout(30):
                assert await scene.engine.work(job_id, False) == "handed back"
        finally:
            is_over.set()

        assert [turn.job_id for turn in scene.queue.turns] == [job_id]
        assert scene.client.store.submissions.of(job_id) == []


async def test_a_job_to_be_resumed_is_still_to_be_resumed_when_it_is_handed_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as scene:
        job_id, has_begun = await scene.keep(), asyncio.Event()
        error = ErrorInfo(code="submit_uncertain", message="the reply was lost")
        end = JobOutcomeUnknown(error=error)
        with scene.client.store.owners.claim(job_id):
            scene.client.store.events.append(job_id, end, scene.client._context.now())

        async def load_for_long(sharing: Sharing) -> None:
            has_begun.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(Sharing, "load", load_for_long)
        turn = asyncio.create_task(scene.engine.work(job_id, True))
        await has_begun.wait()
        scene.drain.asked.set()

        assert await turn == "handed back"

        assert scene.queue.resuming == {each.name for each in scene.queue.turns}


async def test_a_turn_that_resumes_a_job_and_is_run_again_does_nothing_once_it_is_completed(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as scene:
        job_id = await scene.keep()
        await scene.engine.work(job_id, False)
        scene.complete(job_id)
        await scene.until(job_id, JobStatus.COMPLETED)
        polls = len(scene.service.polls)

        assert await scene.engine.work(job_id, True) == "ended"

        assert len(scene.service.polls) == polls


async def test_what_ends_in_time_is_waited_for(tmp_path: Path) -> None:
    async with serving(tmp_path, QueueSection(concurrent_per_worker=2), drain=30) as scene:
        job_id = await scene.keep()
        turn = asyncio.create_task(scene.engine.work(job_id, False))
        while not scene.service_was_asked(job_id):  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.01)
        scene.drain.asked.set()
        await asyncio.sleep(0)
        scene.complete(job_id)

        assert await turn == "ended"


@pytest.mark.parametrize(
    ("limits", "together"),
    [
        (QueueSection(), True),
        (QueueSection(starts_per_minute=6), True),
        (QueueSection(concurrent=4), False),
        (QueueSection(concurrent_per_worker=4), False),
    ],
)
async def test_jobs_wait_together_unless_their_number_is_limited(
    tmp_path: Path, limits: QueueSection, together: bool
) -> None:
    service = Service(BackendSettings(data_dir=tmp_path, name="b"))

    assert (find_waiting(service, limits) is service) is together


def opening(backend: VideoBackend) -> Callable[[str], Awaitable[VideoBackend]]:
    async def open_backend(name: str) -> VideoBackend:
        return backend

    return open_backend


async def test_a_queue_has_the_limits_of_its_section_and_usual_ones(tmp_path: Path) -> None:
    service = Service(BackendSettings(data_dir=tmp_path, name="b"))
    sections = {"b": BackendSection(queue=QueueSection(concurrent=3, models=("m",)))}

    limits = await find_limits(("b", "b/m"), sections, opening(service))

    assert {name: each.concurrent_per_worker for name, each in limits.items()} == {"b": 3, "b/m": 3}


async def test_a_queue_that_no_job_ever_waits_in_is_refused(tmp_path: Path) -> None:
    service = Service(BackendSettings(data_dir=tmp_path, name="b"))

    with pytest.raises(InvalidRequestError, match="b/m has no queue of its own"):
        await find_limits(("b/m",), {}, opening(service))


@pytest.mark.parametrize("trouble", [LedgerBusyError, UndecidedError])
@pytest.mark.parametrize("step", ["intent", "flush", "lease"])
async def test_a_ledger_that_goes_away_before_the_submission_fails_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, trouble: type[StorageError]
) -> None:
    monkeypatch.setattr("media_agent.cluster.worker._PAUSES", (0.01,) * 5)
    async with serving(tmp_path) as scene:
        job_id = await scene.keep()
        store, failures = scene.client.store, [trouble("it is away")] * 2

        def fail_twice(method: Callable[..., object]) -> Callable[..., object]:
            def call(*words: object, **named: object) -> object:
                if failures and (step != "flush" or named):
                    raise failures.pop()
                return method(*words, **named)

            return call

        owner, name = {
            "intent": (store.submissions, "record_intent"),
            "flush": (store, "flushed"),
            "lease": (store.owners, "hold"),
        }[step]
        monkeypatch.setattr(store.owners, "is_safe", lambda: step != "lease")
        monkeypatch.setattr(owner, name, fail_twice(getattr(owner, name)))

        assert await scene.engine.work(job_id, False) == "waiting"
        assert failures == []
        (sent,) = store.submissions.of(job_id)
        assert (sent.state, sent.attempts) == (SubmissionState.ACCEPTED, 1)
        assert scene.service.sent == [job_id]


@pytest.mark.parametrize("trouble", [LedgerBusyError, UndecidedError])
@pytest.mark.parametrize("step", ["intent", "event"])
async def test_a_ledger_that_goes_away_during_a_segment_fails_no_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, trouble: type[StorageError]
) -> None:
    monkeypatch.setattr("media_agent.cluster.worker._PAUSES", (0.01,) * 5)
    monkeypatch.setattr(Service, "capabilities", can_make_segments)
    async with serving(tmp_path) as scene:
        job_id = await scene.keep(REQUEST.model_copy(update={"duration": 5}))
        store, failures = scene.client.store, [trouble("it is away")]
        part = store.submissions if step == "intent" else store.events
        name = "record_intent" if step == "intent" else "append"
        method = getattr(part, name)

        def fail_once(owned: str, *words: object, **named: object) -> object:
            if failures and owned.endswith("segment-0002"):
                raise failures.pop()
            return method(owned, *words, **named)

        async def complete_all() -> None:
            while True:
                for key in {*scene.service.sent} - {*scene.service.answers}:
                    scene.complete(key)
                await asyncio.sleep(0.01)

        monkeypatch.setattr(part, name, fail_once)
        completing = asyncio.create_task(complete_all())
        assert await scene.engine.work(job_id, False) == "ended"
        completing.cancel()

        assert failures == []
        assert (await scene.client.get(job_id)).status is JobStatus.COMPLETED
        assert [key[-4:] for key in scene.service.sent] == ["0001", "0002", "0003"]


def can_make_segments(service: Service, model: str | None = None) -> Capabilities:
    size = Size(width=16, height=16)
    return Capabilities(
        backend=service.name,
        model="m",
        modes=(VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO),
        input_roles=("first_frame",),
        sizes=(size,),
        default_size=size,
        fps_values=(4.0,),
        default_fps=4.0,
        max_duration=2.0,
        seed=True,
    )


@pytest.mark.parametrize("trouble", [None, BackendUnavailableError("no answer")])
async def test_a_job_that_waits_ends_at_its_deadline_and_is_not_waited_for_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception | None
) -> None:
    monkeypatch.setattr("media_agent.cluster.waiting._PAUSES", (1.0, 300.0))

    async def cannot(service: Service, ref: OperationRef) -> None:
        raise UnsupportedRequestError("it cannot stop work")

    monkeypatch.setattr(Service, "cancel_once", cannot)
    async with serving(tmp_path) as scene:
        job_id = await scene.keep(REQUEST.model_copy(update={"deadline": 1.5}))
        assert await scene.engine.work(job_id, False) == "waiting"
        if trouble is not None:
            scene.service.answers[job_id] = trouble

        await scene.until(job_id, JobStatus.OUTCOME_UNKNOWN)

        job = await scene.client.get(job_id)
        assert "within 1.5 s" in str(job.error)


async def test_while_postgres_is_away_the_loop_goes_on_and_no_job_ends(
    tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.cluster.worker._PAUSES", (0.1,) * 100)
    url = postgres_server.new_database()
    ledger = Ledger(tmp_path / "ledger.sqlite", url=url, busy_seconds=0.5)
    loop, sleep, held_up = threading.get_ident(), time.sleep, 0.0

    def count(seconds: float) -> None:
        nonlocal held_up
        if threading.get_ident() == loop:
            held_up += seconds
        sleep(seconds)

    async with serving(tmp_path, store=ledger) as scene:
        job_ids = [await scene.keep() for _ in range(8)]
        for job_id in job_ids[:4]:
            assert await scene.engine.work(job_id, False) == "waiting"
        monkeypatch.setattr(postgres_connections.time, "sleep", count)
        await asyncio.to_thread(postgres_server.stop)
        turns = [asyncio.create_task(scene.engine.work(each, False)) for each in job_ids[4:]]
        for job_id in job_ids:
            scene.complete(job_id)
        await asyncio.sleep(2)
        assert not any(turn.done() for turn in turns)
        await asyncio.to_thread(postgres_server.start)
        assert await asyncio.gather(*turns) == ["waiting"] * 4
        for job_id in job_ids:
            await scene.until(job_id, JobStatus.COMPLETED)
        assert sorted(scene.service.sent) == sorted(job_ids)

    postgres_server.drop_database(url)
    assert held_up < 1.0, "one call may wait for its 0.5 s, and none after it"
