"""Where the memory of threads comes from."""

import ctypes
import sys
from functools import cache

_ARENA_MAX = -8  # of glibc's mallopt


@cache
def share_heap() -> None:
    """Let threads that start from now on take memory from the heap of the whole process.

    glibc gives each thread a heap of its own, and what one frees no other can use: next to what the
    process freed while it started, the peak of a small model became 100 MB higher in a thread.
    Elsewhere than on Linux, and with another C library, nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
