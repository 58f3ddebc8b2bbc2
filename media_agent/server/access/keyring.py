"""The API keys as a server knows them: read every few seconds, so that a call costs no SQL."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from media_agent.errors import StorageError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.api_keys import ApiKey, id_of

FRESH_SECONDS = 5.0
"""How long a key that was revoked may still be taken for valid."""
PAUSE_SECONDS = 0.1
"""The least time between two reads, however many unknown keys are tried."""
_PATIENCE = 0.5  # seconds in which a use of a key should be kept; a ledger may be locked for long

T = TypeVar("T")


class LedgerThreads(Protocol):
    """Runs something over the ledger beside the event loop."""

    def read(self, look: Callable[[Ledger], T], /) -> Awaitable[T]:
        """Return what it found."""
        ...

    def write(self, change: Callable[[Ledger], T], /) -> Awaitable[T]:
        """Return what it came to."""
        ...


class Keyring:
    """All keys of the ledger, as they were a few seconds ago."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys: Mapping[str, ApiKey] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._noted: dict[str, datetime] = {}
        self._clock = clock
        self._sleep = sleep
        self._now = now

    async def has_any(self, ledger: LedgerThreads) -> bool:
        """Return whether there is any key, also one that is over."""
        await self._refresh(ledger, self._clock() - FRESH_SECONDS)
        return bool(self._keys)

    async def find(self, secret: str, ledger: LedgerThreads) -> ApiKey | None:
        """Return the valid key that this is, None if it is none.

        A key that is not known yet waits for a read that begins now: it may be a moment old.
        """
        name = id_of(secret)
        if name is None:
            return None
        asked_at = self._clock()
        await self._refresh(ledger, asked_at - FRESH_SECONDS)
        if name not in self._keys:
            await self._refresh(ledger, asked_at)
        key = self._keys.get(name)
        if key is None or not key.is_of(secret):
            return None
        return await self._in_use(key, ledger)

    async def find_by_id(self, key_id: str, ledger: LedgerThreads) -> ApiKey | None:
        """Return the valid key of an id that a session stands for."""
        await self._refresh(ledger, self._clock() - FRESH_SECONDS)
        key = self._keys.get(key_id)
        return None if key is None else await self._in_use(key, ledger)

    async def _in_use(self, key: ApiKey, ledger: LedgerThreads) -> ApiKey | None:
        now = self._now()
        if not key.is_valid(now):
            return None
        if key.is_use_news(now, self._noted.get(key.id)):
            self._noted[key.id] = now
            with contextlib.suppress(StorageError, TimeoutError):  # that keeps nobody out
                async with asyncio.timeout(_PATIENCE):
                    await ledger.write(lambda found: found.api_keys.note_use(key.id, now))
        return key

    async def _refresh(self, ledger: LedgerThreads, since: float) -> None:
        """Have the keys as they were at that time or later; one read does it for all that wait."""
        if self._was_read(since):
            return
        async with self._reading:
            if self._was_read(since):
                return
            if self._read_at is not None:
                await self._sleep(max(0.0, self._read_at + PAUSE_SECONDS - self._clock()))
            begun = self._clock()
            keys: Sequence[ApiKey] = await ledger.read(lambda found: found.api_keys.list())
            self._keys, self._read_at = {key.id: key for key in keys}, begun

    def _was_read(self, since: float) -> bool:
        return self._read_at is not None and self._read_at > since
