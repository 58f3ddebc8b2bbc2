"""Runs a program that may outlive us: what is paid for is not thrown away if we are killed.

It is ended with its process group when whoever asked for it lets go. Anything else belongs behind
a guard (`guarded.py`): it may be run again, and must not run twice at the same time.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_STEP_SECONDS = 0.02  # between two looks whether a group has ended


@contextmanager
def start_in_group(
    words: Sequence[str],
    *,
    folder: Path | None,
    environment: Mapping[str, str],
    output: BinaryIO,
    grace_seconds: float,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a program in a process group of its own, which does not outlive the context."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end_group(process, grace_seconds)


def _end_group(process: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
    """End a program with all that it started, politely, then not; returns when it has ended.

    What it started may outlive it, also after it has ended well.
    """
    deadline = time.monotonic() + grace_seconds
    is_there = _signal(process, signal.SIGTERM)
    while is_there and time.monotonic() < deadline:
        if process.poll() is not None and not _signal(process, 0):
            break
        time.sleep(_STEP_SECONDS)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> bool:
    """Send a signal to the group of a program; return whether any of it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
        return True
    return False
