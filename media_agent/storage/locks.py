"""Locks between processes: a file that one process holds, until it lets go or dies."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def lock(path: Path, *, waits: bool) -> Iterator[os.stat_result]:
    """Hold a lock file while the context lasts; yields which file it is.

    The file stays, unless whoever holds it removes it. The system lets go of the lock when the
    process dies.

    Raises:
        BlockingIOError: another run holds it, and this one does not wait.
        OSError: it cannot be made, or its file system has no locks.
    """
    from filelock import FileLock, Timeout  # most commands lock nothing

    files: list[os.stat_result] = []
    held = FileLock(
        path,
        timeout=-1 if waits else 0,
        thread_local=False,
        fallback_to_soft=False,  # a soft lock would outlive its process
        on_acquired=lambda descriptor: files.append(os.fstat(descriptor)),
    )
    try:
        held.acquire()
    except Timeout:
        raise BlockingIOError(errno.EAGAIN, "another run holds it", str(path)) from None
    try:
        yield files[-1]
    finally:
        held.release()
