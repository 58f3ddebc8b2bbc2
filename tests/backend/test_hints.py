"""Hints: they end a pause between two polls, not too often, and change nothing else."""

import asyncio
from pathlib import Path

import pytest

from media_agent.backend import hints
from media_agent.backend.hints import Hints
from media_agent.errors import BackendRateLimitError
from media_agent_schemas.events import JobCompleted, JobProgressed
from media_agent_schemas.request import VideoRequest
from tests.backend.test_polled import ScriptedBackend

REQUEST = VideoRequest(prompt="a cat")
WORKING = JobProgressed(phase="generate")

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "LEAST_SECONDS", 0.01)


async def forever(seconds: float) -> None:
    await asyncio.Event().wait()


async def observe(backend: ScriptedBackend) -> tuple[str, "asyncio.Task[list[object]]"]:
    """Return the id of work, and the task that waits for its end, in its first pause."""
    ref = await backend.submit(REQUEST, key="k")

    async def collect() -> list[object]:
        return [event async for event in backend.observe(ref)]

    task = asyncio.create_task(collect())
    await asyncio.sleep(0.005)
    assert not task.done()
    return ref.operation_id, task


async def test_a_hint_ends_the_pause(tmp_path: Path) -> None:
    backend = ScriptedBackend(tmp_path, WORKING, JobCompleted(), sleep=forever)
    work, task = await observe(backend)

    backend.settings.hints.give("scripted", "another")
    backend.settings.hints.give("another", work)
    await asyncio.sleep(0.005)
    assert not task.done()
    backend.settings.hints.give("scripted", work)

    async with asyncio.timeout(60):
        assert isinstance((await task)[-1], JobCompleted)


async def test_a_hint_is_not_heard_while_the_provider_wants_a_pause(tmp_path: Path) -> None:
    busy = BackendRateLimitError("too often", retry_after=30)
    backend = ScriptedBackend(tmp_path, busy, JobCompleted(), sleep=forever)
    work, task = await observe(backend)

    backend.settings.hints.give("scripted", work)
    await asyncio.sleep(0.03)

    assert not task.done()
    task.cancel()


async def test_hints_without_end_poll_no_more_than_once_in_a_while(tmp_path: Path) -> None:
    polls = 0

    def count(backend: ScriptedBackend) -> JobProgressed:
        nonlocal polls
        polls += 1
        return WORKING

    backend = ScriptedBackend(tmp_path, count, sleep=forever)
    work, task = await observe(backend)
    loop = asyncio.get_running_loop()
    began = loop.time()

    while loop.time() < began + 0.05:
        backend.settings.hints.give("scripted", work)
        await asyncio.sleep(0)
    task.cancel()

    assert 2 <= polls <= 7


async def test_hints_do_not_put_the_deadline_off(tmp_path: Path) -> None:
    backend = ScriptedBackend(tmp_path, WORKING, sleep=forever, deadline_seconds=0.05)
    work, task = await observe(backend)

    async with asyncio.timeout(60):
        while not task.done():
            backend.settings.hints.give("scripted", work)
            await asyncio.sleep(0.002)

    assert "has not finished" in str(task.result()[-1])


async def test_nothing_is_kept_of_work_that_is_over(tmp_path: Path) -> None:
    backend = ScriptedBackend(tmp_path, JobCompleted())
    ref = await backend.submit(REQUEST, key="k")
    assert [event async for event in backend.observe(ref)]

    backend.settings.hints.give("scripted", ref.operation_id)

    assert not vars(backend.settings.hints)["_waiting"]


async def test_a_hint_that_came_too_soon_is_said_later() -> None:
    heard = Hints()
    with heard.listen("b", "op") as hint:
        heard.give("b", "op")
        await hint.wait()
        hint.clear()
        heard.give("b", "op")
        heard.give("b", "op")
        async with asyncio.timeout(60):
            await hint.wait()
