"""All who listen to a job hear all of it, in order, once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest

from media_agent.errors import JobNotFoundError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.api_keys import LOCAL
from media_agent.server.access.caller import Caller
from media_agent.server.host import ClientHost
from media_agent.server.live.events import EventHub
from media_agent_schemas.events import ChunkReady, JobCompleted, JobProgressed, JobStarted
from tests.ledger.samples import NOW, append_all, job, progress

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Host:
    """Reads a ledger, and counts how often."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.reads = 0

    async def read(self, look: Callable[[Ledger], T]) -> T:
        self.reads += 1
        return look(self.ledger)


class SlowHost(Host):
    """Reads a ledger; what was read next is told only when it may be."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.holds_next = False
        self.is_held, self.may_tell = asyncio.Event(), asyncio.Event()

    async def read(self, look: Callable[[Ledger], T]) -> T:
        holds, self.holds_next = self.holds_next, False
        found = await super().read(look)
        if holds:
            self.is_held.set()
            await self.may_tell.wait()
        return found


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.jobs.create(job())
    return ledger


@pytest.fixture
async def hub(ledger: Ledger) -> AsyncIterator[EventHub]:
    hub = EventHub(cast(ClientHost, Host(ledger)), look_seconds=0.001)
    yield hub
    hub.close()


async def hear(hub: EventHub, after: int = -1, *, slowness: float = 0.0) -> list[int]:
    heard = []
    async for told in hub.listen("one", after, pause=5):
        heard += [each.event.sequence for each in told]
        await asyncio.sleep(slowness)
    return heard


async def test_a_thousand_listeners_hear_every_event(ledger: Ledger, hub: EventHub) -> None:
    append_all(ledger, JobStarted(), progress(1))
    listening = [asyncio.create_task(hear(hub, number % 3 - 1)) for number in range(1000)]
    await asyncio.sleep(0.01)
    assert hub.listeners == 1000

    for number in range(2, 40):
        append_all(ledger, progress(number))
        await asyncio.sleep(0)
    append_all(ledger, JobCompleted())

    heard = await asyncio.gather(*listening)
    assert [each[-1] for each in heard] == [40] * 1000
    assert all(each == list(range(number % 3, 41)) for number, each in enumerate(heard))
    assert cast(Host, hub._host).reads < 100
    assert hub.listeners == 0


async def test_a_slow_listener_misses_nothing_though_little_is_remembered(
    ledger: Ledger, hub: EventHub
) -> None:
    append_all(ledger, JobStarted())
    slow = asyncio.create_task(hear(hub, slowness=0.02))
    quick = asyncio.create_task(hear(hub))
    await asyncio.sleep(0.005)

    for start in range(0, 600, 300):
        for number in range(start, start + 300):
            append_all(ledger, progress(number))
        await asyncio.sleep(0.005)
    append_all(ledger, JobCompleted())

    assert await slow == await quick == list(range(602))


async def test_whoever_comes_back_during_a_look_hears_nothing_twice(ledger: Ledger) -> None:
    append_all(ledger, JobStarted())
    host = SlowHost(ledger)
    hub = EventHub(cast(ClientHost, host), look_seconds=0.001)
    before = hub.listen("one", -1, pause=5)
    await anext(before)
    host.holds_next = True
    append_all(ledger, progress(1))
    await host.is_held.wait()  # a look has found event 1, and nobody was told of it yet

    await before.aclose()
    append_all(ledger, progress(2), progress(3))
    back = hub.listen("one", 0, pause=5)
    heard = [each.event.sequence for each in await anext(back)]
    host.may_tell.set()
    append_all(ledger, JobCompleted())
    async with asyncio.timeout(60):
        heard += [each.event.sequence async for told in back for each in told]
    hub.close()

    assert heard == [1, 2, 3, 4]


async def test_whoever_knows_the_end_is_let_go_at_once(ledger: Ledger, hub: EventHub) -> None:
    append_all(ledger, JobStarted(), JobCompleted())

    assert await hear(hub, 1) == []
    assert await hear(hub, 10**9) == []
    assert await hear(hub, 0) == [1]


async def test_a_job_that_is_removed_ends_its_listeners(ledger: Ledger, hub: EventHub) -> None:
    listening = asyncio.create_task(hear(hub))
    await asyncio.sleep(0.005)

    ledger.jobs.remove("one")

    assert await listening == []
    with pytest.raises(JobNotFoundError):
        await hear(hub)


async def test_a_job_that_cannot_be_read_keeps_no_news_from_others(
    ledger: Ledger, hub: EventHub
) -> None:
    ledger.jobs.create(job("two"))
    append_all(ledger, JobStarted())
    ledger.events.append("two", JobStarted(), NOW)
    unreadable = asyncio.ensure_future(anext(hub.listen("two", 0, pause=5)))
    listening = asyncio.create_task(hear(hub))
    await asyncio.sleep(0.01)

    with ledger.database.writing() as transaction:
        transaction.change("UPDATE events SET sequence = 1, event = '{' WHERE job_id = 'two'")
    await asyncio.sleep(0.01)
    append_all(ledger, JobCompleted(artifacts=()))

    async with asyncio.timeout(60):
        assert await listening == [0, 1]
    unreadable.cancel()


async def test_listeners_of_a_quiet_job_are_told_that_all_is_well(hub: EventHub) -> None:
    news = hub.listen("one", -1, pause=0.001)

    assert await anext(news) == ()
    assert await anext(news) == ()
    await news.aclose()


async def test_closing_lets_everybody_go(hub: EventHub) -> None:
    listening = [asyncio.create_task(hear(hub)) for _ in range(3)]
    await asyncio.sleep(0.005)

    hub.close()

    assert await asyncio.gather(*listening) == [[], [], []]


async def test_a_caller_elsewhere_sees_no_path(ledger: Ledger, hub: EventHub) -> None:
    append_all(ledger, ChunkReady(index=0, frames=1, path="/data/work/one/video.part.mp4"))
    append_all(ledger, JobProgressed(phase="x", message="wrote /data/work/one/a.txt"))

    (chunk, said) = await anext(hub.listen("one", -1, pause=5))

    here = Caller(LOCAL, frozenset(), sees_all=True, is_remote=False)
    elsewhere = Caller("else", frozenset())
    assert b"/data/work" in chunk.for_caller(here)
    assert b"/data/work" not in chunk.for_caller(elsewhere) + said.for_caller(elsewhere)
    assert b"wrote a.txt" in said.for_caller(elsewhere)
    assert chunk.for_caller(here).startswith(b"id: 0\nevent: chunk.ready\ndata: {")
    assert NOW
