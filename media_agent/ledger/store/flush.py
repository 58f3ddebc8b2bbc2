"""Puts on disk what was committed; those who wait at the same time share one flush.

A commit is in the file, and survives this process, before it is on disk; a crash of the machine
may undo it until then. A flush takes milliseconds whatever it writes: so it comes after the commit,
and one serves all commits before it.
"""

import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from media_agent.storage.files import storage_errors

_sync = getattr(os, "fdatasync", os.fsync)


class Flushes:
    """The flushes of one database with a write-ahead log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None  # that has not begun
        self._thread: ThreadPoolExecutor | None = None  # its own: others may be busy for long

    def flush(self) -> None:
        """Return when all that was committed before this call is on disk.

        Raises:
            StorageError: nobody knows whether it is.
        """
        with storage_errors(str(self._path)), contextlib.suppress(FileNotFoundError):
            file = os.open(self._log, os.O_RDWR)  # where it is gone, all is in the database
            try:
                _sync(file)
            finally:
                os.close(file)

    async def wait(self) -> None:
        """Return when all that was committed before this call is on disk, as `flush` does."""
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
            await asyncio.get_running_loop().run_in_executor(self._thread, self.flush)
