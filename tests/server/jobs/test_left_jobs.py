"""Jobs that nobody works on any more are taken up again while the server runs."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import LedgerBusyError, StorageError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import JobOptions
from media_agent.server.host import ClientHost
from media_agent.server.jobs.left_jobs import keep_adopting
from media_agent_schemas.events import BackendEvent, ChunkReady, JobEvent
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Size
from media_agent_schemas.request import VideoRequest
from tests.ledger.samples import ELSEWHERE

pytestmark = pytest.mark.anyio


class Looks:
    """Stands for a host on which each look finds what is given, and then nothing for ever."""

    def __init__(self, *found: Sequence[str] | Exception) -> None:
        self._found = list(found)
        self.pauses: list[float] = []

    async def call(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        found = self._found.pop(0)
        if isinstance(found, Exception):
            raise found
        return tuple(found)

    async def sleep(self, seconds: float) -> None:
        if not self._found:
            raise asyncio.CancelledError
        self.pauses.append(seconds)


async def pauses_of(*found: Sequence[str] | Exception) -> list[float]:
    looks = Looks(*found)
    with pytest.raises(asyncio.CancelledError):
        await keep_adopting(looks, sleep=looks.sleep)  # type: ignore[arg-type]  # stands for a host
    return looks.pauses


async def test_the_pauses_grow_while_the_same_job_is_left_again_and_again() -> None:
    assert await pauses_of(*[["a"]] * 6, ["b"], []) == [15, 15, 30, 60, 120, 120, 120, 15]


async def test_trouble_with_the_ledger_ends_no_looking() -> None:
    assert await pauses_of(StorageError("it is locked"), ["a"]) == [15, 15]


async def leave_job(host: ClientHost, job_id: str, caller: str | None = "alice") -> None:
    """Leave a job in the ledger as if its process had ended before it began."""
    request = VideoRequest(prompt="x", num_frames=2, fps=2, size=Size(width=32, height=32))
    plan = (await host.call(lambda client: client.plans(request)))[0]
    now = datetime.now(UTC)
    job = VideoJob(id=job_id, created_at=now, updated_at=now, request=request, plan=plan)
    gone = Ledger(host.client.settings.ledger_path, owner=ELSEWHERE, clock=lambda: 0.0)
    gone.jobs.create(job, JobOptions((plan,), caller=caller))


async def status_of(host: ClientHost, job_id: str) -> JobStatus:
    return (await host.read(lambda ledger: ledger.jobs.get(job_id))).status


async def test_a_job_whose_events_could_not_be_kept_for_a_while_is_observed_again() -> None:
    host = ClientHost(VideoClient(settings=load_settings(default_backend="sandbox")))
    store, failed = host.client.store, threading.Event()
    append = store.events.append

    def fail_once(job_id: str, event: BackendEvent, now: datetime) -> JobEvent | None:
        if isinstance(event, ChunkReady) and not failed.is_set():
            failed.set()
            raise LedgerBusyError("the ledger is locked")
        return append(job_id, event, now)

    store.events.append = fail_once  # type: ignore[method-assign]  # as a ledger that is locked
    request = VideoRequest(prompt="x", duration=3, fps=4, size=Size(width=32, height=32))
    try:
        job = await host.call(lambda client: client.start(request, caller="alice"))
        async with asyncio.timeout(60):
            while not (await host.call(VideoClient.adopt_left)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while await status_of(host, job.id) is not JobStatus.COMPLETED:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        done = await host.call(lambda client: client.get(job.id))
    finally:
        await host.aclose()

    assert failed.is_set()
    assert (done.chunks_ready, done.frames_ready) == (3, 12)


async def test_a_job_that_cannot_be_read_keeps_no_other_from_being_continued() -> None:
    host = ClientHost(VideoClient(settings=load_settings(default_backend="sandbox")))
    try:
        for name in ("broken", "whole"):
            await leave_job(host, name)
        with host.client.store.database.writing() as transaction:
            transaction.update("jobs", {"id": "broken"}, {"request": "{"})

        left = await host.call(VideoClient.adopt_left)

        assert left == ("broken", "whole")
        async with asyncio.timeout(60):
            while await status_of(host, "whole") is not JobStatus.COMPLETED:  # noqa: ASYNC110  # nothing says when
                await asyncio.sleep(0.01)
    finally:
        await host.aclose()


async def test_a_job_of_the_command_line_or_of_mcp_is_left_to_whoever_made_it() -> None:
    host = ClientHost(VideoClient(settings=load_settings(default_backend="sandbox")))
    try:
        await leave_job(host, "theirs", caller=None)

        assert await host.call(VideoClient.adopt_left) == ()
    finally:
        await host.aclose()
