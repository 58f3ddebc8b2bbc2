"""The client without an event loop: the same calls, and work that continues by itself."""

import asyncio
import signal
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.loop_thread import LoopThread
from media_agent.sync import BlockingVideoClient
from media_agent_schemas import JobStatus, Size, VideoJob, VideoRequest
from media_agent_schemas.events import JobEvent

SLATE = VideoRequest(
    prompt="a cat", duration=0.5, size=Size(width=64, height=36), seed=0, model="sandbox"
)
SLOW = SLATE.model_copy(update={"options": {"sandbox": {"latency_seconds": 60}}})
# close is called otherwise; the others are for those who have an event loop: servers and workers
ITS_OWN = ("aclose", "work_on", "work_queues", "bring_files")
CALLS = [
    name
    for name, member in vars(VideoClient).items()
    if callable(member) and not name.startswith("_") and name not in ITS_OWN
]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[BlockingVideoClient]:
    with BlockingVideoClient(settings=load_settings(data_dir=tmp_path / "data")) as client:
        yield client


def ended(client: BlockingVideoClient, job_id: str) -> VideoJob:
    deadline = time.monotonic() + 60
    while not (job := client.get(job_id)).status.is_terminal:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


@pytest.mark.parametrize("name", CALLS)
def test_every_call_of_the_client_is_there_with_the_same_arguments(name: str) -> None:
    blocking, whole = getattr(BlockingVideoClient, name), getattr(VideoClient, name)

    assert signature(blocking) == signature(whole)
    assert blocking.__doc__ == whole.__doc__


def test_a_started_video_continues_without_another_call(
    client: BlockingVideoClient, tmp_path: Path
) -> None:
    job = client.start(SLATE, out=tmp_path / "cat.mp4")
    deadline = time.monotonic() + 60
    while not (tmp_path / "cat.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert ended(client, job.id).status is JobStatus.COMPLETED


def test_another_thread_can_cancel_what_this_one_waits_for(client: BlockingVideoClient) -> None:
    job_id = client.new_job_id()

    def cancel(_: JobEvent) -> None:
        threading.Thread(target=client.cancel, args=[job_id]).start()

    job = client.generate(SLOW, job_id=job_id, on_event=cancel)

    assert job.status is JobStatus.CANCELLED


def test_a_call_where_the_work_runs_is_refused_instead_of_waiting_for_itself(
    client: BlockingVideoClient,
) -> None:
    said: list[str] = []

    def listener(event: JobEvent) -> None:
        with pytest.raises(RuntimeError) as caught:
            client.list()
        said.append(str(caught.value))

    job = client.generate(SLATE, on_event=listener)

    assert job.status is JobStatus.COMPLETED
    assert said
    assert all("another thread" in each for each in said)


def test_ctrl_c_is_raised_when_the_work_has_stopped(client: BlockingVideoClient) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(event: JobEvent) -> None:
        if event.sequence == 0:
            signal.pthread_kill(main, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        client.generate(SLOW, on_event=interrupt)

    assert [job.status for job in client.list()] == [JobStatus.CANCELLED]
    assert client.generate(SLATE).status is JobStatus.COMPLETED


def test_what_ctrl_c_comes_before_is_stopped_as_well() -> None:
    main, said = threading.main_thread().ident, list[str]()
    assert main is not None
    is_asked, may_begin = threading.Event(), threading.Event()

    class BusyLoop(LoopThread):
        def soon(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
            begun = super().soon(work)
            is_asked.set()
            return begun

    async def be_busy() -> None:
        may_begin.wait()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            said.append("stopped")

    def interrupt() -> None:
        is_asked.wait()
        time.sleep(0.1)  # until it waits
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.1)
        may_begin.set()

    loop = BusyLoop()
    loop.soon(be_busy())
    is_asked.clear()
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        loop.run(work())
    heard = list(said)
    loop.close()

    assert heard == ["stopped"]


def test_a_call_that_comes_while_the_client_is_closed_is_refused() -> None:
    loop, is_ending, may_end = LoopThread(), threading.Event(), threading.Event()

    async def end_slowly() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            is_ending.set()
            while not may_end.is_set():  # noqa: ASYNC110  # it is set in another thread
                await asyncio.sleep(0.01)

    async def work() -> None:
        await asyncio.sleep(60)

    begun = loop.soon(end_slowly())
    closing = threading.Thread(target=loop.close)
    loop.run(asyncio.sleep(0))
    closing.start()
    assert is_ending.wait(60)

    with pytest.raises(RuntimeError, match="the client is closed"):
        loop.run(work())
    may_end.set()
    closing.join(60)

    assert not closing.is_alive()
    assert begun.cancelled()


def test_a_client_that_is_closed_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()

    with BlockingVideoClient(settings=load_settings(data_dir=tmp_path)) as client:
        client.start(SLOW)

    assert threading.active_count() == before
