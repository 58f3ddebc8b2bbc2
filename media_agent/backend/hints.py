"""Word that work at a service may have news, so that whoever waits for it asks now.

A hint changes nothing by itself: it only ends a pause between two polls.
"""

import asyncio
import contextlib
from collections.abc import Iterator

LEAST_SECONDS = 1.0
"""Between two hints about one piece of work, however many come: anybody may send them."""


class Hint:
    """What may end a pause early, and no more often than once in `LEAST_SECONDS`."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._last: float | None = None
        self._later: asyncio.TimerHandle | None = None

    def give(self) -> None:
        """Say that there may be news; one that comes too soon after another is said later."""
        if self._later is not None:
            return
        loop = asyncio.get_running_loop()
        since = LEAST_SECONDS if self._last is None else loop.time() - self._last
        if since < LEAST_SECONDS:
            self._later = loop.call_later(LEAST_SECONDS - since, self._say)
        else:
            self._say()

    async def wait(self) -> None:
        """Wait for news."""
        await self._news.wait()

    def clear(self) -> None:
        """Forget the news that a poll is about to ask for."""
        self._news.clear()

    def close(self) -> None:
        """Say nothing more."""
        if self._later is not None:
            self._later.cancel()

    def _say(self) -> None:
        self._later, self._last = None, asyncio.get_running_loop().time()
        self._news.set()


class Hints:
    """The hints for all work that is waited for in this process; used in one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], Hint] = {}

    @contextlib.contextmanager
    def listen(self, backend: str, operation_id: str) -> Iterator[Hint]:
        """Yield what tells of news of one piece of work while the context lasts."""
        name, hint = (backend, operation_id), Hint()
        self._waiting[name] = hint
        try:
            yield hint
        finally:
            hint.close()
            if self._waiting.get(name) is hint:
                del self._waiting[name]

    def give(self, backend: str, operation_id: str) -> None:
        """Say that work may have news; nothing happens unless it is waited for here."""
        hint = self._waiting.get((backend, operation_id))
        if hint is not None:
            hint.give()
