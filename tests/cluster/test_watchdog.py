"""What is done for jobs whose worker is gone, each round of any worker."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from media_agent.cluster.turns import VERSION, Stage, Turn
from media_agent.cluster.watchdog import Tended, Watchdog
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import Owner
from media_agent_schemas import JobCancelled, JobStarted
from tests.cluster.fakes import MemoryQueue
from tests.ledger.samples import NOW, job

pytestmark = pytest.mark.anyio

DEAD = Owner(host="elsewhere", pid=1, started="then", token="dead")
ALIVE = Owner(host="elsewhere", pid=2, started="then", token="alive")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, is_owner_alive=lambda owner, silent: owner != DEAD)
    yield ledger
    ledger.close()


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue()


def free(ledger: Ledger, job_id: str) -> None:
    """Keep a job that nobody owns."""
    ledger.jobs.create(job(job_id))
    with ledger.owners.claim(job_id):
        pass


def tending(ledger: Ledger, queue: MemoryQueue, now: float = 1e9) -> Watchdog:
    return Watchdog(ledger, queue, {}, clock=lambda: now)


async def test_a_turn_of_a_dead_worker_is_queued_again_and_one_of_a_living_worker_is_not(
    ledger: Ledger, queue: MemoryQueue
) -> None:
    with Ledger(ledger.database.path, owner=ALIVE).owners.showing_life():  # type: ignore[attr-defined]  # a file
        queue.turns = [
            Turn("one", 0, Stage.RUNNING, "b", VERSION, str(DEAD)),
            Turn("two", 0, Stage.RUNNING, "b", VERSION, str(ALIVE)),
            Turn("three", 0, Stage.QUEUED, "b", VERSION, None),
        ]

        tended = await tending(ledger, queue).tend()

    assert tended == Tended(handed_over=1)
    assert [turn.stage for turn in queue.turns] == [Stage.QUEUED, Stage.RUNNING, Stage.QUEUED]


async def test_a_job_that_is_handed_over_is_named_in_the_log_with_the_worker_that_is_gone(
    ledger: Ledger, queue: MemoryQueue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "media_agent.jobs")
    free(ledger, "waited")
    free(ledger, "new")
    queue.turns = [
        Turn("ran", 0, Stage.RUNNING, "b", VERSION, str(DEAD)),
        Turn("waited", 0, Stage.ENDED, "b", VERSION, str(DEAD), ended_at=1.0),
    ]

    await tending(ledger, queue).tend()

    assert caplog.messages == [
        "job ran: queued again, process 1 on elsewhere no longer works on it",
        "job waited: queued again, process 1 on elsewhere no longer works on it",
    ]


async def test_a_job_that_cannot_be_read_holds_up_no_other(
    ledger: Ledger, queue: MemoryQueue, caplog: pytest.LogCaptureFixture
) -> None:
    free(ledger, "damaged")
    free(ledger, "whole")
    with ledger.database.writing() as transaction:
        transaction.change("UPDATE jobs SET plans = '[]' WHERE id = 'damaged'")

    tended = await tending(ledger, queue).tend()

    assert tended == Tended(begun=1)
    assert [turn.job_id for turn in queue.turns] == ["whole"]
    assert "job damaged cannot be queued: job damaged cannot be read" in caplog.text


async def test_a_job_that_was_kept_and_never_queued_gets_its_first_turn(
    ledger: Ledger, queue: MemoryQueue
) -> None:
    free(ledger, "one")

    tended = await tending(ledger, queue).tend()

    assert tended == Tended(begun=1)
    assert [turn.name for turn in queue.turns] == ["one.turn-0"]


async def test_a_job_whose_worker_died_while_it_waited_gets_its_next_turn(
    ledger: Ledger, queue: MemoryQueue
) -> None:
    free(ledger, "one")
    ledger.events.append("one", JobStarted(), NOW)
    queue.turns = [Turn("one", 3, Stage.ENDED, "b", VERSION, "w", ended_at=1.0)]

    await tending(ledger, queue).tend()
    await tending(ledger, queue).tend()

    assert [turn.name for turn in queue.turns] == ["one.turn-3", "one.turn-4"]


async def test_a_job_that_ended_or_is_worked_on_or_is_queued_gets_none(
    ledger: Ledger, queue: MemoryQueue
) -> None:
    for name in ("ended", "owned", "queued"):
        free(ledger, name)
    ledger.events.append("ended", JobCancelled(model="m"), NOW)
    queue.turns = [Turn("queued", 0, Stage.QUEUED, "b", VERSION, None)]

    with ledger.owners.claim("owned"):
        tended = await tending(ledger, queue).tend()

    assert tended == Tended()
    assert len(queue.turns) == 1


async def test_a_job_that_could_not_go_on_has_a_rest_before_its_next_turn(
    ledger: Ledger, queue: MemoryQueue
) -> None:
    free(ledger, "one")
    queue.turns = [Turn("one", 4, Stage.ENDED, "b", VERSION, "w", ended_at=1000.0)]

    early = await tending(ledger, queue, now=1010.0).tend()
    late = await tending(ledger, queue, now=1020.0).tend()

    assert (early, late) == (Tended(), Tended(begun=1))


async def test_what_is_queued_for_an_older_version_is_carried_over_and_a_newer_one_left(
    ledger: Ledger, queue: MemoryQueue
) -> None:
    old = Turn("one", 2, Stage.QUEUED, "b", VERSION - 1, None)
    newer = replace(old, job_id="two", version=VERSION + 1)
    running = replace(old, job_id="three", stage=Stage.RUNNING, worker=ledger.owners.name)
    queue.turns = [old, newer, running]

    tended = await tending(ledger, queue).tend()

    assert tended == Tended(carried_over=1)
    assert [(turn.name, turn.version) for turn in await queue.list_open()] == [
        ("two.turn-2", VERSION + 1),
        ("three.turn-2", VERSION - 1),
        ("one.turn-3", VERSION),
    ]


async def test_one_worker_at_a_time_looks_after_others(ledger: Ledger, queue: MemoryQueue) -> None:
    free(ledger, "one")
    other = Ledger(ledger.database.path)  # type: ignore[attr-defined]  # a file

    with other.owners.tending() as is_ours:
        nothing = await tending(ledger, queue).tend()
    something = await tending(ledger, queue).tend()

    assert is_ours
    assert (nothing, something) == (None, Tended(begun=1))
    other.close()
