"""Runs a program that may not outlive us, not even if we are killed: a guard between us ends it."""

import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

GRACE_SECONDS = 15.0
"""From the polite signal to the other one, where nothing else is said."""
_GUARD = Path(__file__).with_name("guard.py")
_SLACK_SECONDS = 10.0  # for the guard to see that all has ended


@contextmanager
def start_guarded(
    words: Sequence[str],
    *,
    folder: Path | None,
    environment: Mapping[str, str],
    output: BinaryIO,
    keeps: Collection[int] = (),
    grace_seconds: float = GRACE_SECONDS,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a program; nothing of it outlives the context, or this process.

    Args:
        words: The program and its arguments.
        folder: Its working directory; None: ours.
        environment: All of its environment variables.
        output: The file that takes what it says.
        keeps: Open files that stay open until all of it has ended, whatever becomes of us.
        grace_seconds: From the polite signal to the other one.
    """
    guard = subprocess.Popen(
        [sys.executable, "-P", str(_GUARD), str(grace_seconds), *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=tuple(keeps),
        start_new_session=True,  # Ctrl-C at our terminal is for us
    )
    try:
        yield guard
    finally:
        if guard.stdin is not None:
            guard.stdin.close()
        try:
            guard.wait(grace_seconds + _SLACK_SECONDS)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()
