"""What is known nowhere else is written down, also by whoever is cancelled meanwhile."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from media_agent.errors import StorageError
from media_agent.jobs.context import JobContext
from media_agent.jobs.recovery.receipts import write_patiently
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import OwnershipLostError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Writing:
    """Tries to write; each try meets the next trouble, and a wait between two never ends."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.threads: list[int] = []
        self.is_waiting = asyncio.Event()

    def write(self) -> None:
        self.threads.append(threading.get_ident())
        if self.troubles:
            raise self.troubles.pop(0)

    async def sleep(self, seconds: float) -> None:
        self.is_waiting.set()
        await asyncio.Event().wait()

    def begun(self, write: Callable[[], object] | None = None) -> "asyncio.Task[None]":
        context = JobContext(
            store=cast(Ledger, None),
            now=lambda: datetime.now(UTC),
            sleep=self.sleep,
            work_folder=Path(),
            open_backend=lambda plan: asyncio.Future(),
        )
        return asyncio.create_task(write_patiently(write or self.write, context))


@pytest.mark.parametrize(
    "then", [OwnershipLostError("gone"), StorageError("full"), OSError(28, "full"), None], ids=repr
)
async def test_who_is_cancelled_between_two_tries_tries_once_more_and_stays_cancelled(
    then: Exception | None,
) -> None:
    writing = Writing(StorageError("locked"), *([] if then is None else [then]))
    task = writing.begun()
    await writing.is_waiting.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(writing.threads) == 2
    assert threading.get_ident() not in writing.threads


async def test_who_is_cancelled_while_it_writes_in_vain_tries_once_more() -> None:
    began, may_fail = threading.Event(), threading.Event()
    writing = Writing()

    def locked_at_first() -> None:
        if not began.is_set():
            began.set()
            may_fail.wait()
            raise StorageError("locked")
        writing.write()

    task = writing.begun(locked_at_first)
    await asyncio.to_thread(began.wait)

    task.cancel()
    may_fail.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(writing.threads) == 1
