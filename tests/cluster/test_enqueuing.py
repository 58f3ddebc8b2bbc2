"""A client whose jobs others work on: it keeps them, queues them, and watches the ledger."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import pytest

from media_agent.backend.protocol import BackendSpec
from media_agent.client import VideoClient
from media_agent.cluster.enqueuing import EnqueuingRunner
from media_agent.cluster.turns import AGAIN, FIRST, Stage
from media_agent.config.jobs_section import JobsSection
from media_agent.config.settings import load_settings
from media_agent.errors import StorageError
from media_agent.jobs import stopping
from media_agent.jobs.sharing import Sharing
from media_agent.ledger.ledger import Ledger
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent_schemas import (
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    JobStatus,
    OperationRef,
    VideoJob,
    VideoRequest,
)
from media_agent_schemas.errors import ErrorInfo
from tests.cluster.fakes import MemoryQueue, Service
from tests.ledger.samples import NOW

pytestmark = pytest.mark.anyio

REQUEST = VideoRequest(prompt="a cat", duration=2, seed=0)


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue()


@pytest.fixture
async def client(
    tmp_path: Path, queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[VideoClient]:
    monkeypatch.setattr(stopping, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(
        "media_agent.cluster.start.build_runner",
        lambda context, settings: EnqueuingRunner(context, queue, settings.backends),
    )
    settings = load_settings(
        data_dir=tmp_path / "data", default_backend="b", jobs=JobsSection(runner="dbos")
    )
    registry = Registry(Discovery({"b": BackendSpec("b", Service)}))
    async with VideoClient(settings=settings, registry=registry) as client:
        yield client


def worker(client: VideoClient) -> Ledger:
    """Return the ledger of another process."""
    return Ledger(client.settings.ledger_path)


async def test_a_new_job_is_kept_free_and_queued(client: VideoClient, queue: MemoryQueue) -> None:
    job = await client.start(REQUEST)

    (turn,) = queue.turns
    assert (turn.name, turn.queue, queue.priorities[turn.name]) == (f"{job.id}.turn-0", "b", FIRST)
    assert job.status is JobStatus.QUEUED
    assert client.count_working() == 0
    assert worker(client).owners.list_unworked() == (job.id,)


async def test_a_repeated_call_is_the_same_job_and_queues_nothing(
    client: VideoClient, queue: MemoryQueue
) -> None:
    first = await client.start(REQUEST, idempotency_key="k")
    second = await client.start(REQUEST, idempotency_key="k")

    assert first.id == second.id
    assert len(queue.turns) == 1


async def test_a_job_is_queued_later_where_the_queue_is_away(
    client: VideoClient, queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.cluster.enqueuing._PAUSES", (0.01,) * 50)
    queue.is_away = True

    await client.start(REQUEST)
    assert queue.turns == []
    queue.is_away = False

    async with asyncio.timeout(60):
        while not queue.turns:  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.01)


async def test_a_job_whose_inputs_cannot_be_shared_for_long_is_queued_once_they_can_be(
    client: VideoClient, queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.cluster.enqueuing._PAUSES", (0.01, 0.01))
    failures = [StorageError("it is away")] * 9

    async def fail_for_long(sharing: Sharing) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(Sharing, "send_inputs", fail_for_long)
    job = await client.start(REQUEST)
    assert worker(client).owners.list_unworked() == ()  # so that only its maker can queue it

    async with asyncio.timeout(60):
        while not queue.turns:  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.01)
    assert worker(client).owners.list_unworked() == (job.id,)


async def test_a_job_whose_caller_gave_up_before_it_was_queued_is_not_forgotten(
    client: VideoClient, queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.cluster.enqueuing._PAUSES", (0.01,))
    starting = await giving_up(client.start(REQUEST), monkeypatch)

    assert starting.cancelled()
    async with asyncio.timeout(60):
        while not queue.turns:  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(0.01)


async def test_a_caller_that_gives_up_before_the_job_was_queued_stops_it(
    client: VideoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = await giving_up(client.generate(REQUEST), monkeypatch)

    assert starting.cancelled()
    assert [job.status for job in await client.list()] == [JobStatus.CANCELLED]


async def giving_up(
    call: Coroutine[object, object, VideoJob], monkeypatch: pytest.MonkeyPatch
) -> "asyncio.Task[VideoJob]":
    """Cancel a call for a new job while the inputs of the job are shared."""
    is_sharing, send = asyncio.Event(), Sharing.send_inputs

    async def share_for_long(sharing: Sharing) -> None:
        is_sharing.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(Sharing, "send_inputs", share_for_long)
    starting = asyncio.create_task(call)
    await is_sharing.wait()
    monkeypatch.setattr(Sharing, "send_inputs", send)
    starting.cancel()
    async with asyncio.timeout(30):
        await asyncio.wait({starting})
    return starting


async def test_whoever_waits_hears_what_happens_elsewhere(
    client: VideoClient, queue: MemoryQueue
) -> None:
    heard: list[str] = []
    waiting = asyncio.create_task(
        client.generate(REQUEST, on_event=lambda event: heard.append(event.event.type))
    )
    while not queue.turns:  # noqa: ASYNC110  # nothing says when
        await asyncio.sleep(0.01)
    job_id, ledger = queue.turns[0].job_id, worker(client)

    with ledger.owners.claim(job_id):
        for event in (JobStarted(), JobProgressed(phase="render"), JobCompleted()):
            ledger.events.append(job_id, event, NOW)

    assert (await waiting).status is JobStatus.COMPLETED
    assert heard == ["job.started", "job.progressed", "job.completed"]


async def test_a_job_that_nobody_has_begun_is_cancelled_here_and_its_turn_ends(
    client: VideoClient, queue: MemoryQueue
) -> None:
    job = await client.start(REQUEST)

    cancelled = await client.cancel(job.id)

    assert cancelled.status is JobStatus.CANCELLED
    assert [turn.stage for turn in queue.turns] == [Stage.ENDED]


async def test_a_job_that_a_worker_has_is_asked_to_stop(
    client: VideoClient, queue: MemoryQueue
) -> None:
    job = await client.start(REQUEST)
    ledger = worker(client)

    with ledger.owners.claim(job.id):
        before = await client.cancel(job.id)
        asked = ledger.owners.is_cancel_requested(job.id)

    assert not before.status.is_terminal
    assert asked
    assert [turn.stage for turn in queue.turns] == [Stage.QUEUED]


async def test_a_job_that_was_sent_and_is_worked_on_by_nobody_is_stopped_by_its_next_turn(
    client: VideoClient, queue: MemoryQueue
) -> None:
    job = await client.start(REQUEST)
    ledger = worker(client)
    with ledger.owners.claim(job.id):
        intent = ledger.submissions.record_intent(job.id, 0, NOW)
        ledger.submissions.mark_accepted(intent, OperationRef(backend="b", operation_id="o"))
    queue.change(lambda turn: True, stage=Stage.ENDED)

    await client.cancel(job.id)

    assert [turn.name for turn in await queue.list_open()] == [f"{job.id}.turn-1"]
    with ledger.owners.claim(job.id):
        assert ledger.owners.is_cancel_requested(job.id)


async def test_a_job_of_unknown_outcome_is_resumed_by_a_worker(
    client: VideoClient, queue: MemoryQueue
) -> None:
    job = await client.start(REQUEST)
    ledger = worker(client)
    error = ErrorInfo(code="submit_uncertain", message="the reply was lost")
    with ledger.owners.claim(job.id):
        ledger.events.append(job.id, JobOutcomeUnknown(error=error), NOW)
    queue.change(lambda turn: True, stage=Stage.ENDED)

    await client.begin_resume(job.id)

    (turn,) = await queue.list_open()
    assert (turn.number, queue.priorities[turn.name]) == (1, AGAIN)


async def test_a_job_is_resumed_though_its_worker_has_yet_to_leave_it(
    client: VideoClient, queue: MemoryQueue
) -> None:
    job = await client.start(REQUEST)
    ledger = worker(client)
    queue.change(lambda turn: True, stage=Stage.RUNNING)
    error = ErrorInfo(code="submit_uncertain", message="the reply was lost")
    with ledger.owners.claim(job.id):
        ledger.events.append(job.id, JobOutcomeUnknown(error=error), NOW)
        resuming = asyncio.create_task(client.begin_resume(job.id))
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.1)
    queue.change(lambda turn: True, stage=Stage.ENDED)

    await resuming

    assert {turn.name for turn in await queue.list_open()} == queue.resuming != set()


async def test_a_job_that_is_over_is_not_queued_again(
    client: VideoClient, queue: MemoryQueue
) -> None:
    job = await client.start(REQUEST)
    ledger = worker(client)
    error = ErrorInfo(code="generation_failed", message="no")
    with ledger.owners.claim(job.id):
        ledger.events.append(job.id, JobFailed(error=error), NOW)
    queue.change(lambda turn: True, stage=Stage.ENDED)

    resumed = await client.resume(job.id)

    assert resumed.status is JobStatus.FAILED
    assert await queue.list_open() == []


async def test_a_caller_that_gives_up_stops_the_job(
    client: VideoClient, queue: MemoryQueue
) -> None:
    waiting = asyncio.create_task(client.generate(REQUEST))
    while not queue.turns:  # noqa: ASYNC110  # nothing says when
        await asyncio.sleep(0.01)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert (await client.get(queue.turns[0].job_id)).status is JobStatus.CANCELLED
