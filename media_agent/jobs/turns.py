"""A few jobs begin at a time, so that hundreds created at once leave room for everything else."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

BEGINNING = 16  # jobs that are being submitted at once; the others stand in the ledger, queued
LONGEST_SECONDS = 2.0  # a service that answers only when its video is made keeps nobody waiting


class Turns:
    """Gives turns to begin; each ends when its holder has begun, or takes long."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(BEGINNING)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncGenerator[Callable[[], None], None]:
        """Wait for a turn; call what is given to end it before the context does."""
        await self._free.acquire()
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._free.release()

        timer = asyncio.get_running_loop().call_later(LONGEST_SECONDS, end)
        try:
            yield end
        finally:
            timer.cancel()
            end()
