"""A few jobs begin at a time, so that hundreds created at once leave room for everything else.

While new ones are asked for, none begins: whoever asks is answered first. But nobody waits long for
that, however many ask.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator

BEGINNING = 16  # jobs that are being submitted at once; the others stand in the ledger, queued
LONGEST_SECONDS = 2.0  # a service that answers only when its video is made keeps nobody waiting
PATIENCE_SECONDS = 1.0  # that a job gives way to those who ask for others
_SETTLED_SECONDS = 0.02  # without anybody who asks: time to send the answer


class Turns:
    """Gives turns to begin; each ends when its holder has begun, or takes long."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(BEGINNING)
        self._asking = 0
        self._is_quiet = asyncio.Event()
        self._is_quiet.set()
        self._settling: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Let those who have yet to begin give way: somebody asks for a job while this lasts."""
        self._asking += 1
        self._is_quiet.clear()
        if self._settling is not None:
            self._settling.cancel()
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:
                loop = asyncio.get_running_loop()
                self._settling = loop.call_later(_SETTLED_SECONDS, self._is_quiet.set)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncGenerator[Callable[[], None], None]:
        """Wait for a turn; call what is given to end it before the context does."""
        until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        await self._free.acquire()
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._free.release()

        try:
            await self._give_way(until)
            timer = asyncio.get_running_loop().call_later(LONGEST_SECONDS, end)
            try:
                yield end
            finally:
                timer.cancel()
        finally:
            end()

    async def _give_way(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._is_quiet.wait()
