"""What a program says while it runs, within bounds."""

import os
import re
from collections.abc import Collection
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
_MOST_LOOKED_AT = 2**16  # bytes of new output that are read at once
_LONGEST_LINE = 200  # bytes of a line that reports progress, or is not complete
_PROGRESS = re.compile(
    rb"progress[ :=]*(?P<number>\d{1,3}(?:\.\d{1,9})?) ?(?P<percent>%)?", re.IGNORECASE
)


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
        self._read = 0  # bytes, as far as lines were read
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

    def read_lines(self) -> list[bytes]:
        """Return the lines that the program has completed since the last call; of many, the newest.

        A line is over with a line feed or a carriage return, as progress bars write it.
        """
        size = os.fstat(self.file.fileno()).st_size
        start = max(self._read, size - _MOST_LOOKED_AT)
        new = os.pread(self.file.fileno(), size - start, start)
        text = (self._line if start == self._read else b"") + new
        self._read = start + len(new)
        *whole, rest = text.replace(b"\r", b"\n").split(b"\n")
        self._line = rest[-_LONGEST_LINE:]
        return whole

    def read_progress(self) -> float | None:
        """Return the newest progress, 0 to 1, that the program has reported since the last call."""
        found = (_parse_progress(line) for line in reversed(self.read_lines()))
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
