"""Whose turn it is: of programs that need all of a device, one runs at a time."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def take_turn(path: Path, wait: Callable[[], None]) -> Iterator[int]:
    """Hold the lock file of a device, and yield its descriptor.

    A process that inherits the descriptor holds it too, until it ends: also a program whose
    starter was killed keeps its turn.

    Args:
        path: The lock file; it stays.
        wait: Called as long as it is the turn of another; it takes a while, or raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        while not _try_lock(file.fileno()):
            wait()
        yield file.fileno()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
