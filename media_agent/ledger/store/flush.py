"""Puts on disk what was committed; those who wait at the same time share one flush.

A commit is in the file, and survives this process, before it is on disk; a crash of the machine
may undo it until then. A flush takes milliseconds whatever it writes: so it comes after the commit,
and one serves all commits before it.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from media_agent.storage.files import storage_errors

_sync = getattr(os, "fdatasync", os.fsync)


def flush_log(path: Path) -> None:
    """Return when all that was committed to a SQLite file before this call is on disk.

    Raises:
        StorageError: nobody knows whether it is.
    """
    with storage_errors(str(path)), contextlib.suppress(FileNotFoundError):
        # where there is no log, all is in the database
        file = os.open(path.with_name(f"{path.name}-wal"), os.O_RDWR)
        try:
            _sync(file)
        finally:
            os.close(file)


class Flushes:
    """The flushes of one database."""

    def __init__(self, flush: Callable[[], None]) -> None:
        """Begin; `flush` returns when all that was committed before it is on disk, or raises."""
        self._flush = flush
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None  # that has not begun
        self._thread: ThreadPoolExecutor | None = None  # its own: others may be busy for long

    async def wait(self) -> None:
        """Return when all that was committed before this call is on disk; raises as `flush`."""
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._flush_in_turn())
        await asyncio.shield(self._next)

    def close(self) -> None:
        """Let the thread end; the next flush begins another."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()

    async def _flush_in_turn(self) -> None:
        async with self._turn:
            self._next = None  # what is committed from now on is not of this one
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "media-agent-flush")
            await asyncio.get_running_loop().run_in_executor(self._thread, self._flush)
