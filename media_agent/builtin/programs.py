"""A program of the user's while it runs: what it says, within bounds, and the end of all of it."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from media_agent.redact import redact_bytes

LARGEST_LOG = 10 * 2**20  # bytes
_LOOK_SECONDS = 0.1  # between two looks
_SOON = 0.01  # to the next look at a program that says much
_KEPT = 0.5  # of the largest log, when it is cut
_TAIL_BYTES = 1000  # of the program's output, in an error
_LONGEST_KEY = 4096  # bytes; one that begins before the tail is hidden whole
_MOST_LOOKED_AT = 2**16  # bytes of new output in which progress is looked for
_LONGEST_LINE = 200  # bytes of a line that reports progress
_PROGRESS = re.compile(
    rb"progress[ :=]*(?P<number>\d{1,3}(?:\.\d{1,9})?) ?(?P<percent>%)?", re.IGNORECASE
)
_STEP_SECONDS = 0.02  # between two looks whether a group has ended


class ProgramLog:
    """What a program says, in a file: a pipe would end the program with us, and its video be lost.

    The program writes to the file itself, at its end; when it has become too large, its first part
    is cut off.
    """

    def __init__(
        self, path: Path, secrets: Collection[str] = (), *, largest: int = LARGEST_LOG
    ) -> None:
        self.path = path
        self.file = path.open("a+b", buffering=0)
        self._secrets = secrets
        self._largest = largest
        self._read = 0  # bytes, as far as progress was looked for
        self._line = b""  # the last one, which may not be complete
        self.file.truncate(0)  # of an earlier run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.keep_bounded()
        finally:
            self.file.close()

    def keep_bounded(self) -> float:
        """Cut the log if it has become too large; return the seconds to the next look."""
        size = os.fstat(self.file.fileno()).st_size
        if size <= self._largest:
            return _LOOK_SECONDS
        kept = int(self._largest * _KEPT)
        newest = os.pread(self.file.fileno(), kept, size - kept)
        self.file.truncate(0)
        self.file.write(f"[{size - kept} bytes before this were cut off]\n".encode() + newest)
        self._read, self._line = os.fstat(self.file.fileno()).st_size, b""
        return _SOON

    def read_progress(self) -> float | None:
        """Return the newest progress, 0 to 1, that the program has reported since the last call.

        A line is over with a line feed or a carriage return, as progress bars write it.
        """
        size = os.fstat(self.file.fileno()).st_size
        start = max(self._read, size - _MOST_LOOKED_AT)
        new = os.pread(self.file.fileno(), size - start, start)
        text = (self._line if start == self._read else b"") + new
        self._read = start + len(new)
        *whole, rest = text.replace(b"\r", b"\n").split(b"\n")
        self._line = rest[-_LONGEST_LINE:]
        found = (_parse_progress(line) for line in reversed(whole))
        return next((fraction for fraction in found if fraction is not None), None)

    def read_last_words(self) -> str:
        """Return the end of the program's output, without keys, for an error."""
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - _TAIL_BYTES - _LONGEST_KEY))
            said = redact_bytes(file.read(_TAIL_BYTES + _LONGEST_KEY), self._secrets)
        tail = said[-_TAIL_BYTES:].decode("utf-8", "replace").strip()
        return f": {tail}" if tail else " without any output"


def _parse_progress(line: bytes) -> float | None:
    """Return the fraction that a line reports, None if it reports none."""
    found = _PROGRESS.fullmatch(line[:_LONGEST_LINE].strip())
    if found is None:
        return None
    number = float(found["number"])
    fraction = number / 100 if found["percent"] else number
    return fraction if 0 <= fraction <= 1 else None


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
