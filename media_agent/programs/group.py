"""The end of a program and of its process group."""

import os
import signal
import subprocess
import time
from contextlib import suppress

_STEP_SECONDS = 0.02  # between two looks whether a group has ended


def end_group(process: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
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
