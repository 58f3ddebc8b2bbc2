"""The keys of a server's callers, read rarely, and yet no valid one is refused."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from media_agent.ledger.ledger import Ledger
from media_agent.server.access.keyring import Keyring
from tests.server.access.conftest import NewKey

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Reads:
    """Reads the ledger, counts how often the keys are read, and has a clock that sleeps move."""

    def __init__(self, ledger: Ledger) -> None:
        self.count = 0
        self.now = 0.0
        self._ledger = ledger

    async def read(self, look: Callable[[Ledger], T]) -> T:
        self.count += 1
        return look(self._ledger)

    async def write(self, change: Callable[[Ledger], T]) -> T:
        return change(self._ledger)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds


@pytest.fixture
def reads(ledger: Ledger) -> Reads:
    return Reads(ledger)


@pytest.fixture
def keyring(reads: Reads) -> Keyring:
    return Keyring(clock=lambda: reads.now, sleep=reads.sleep)


async def test_a_key_made_right_after_a_read_is_found(
    keyring: Keyring, reads: Reads, new_key: NewKey
) -> None:
    assert await keyring.find(new_key(), reads) is not None
    reads.now += 0.01

    found = await keyring.find(new_key(owner="bob"), reads)

    assert found is not None
    assert found.terms.owner == "bob"


async def test_one_read_serves_all_unknown_keys_that_wait(
    keyring: Keyring, reads: Reads, new_key: NewKey
) -> None:
    assert await keyring.has_any(reads) is False
    reads.now += 0.01
    valid = new_key()

    found = await asyncio.gather(
        *(keyring.find(f"sk-ma-{number}-x", reads) for number in range(50)),
        keyring.find(valid, reads),
    )

    assert [each is None for each in found] == [True] * 50 + [False]
    assert reads.count == 2


async def test_unknown_keys_one_after_another_cost_at_most_ten_reads_a_second(
    keyring: Keyring, reads: Reads
) -> None:
    for number in range(20):
        assert await keyring.find(f"sk-ma-{number}-x", reads) is None

    assert reads.now >= 0.1 * (reads.count - 1) - 1e-6


async def test_a_known_key_waits_for_no_read(
    keyring: Keyring, reads: Reads, new_key: NewKey
) -> None:
    secret = new_key()
    await keyring.find(secret, reads)

    for _ in range(5):
        assert await keyring.find(secret, reads) is not None

    assert (reads.count, reads.now) == (1, 0.0)


async def test_a_key_that_ended_is_refused_once_the_keys_are_read_again(
    keyring: Keyring, reads: Reads, ledger: Ledger, new_key: NewKey
) -> None:
    secret = new_key()
    await keyring.find(secret, reads)
    ledger.api_keys.revoke(ledger.api_keys.list()[0].id, datetime.now(UTC))

    reads.now += 5.0

    assert await keyring.find(secret, reads) is None


async def test_a_ledger_that_is_locked_holds_up_no_key_that_is_known(
    keyring: Keyring,
    reads: Reads,
    ledger: Ledger,
    new_key: NewKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("media_agent.server.access.keyring._PATIENCE", 0.01)
    secret = new_key()

    async def write(change: Callable[[Ledger], T]) -> T:  # its use
        await asyncio.sleep(60)
        return change(ledger)

    monkeypatch.setattr(reads, "write", write)

    async with asyncio.timeout(30):
        assert await keyring.find(secret, reads) is not None
