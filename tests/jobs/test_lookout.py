"""One look for all jobs: only those are disturbed of which something is asked."""

import asyncio
from pathlib import Path

import pytest

from media_agent.errors import StorageError
from media_agent.jobs import stopping
from media_agent.jobs.lookout import Lookout
from media_agent.ledger.ledger import Ledger
from media_agent_schemas import ChangePrompt
from tests.ledger.samples import job, rival

pytestmark = pytest.mark.anyio


class Watched:
    last_command = 0
    is_stopping = False

    def __init__(self) -> None:
        self.has_looked = asyncio.Event()

    async def look(self) -> None:
        self.has_looked.set()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "LOOK_SECONDS", 0.001)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


async def test_a_command_of_another_process_is_for_its_job_alone(ledger: Ledger) -> None:
    for name in ("one", "two"):
        ledger.jobs.create(job(name))
    one, two, lookout = Watched(), Watched(), Lookout(ledger)

    async with lookout.watching("one", one), lookout.watching("two", two), asyncio.timeout(60):
        rival(ledger.database.path, alive=True).commands.add("two", ChangePrompt(prompt="a cat"))
        await two.has_looked.wait()

    assert not one.has_looked.is_set()


async def test_a_job_that_another_process_took_looks(ledger: Ledger) -> None:
    ledger.jobs.create(job("one"))
    one, lookout = Watched(), Lookout(ledger)

    with rival(ledger.database.path, alive=True).owners.claim("one", force=True):
        async with lookout.watching("one", one), asyncio.timeout(60):
            await one.has_looked.wait()


async def test_a_job_that_is_to_stop_looks_until_its_backend_has_heard(ledger: Ledger) -> None:
    ledger.jobs.create(job("one"))
    one, lookout = Watched(), Lookout(ledger)
    one.is_stopping = True

    async with lookout.watching("one", one), asyncio.timeout(60):
        await one.has_looked.wait()
        one.has_looked.clear()
        await one.has_looked.wait()


async def test_all_look_for_themselves_where_the_ledger_cannot_be_read(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(seen: object) -> set[str]:
        raise StorageError("the disk is gone")

    monkeypatch.setattr(ledger.owners, "find_asked", broken)
    one, two, lookout = Watched(), Watched(), Lookout(ledger)

    async with lookout.watching("one", one), lookout.watching("two", two), asyncio.timeout(60):
        await one.has_looked.wait()
        await two.has_looked.wait()


async def test_nobody_looks_when_no_job_is_left(ledger: Ledger) -> None:
    lookout = Lookout(ledger)

    async with lookout.watching("one", Watched()):
        during = len(asyncio.all_tasks())

    assert len(asyncio.all_tasks()) == during - 1
