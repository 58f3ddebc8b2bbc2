"""Threads share the heap of the process, where the C library can do that."""

import subprocess
import sys

import pytest

COUNT_HEAPS = """
import ctypes, re, sys, threading
from media_agent_diffusers.pipelines.heap import share_heap

if sys.argv[1] == "shared":
    share_heap()
libc, kept = ctypes.CDLL(None), []
malloc = libc.malloc
malloc.restype = ctypes.c_void_p
threads = [threading.Thread(target=lambda: kept.append(malloc(1000))) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p)
libc.fdopen.restype = ctypes.c_void_p
stream = libc.fdopen(1, b"w")
libc.malloc_info(0, stream)
libc.fflush(ctypes.c_void_p(stream))
"""


def count_heaps(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_HEAPS, how], capture_output=True, text=True, check=True
    )
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has heaps of threads")
def test_a_thread_that_starts_later_takes_memory_from_the_heap_of_the_process() -> None:
    assert count_heaps("own") > 1
    assert count_heaps("shared") == 1
