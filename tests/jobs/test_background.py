"""Jobs that nobody waits for: begun at once, let go of at the end, resumed later."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import IdempotencyConflictError, InvalidRequestError, StorageError
from media_agent.ledger.store import flush
from media_agent.storage.destination import Destination
from media_agent_hosted.providers.fal.simulator import FalSimulator
from media_agent_schemas import JobStatus, Size, VideoJob, VideoRequest

pytestmark = pytest.mark.anyio

FAL = "fal/fal-ai/wan/v2.2-a14b/text-to-video"
SLATE = VideoRequest(
    prompt="a cat", duration=0.5, size=Size(width=64, height=36), seed=0, model="sandbox"
)


@pytest.fixture
def simulator() -> Iterator[FalSimulator]:
    with FalSimulator(queued_polls=3, running_polls=3) as running:
        yield running


def new_client(folder: Path, simulator: FalSimulator | None = None) -> VideoClient:
    url = None if simulator is None else simulator.url
    fal = {"key": "any", "base_url": url, "options": {"poll_seconds": 0.05}}
    (folder / "none.toml").touch()
    return VideoClient(
        settings=load_settings(
            config=folder / "none.toml", data_dir=folder / "data", backends={"fal": fal}
        )
    )


async def ended(client: VideoClient, job_id: str) -> VideoJob:
    async with asyncio.timeout(60):
        while not (job := await client.get(job_id)).status.is_terminal:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return job


async def test_a_job_is_kept_before_it_is_returned_and_ends_by_itself(tmp_path: Path) -> None:
    async with new_client(tmp_path) as client:
        started = await client.start(SLATE, out=tmp_path / "cat.mp4")
        done = await ended(client, started.id)

    assert started.status is JobStatus.QUEUED
    assert done.status is JobStatus.COMPLETED
    assert done.artifacts[0].path == str(tmp_path / "cat.mp4")


async def test_many_jobs_run_at_the_same_time(tmp_path: Path) -> None:
    async with new_client(tmp_path) as client:
        jobs = [await client.start(SLATE.model_copy(update={"seed": n})) for n in range(4)]
        done = await asyncio.gather(*[ended(client, job.id) for job in jobs])

    assert {job.status for job in done} == {JobStatus.COMPLETED}
    assert len({job.id for job in done}) == 4


async def test_a_place_that_cannot_be_used_leaves_no_job(tmp_path: Path) -> None:
    async with new_client(tmp_path) as client:
        with pytest.raises(InvalidRequestError, match="no such folder"):
            await client.start(SLATE, out=tmp_path / "nowhere" / "cat.mp4")

        assert await client.list() == []


async def test_a_key_with_another_request_is_refused(tmp_path: Path) -> None:
    async with new_client(tmp_path) as client:
        job = await client.start(SLATE, idempotency_key="one")

        with pytest.raises(IdempotencyConflictError):
            await client.start(SLATE.model_copy(update={"seed": 1}), idempotency_key="one")
        await ended(client, job.id)


async def test_a_job_begun_in_the_background_can_be_cancelled(tmp_path: Path) -> None:
    slow = SLATE.model_copy(update={"options": {"sandbox": {"latency_seconds": 60}}})
    async with new_client(tmp_path) as client:
        job = await client.start(slow)
        await asyncio.sleep(0)
        await client.cancel(job.id)

        assert (await ended(client, job.id)).status is JobStatus.CANCELLED


async def test_paid_work_is_not_stopped_when_the_client_is_closed_and_is_resumed(
    tmp_path: Path, simulator: FalSimulator
) -> None:
    request = VideoRequest(prompt="a cat", seed=0, model=FAL)
    async with new_client(tmp_path, simulator) as client:
        job = await client.start(request, idempotency_key="mine")
        async with asyncio.timeout(60):
            while simulator.accepted == 0:  # noqa: ASYNC110  # it is another thread
                await asyncio.sleep(0.01)
    left = client.store.jobs.get(job.id)
    client.store.close()

    async with new_client(tmp_path, simulator) as later:
        again = await later.start(request, idempotency_key="mine")
        done = await ended(later, again.id)

    assert not left.status.is_terminal
    assert not any(each.is_cancelled for each in simulator.jobs.values())
    assert again.id == job.id
    assert (done.status, simulator.accepted) == (JobStatus.COMPLETED, 1)


async def test_nothing_is_sent_before_job_and_intent_are_on_disk(
    tmp_path: Path, simulator: FalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_before = list[int]()
    sync = flush._sync

    def flush_it(file: int) -> None:
        sync(file)
        sent_before.append(len(simulator.jobs))

    monkeypatch.setattr(flush, "_sync", flush_it)
    async with new_client(tmp_path, simulator) as client:
        started = await client.start(SLATE.model_copy(update={"model": FAL}))
        kept = len(sent_before)
        await ended(client, started.id)

    assert sent_before[:kept] == [0] * kept
    assert kept > 0
    assert sent_before[kept] == 0  # the intent


async def test_a_job_that_is_found_again_is_on_disk_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: int) -> None:
        raise OSError(5, "Input/output error")

    async with new_client(tmp_path) as client:
        job = await ended(client, (await client.start(SLATE)).id)
        with monkeypatch.context() as broken:
            broken.setattr(flush, "_sync", fail)
            with pytest.raises(StorageError):
                await client.adopt(job.id)


async def test_a_job_that_cannot_be_put_on_disk_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with new_client(tmp_path) as client:
        await client.start(SLATE)

        def fail(file: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(flush, "_sync", fail)
            with pytest.raises(StorageError):
                await client.start(SLATE, idempotency_key="one")

        assert len(await client.list()) == 1
        assert not client.knows("one")


async def test_a_job_is_let_go_of_only_once_nothing_is_put_in_its_place_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = Destination.publish
    has_begun, has_ended = asyncio.Event(), threading.Event()

    def publish_slowly(
        place: Destination, source: Path, *, complete: bool, number: int = 1
    ) -> Path:
        loop.call_soon_threadsafe(has_begun.set)
        time.sleep(0.5)
        published = publish(place, source, complete=complete, number=number)
        has_ended.set()
        return published

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(Destination, "publish", publish_slowly)
    async with new_client(tmp_path) as client:
        job = await client.start(SLATE, out=tmp_path / "cat.mp4")
        await has_begun.wait()
        await client._running.let_go()
        assert has_ended.is_set()

    async with new_client(tmp_path) as client:
        assert (await client.resume(job.id)).status is JobStatus.COMPLETED
