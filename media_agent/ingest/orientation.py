"""Which way up an image or video is. Frames of PyAV tell the angle, and not whether it is mirrored.

They would in what PyAV calls the data beside a frame. It is not asked for: PyAV frees the names in
it a second time, which ends the process, and stumbles over the kinds that it does not know.
"""

import math
from collections.abc import Iterator
from typing import BinaryIO, Literal

from media_agent.ingest.file_parts import content_of, parts_of
from media_agent.video.mp4.boxes import Box, read_boxes

_MIRRORED = (2, 4, 5, 7)  # of the orientations of EXIF
_ORIENTATION = 0x112
_EXIF = (b"\xe1", b"eXIf", b"EXIF")  # in a JPEG, PNG, WebP
_MOST_BOXES = 10_000


def choose_filters(rotation: int, is_mirrored: bool) -> list[str]:
    """Return the filters that turn a frame upright, from its `rotation` in degrees."""
    angle = math.radians(-rotation)
    a, b = round(math.cos(angle)), round(math.sin(angle))  # right: a x + c y, down: b x + d y
    c, d = (b, -a) if is_mirrored else (-b, a)
    is_turned = abs(b) > abs(a)
    steps = {
        "transpose": is_turned,
        "hflip": (c if is_turned else a) < 0,
        "vflip": (b if is_turned else d) < 0,
    }
    return [name for name, is_needed in steps.items() if is_needed]


def is_mirrored(file: BinaryIO, track: int) -> bool:
    """Whether a PNG, JPEG or WebP, or that track of an MP4 or MOV, says that it is a mirror image.

    Raises:
        HostileError: it has far too many parts.
    """
    for part in parts_of(file):
        if part.kind in _EXIF:
            found = _read_orientation(content_of(file, part).removeprefix(b"Exif\0\0"))
            if found is not None:
                return found in _MIRRORED
    signs = [sign for number, sign in _read_signs(file) if number in (None, track)]
    return math.prod(signs) < 0


def _read_orientation(exif: bytes) -> int | None:
    """Return the orientation, None where it says none."""
    if exif[:2] not in (b"II", b"MM"):
        return None

    def number(place: int, size: int) -> int:
        order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"
        return int.from_bytes(exif[place : place + size], order)

    first = number(4, 4) + 2
    for place in range(first, min(len(exif), first + 12 * number(first - 2, 2)), 12):
        if number(place, 2) == _ORIENTATION:
            return number(place + 8, 2)
    return None


def _read_signs(file: BinaryIO) -> Iterator[tuple[int | None, int]]:
    """Yield how the whole of an MP4 (None) and each of its tracks is mirrored: -1, else 1."""
    file.seek(0)
    if file.read(8)[4:] not in (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip"):
        return
    for box in _find_headers(file):
        file.seek(box.content)
        head = file.read(92)
        later = 12 if head[:1] == b"\1" else 0  # times of 64 bits
        matrix = 36 if box.kind == b"mvhd" else 40
        a, b, _, c, d = (
            int.from_bytes(head[place : place + 4], "big", signed=True)
            for place in range(matrix + later, matrix + later + 20, 4)
        )
        number = int.from_bytes(head[12 + (8 if later else 0) :][:4], "big")
        yield (None if box.kind == b"mvhd" else number), (-1 if a * d - b * c < 0 else 1)


def _find_headers(file: BinaryIO) -> Iterator[Box]:
    """Yield the headers of the video and of its tracks."""
    levels = [read_boxes(file, 0, file.seek(0, 2))]
    for _ in range(_MOST_BOXES):
        while (box := next(levels[-1], None)) is None:
            levels.pop()
            if not levels:
                return
        if box.kind in (b"moov", b"trak"):
            levels.append(read_boxes(file, box.content, box.end))
        elif box.kind in (b"mvhd", b"tkhd"):
            yield box
