"""A process that runs a program, and ends all of it when whoever asked for it is gone.

It is started as a script, `guard.py SECONDS PROGRAM [WORD...]`, with a pipe as its input: the pipe
closes when the process at its other end lets go, or dies, however it dies. The program may start
others that make sessions of their own and outlive it; orphans become children of this process
(on Linux), so that none of them is out of sight.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

_SET_CHILD_SUBREAPER = 36  # of prctl(2)
_INPUT = 0
_LOOK_SECONDS = 0.05
_STEP_SECONDS = 0.02  # between two looks whether all has ended
_NOT_STARTED = 127  # exit code, as a shell has it


def main(grace_seconds: float, words: Sequence[str]) -> int:
    """Run the program to its end, or until the input closes; return its exit code."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    _adopt_orphans()
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201  # its log
        return _NOT_STARTED
    try:
        while process.poll() is None and not _is_let_go():
            pass
    finally:
        _end_all(grace_seconds)
    code = process.wait()
    return code if code >= 0 else 128 - code  # as a shell has it


def _adopt_orphans() -> None:
    with suppress(AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _is_let_go() -> bool:
    """Wait a little for the end of the input."""
    ready, _, _ = select.select([_INPUT], [], [], _LOOK_SECONDS)
    return bool(ready) and not os.read(_INPUT, 1)


def _end_all(grace_seconds: float) -> None:
    """End everything that was started, politely, then not."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is being done
    deadline = time.monotonic() + grace_seconds
    for each in _list_running():
        _signal(each, signal.SIGTERM)
    while _list_running() and time.monotonic() < deadline:
        time.sleep(_STEP_SECONDS)
    while running := _list_running():  # it may start others meanwhile
        for each in running:
            _signal(each, signal.SIGKILL)
        time.sleep(_STEP_SECONDS)


def _list_running() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if _is_running(each)]


def _is_running(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _signal(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
