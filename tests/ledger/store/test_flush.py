"""What is on disk, and how few flushes that takes; a disk that fails is said to all who wait."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from media_agent.errors import StorageError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.store import flush
from media_agent_schemas import JobStarted
from tests.ledger.samples import NOW, job

pytestmark = pytest.mark.anyio


class Disk:
    """Counts the flushes of files, and holds them up or fails when it is told to."""

    def __init__(self) -> None:
        self.flushes = 0
        self.is_broken = False
        self.may_end = threading.Event()
        self.may_end.set()
        self.has_begun = threading.Event()

    def sync(self, file: int) -> None:
        self.flushes += 1
        self.has_begun.set()
        self.may_end.wait(10)
        if self.is_broken:
            raise OSError(5, "Input/output error")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> Disk:
    ledger.jobs.list()
    found = Disk()
    monkeypatch.setattr(flush, "_sync", found.sync)
    return found


async def keep(ledger: Ledger, name: str) -> None:
    ledger.jobs.create(job(name), durably=False)
    await ledger.flushed()


async def test_jobs_that_are_kept_at_the_same_time_share_a_flush(
    ledger: Ledger, disk: Disk
) -> None:
    await asyncio.gather(*(keep(ledger, f"job-{number}") for number in range(20)))

    assert len(ledger.jobs.list()) == 20
    assert 1 <= disk.flushes <= 2


async def test_what_was_written_during_a_flush_waits_for_the_next_one(
    ledger: Ledger, disk: Disk
) -> None:
    disk.may_end.clear()
    first = asyncio.create_task(keep(ledger, "first"))
    await asyncio.to_thread(disk.has_begun.wait, 10)
    later = [asyncio.create_task(keep(ledger, f"later-{number}")) for number in range(3)]
    await asyncio.sleep(0)
    disk.may_end.set()

    await first
    done_with_the_first = any(each.done() for each in later)
    await asyncio.gather(*later)

    assert not done_with_the_first
    assert disk.flushes == 2


async def test_a_disk_that_fails_is_said_to_all_who_wait_and_to_nobody_later(
    ledger: Ledger, disk: Disk
) -> None:
    disk.is_broken = True
    works = (keep(ledger, f"job-{number}") for number in range(3))
    found = await asyncio.gather(*works, return_exceptions=True)
    disk.is_broken = False
    await keep(ledger, "later")

    assert [type(each) for each in found] == [StorageError] * 3


async def test_whoever_gives_up_takes_the_flush_from_nobody(ledger: Ledger, disk: Disk) -> None:
    disk.may_end.clear()
    first, second = (asyncio.create_task(keep(ledger, name)) for name in ("first", "second"))
    await asyncio.to_thread(disk.has_begun.wait, 10)

    first.cancel()
    disk.may_end.set()

    await second
    assert first.cancelled()


def test_a_change_is_on_disk_before_it_is_told_unless_it_would_be_told_again(
    ledger: Ledger, disk: Disk
) -> None:
    ledger.jobs.create(job())
    kept = disk.flushes
    ledger.events.append("one", JobStarted(), NOW)
    started = disk.flushes
    ledger.submissions.record_intent("one", 0, NOW + timedelta(seconds=1))

    assert (kept, started, disk.flushes) == (1, 1, 2)


def test_a_change_that_cannot_be_flushed_is_an_error(ledger: Ledger, disk: Disk) -> None:
    disk.is_broken = True

    with pytest.raises(StorageError, match="ledger"):
        ledger.jobs.create(job())


def test_a_log_that_is_gone_is_in_the_database(path: Path, ledger: Ledger) -> None:
    ledger.jobs.create(job())
    ledger.close()

    flush.flush_log(path)

    assert not path.with_name(f"{path.name}-wal").exists()
