"""The boxes that an MP4 or MOV is made of: walked through, whatever they say of their size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SMALLEST = 8  # bytes of a box without content


@dataclass(frozen=True, slots=True)
class Box:
    """One of them, by its places in the file; it may end behind the end of that."""

    kind: bytes
    start: int
    content: int
    """Where its content begins."""
    end: int


def read_boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes that follow each other in a part of a file, up to what can be none."""
    while start + SMALLEST <= end:
        file.seek(start)
        head = file.read(16)
        length, width = int.from_bytes(head[:4], "big"), SMALLEST
        if length == 1:
            length, width = int.from_bytes(head[8:], "big"), 16
        elif length == 0:  # to the end, however far that is
            length = end - start
        if len(head) < width or length < width:
            return
        yield Box(head[4:8], start, start + width, start + length)
        start += length
