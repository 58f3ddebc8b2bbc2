"""Deliveries: repeated over hours, never after a success, and taken up after a restart."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from media_agent.errors import LedgerBusyError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.deliveries import Deliveries, Delivery, EndpointTerms
from media_agent.server.webhooks.deliverer import PAUSES, Deliverer, Endpoint
from media_agent.server.webhooks.sender import Attempt, Result
from media_agent_schemas import JobCompleted
from tests.ledger.samples import NOW, job

TERMS = EndpointTerms("https://shop.example/hook", ("video.completed",))
SHOP = Endpoint(TERMS, (b"a secret that is 24 bytes",))
DELIVERED = Attempt(Result.DELIVERED, "HTTP 200")
BUSY = Attempt(Result.MISSED, "HTTP 503")
GONE = Attempt(Result.GONE, "HTTP 410: it wants no more events")

pytestmark = pytest.mark.anyio


class World:
    """A clock that stands until somebody sleeps, and endpoints that answer as they are told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = NOW.timestamp()
        self.sent = list[tuple[str, str, float]]()
        self.answer: Callable[[Delivery], Attempt] = lambda delivery: BUSY
        self.start()

    def start(self, *names: str) -> None:
        """Start over, as a process does."""
        self.ledger = Ledger(self.path)
        endpoints = dict.fromkeys(names or ("shop",), SHOP)
        self.ledger.deliveries.keep_endpoints(dict.fromkeys(endpoints, TERMS), self.now)
        self.deliverer = Deliverer(
            self.ledger.deliveries, endpoints, self.send, clock=lambda: self.now
        )

    async def send(self, endpoint: Endpoint, delivery: Delivery, now: float) -> Attempt:
        self.sent.append((delivery.endpoint, delivery.id, now - NOW.timestamp()))
        return self.answer(delivery)

    def end(self, job_id: str = "one") -> None:
        self.ledger.jobs.create(job(job_id))
        self.ledger.events.append(job_id, JobCompleted(), NOW)

    async def pass_until(self, hours: float) -> None:
        """Let time go on from one due delivery to the next."""
        until = NOW.timestamp() + hours * 3600
        while True:
            while await self.deliverer.deliver_due("shop"):
                pass
            due = [each.due_at for each in self.ledger.deliveries.list(limit=99) if each.due_at]
            later = [each for each in due if each > self.now]
            if not later or min(later) > until:
                self.now = max(until, self.now)
                return
            self.now = min(later)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger.sqlite")
    yield world
    world.ledger.close()


async def test_an_event_is_sent_once_when_it_is_taken(world: World) -> None:
    world.answer = lambda delivery: DELIVERED
    world.end()

    await world.pass_until(hours=100)

    assert world.sent == [("shop", "evt_one_0", 0)]


async def test_it_is_repeated_over_hours_under_the_same_id(world: World) -> None:
    world.answer = lambda delivery: BUSY if delivery.attempts < 6 else DELIVERED
    world.end()

    await world.pass_until(hours=100)

    assert {name for _, name, _ in world.sent} == {"evt_one_0"}
    assert [at for _, _, at in world.sent] == [0, 5, 35, 155, 755, 2555]


async def test_a_dead_endpoint_is_disabled_in_words_and_its_events_wait(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.end()

    await world.pass_until(hours=100)
    world.end("two")
    await world.pass_until(hours=200)

    assert len(world.sent) == 1 + len(PAUSES)
    assert 15 * 3600 < world.sent[-1][2] < 17 * 3600
    (state,) = world.ledger.deliveries.endpoints()
    assert state.disabled == "nothing was delivered in 16 hours: HTTP 503"
    assert state.waiting == 2
    assert "media-agent webhooks test shop" in caplog.text
    world.answer = lambda delivery: DELIVERED
    world.ledger.deliveries.enable("shop", world.now)
    await world.pass_until(hours=300)
    assert [name for _, name, _ in world.sent[-2:]] == ["evt_one_0", "evt_two_0"]


async def test_an_event_that_alone_is_refused_is_given_up_and_the_others_go_on(
    world: World,
) -> None:
    world.answer = lambda delivery: BUSY if delivery.job_id == "bad" else DELIVERED
    world.end("bad")
    await world.pass_until(hours=1)
    world.end("good")

    await world.pass_until(hours=100)

    (state,) = world.ledger.deliveries.endpoints()
    assert (state.disabled, state.waiting) == (None, 0)
    assert [name for _, name, _ in world.sent].count("evt_bad_0") == 1 + len(PAUSES)


async def test_an_endpoint_that_is_gone_is_disabled_at_once(world: World) -> None:
    world.answer = lambda delivery: GONE
    world.end()

    await world.pass_until(hours=100)

    assert len(world.sent) == 1
    (state,) = world.ledger.deliveries.endpoints()
    assert (state.disabled, state.waiting) == (GONE.answer, 1)


async def test_a_restart_goes_on_where_the_last_process_was(world: World) -> None:
    world.end()
    await world.pass_until(hours=0.01)
    before = len(world.sent)
    world.ledger.close()

    world.start()
    world.answer = lambda delivery: DELIVERED
    await world.pass_until(hours=100)
    world.ledger.close()
    world.start()
    await world.pass_until(hours=200)

    assert before == 3
    assert [(name, at) for _, name, at in world.sent[before:]] == [("evt_one_0", 155)]


async def test_a_process_that_dies_over_an_attempt_loses_nothing(world: World) -> None:
    world.end()
    world.answer = lambda delivery: pytest.fail("killed")

    with pytest.raises(pytest.fail.Exception):
        await world.deliverer.deliver_due("shop")
    world.start()
    world.answer = lambda delivery: DELIVERED
    await world.pass_until(hours=1)

    assert [(name, at) for _, name, at in world.sent] == [("evt_one_0", 0), ("evt_one_0", 30)]


async def test_only_so_many_are_sent_to_one_endpoint_at_a_time(world: World) -> None:
    at_once, most = 0, 0

    async def send(endpoint: Endpoint, delivery: Delivery, now: float) -> Attempt:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return DELIVERED

    for number in range(20):
        world.end(f"job{number}")
    deliverer = Deliverer(world.ledger.deliveries, {"shop": SHOP}, send, clock=lambda: world.now)
    while await deliverer.deliver_due("shop"):
        pass

    assert most == 4
    assert world.ledger.deliveries.endpoints()[0].waiting == 0


async def test_a_slow_endpoint_delays_no_other(world: World) -> None:
    world.start("slow", "quick")
    is_sent = asyncio.Event()

    async def send(endpoint: Endpoint, delivery: Delivery, now: float) -> Attempt:
        if delivery.endpoint == "slow":
            await asyncio.Event().wait()
        is_sent.set()
        return DELIVERED

    endpoints = {"slow": SHOP, "quick": SHOP}
    deliverer = Deliverer(world.ledger.deliveries, endpoints, send, clock=lambda: world.now)
    world.end()
    task = asyncio.create_task(deliverer.run())
    async with asyncio.timeout(60):
        await is_sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    waiting = {each.name: each.waiting for each in world.ledger.deliveries.endpoints()}
    assert waiting == {"slow": 1, "quick": 0}


async def test_trouble_with_the_ledger_ends_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    is_sent = asyncio.Event()

    class Flaky(Deliveries):
        """Fails at the first of each thing that is asked of it."""

        failed: ClassVar = set[str]()

        def keep_endpoints(self, wanted: Mapping[str, EndpointTerms], now: float) -> None:
            self._fail_once("at the start, the ledger is locked")
            super().keep_endpoints(wanted, now)

        def take(self, endpoint: str, now: float, *, lease: float, most: int) -> list[Delivery]:
            self._fail_once("later, the ledger is locked")
            return super().take(endpoint, now, lease=lease, most=most)

        def _fail_once(self, message: str) -> None:
            if message not in self.failed:
                self.failed.add(message)
                raise LedgerBusyError(message)

    async def send(endpoint: Endpoint, delivery: Delivery, now: float) -> Attempt:
        is_sent.set()
        return DELIVERED

    world.end()
    deliverer = Deliverer(
        Flaky(world.ledger.database),
        {"shop": SHOP},
        send,
        clock=lambda: world.now,
        sleep=lambda seconds: asyncio.sleep(0),
    )
    task = asyncio.create_task(deliverer.run())
    async with asyncio.timeout(60):
        await is_sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert "at the start, the ledger is locked" in caplog.text
    assert "later, the ledger is locked" in caplog.text


def test_a_secret_is_not_shown_with_its_endpoint() -> None:
    assert "secret" not in repr(SHOP)
