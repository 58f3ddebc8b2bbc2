"""The parts that the files of images consist of, read before any decoder sees them.

FFmpeg's PNG decoder unpacks every text and colour profile whole, whatever it grows to: a megabyte
becomes gigabytes. So it gets the chunks that make pixels, each looked at, and no other.
"""

import io
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import BinaryIO, NamedTuple

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
MOST_PIXELS = 64_000_000
"""Of one image or frame."""
_MOST_PARTS = 50_000
_MOST_SCANS = 100  # of a JPEG, each of which goes over all its pixels; usual are ten
_MOST_BESIDE = 32 << 20  # bytes of a JPEG or WebP that make no pixels
_BYTES_OF_A_PIXEL = 24  # of a JPEG at its worst
_BLOCK = 1 << 20  # bytes
_PIXELS = (b"IDAT", b"fdAT")
_SMALL = b"IHDR PLTE tRNS IEND acTL fcTL pHYs eXIf gAMA cHRM sRGB cICP sBIT mDCV cLLI".split()
_LARGEST_SMALL = 1 << 16  # bytes
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's colour type
_BESIDE = re.compile(rb"[\xe0-\xef\xfe]|ICCP|EXIF|XMP ")
_FRAME = re.compile(rb"[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]")  # what tells a JPEG's size
_END = b"\xd9"
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")


class HostileError(Exception):
    """The parts make no sense for an image; the message says why."""


class Part(NamedTuple):
    """A chunk or segment of a file: its kind, and where its content is."""

    kind: bytes
    place: int
    size: int


def media_type_of(head: bytes) -> str | None:
    """Return the media type of an image or video by its first 12 bytes; None: another kind."""
    if head.startswith(PNG):
        return "image/png"
    if head.startswith(JPEG):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return "video/mp4"
    return "video/webm" if head.startswith(b"\x1aE\xdf\xa3") else None


def parts_of(file: BinaryIO) -> Iterator[Part]:
    """Yield the parts of a PNG, JPEG or WebP up to its end or to where it is damaged.

    Raises:
        HostileError: there are far too many.
    """
    file.seek(0)
    readers = {"image/png": _walk_png, "image/jpeg": _walk_jpeg, "image/webp": _walk_webp}
    reader = readers.get(media_type_of(file.read(12)) or "")
    parts: Iterator[Part] = iter(()) if reader is None else reader(file)
    for number, part in enumerate(parts):
        if number == _MOST_PARTS:
            raise HostileError(f"it has more than {_MOST_PARTS} parts")
        yield part


def content_of(file: BinaryIO, part: Part, most: int = _LARGEST_SMALL) -> bytes:
    """Return the first bytes of a part."""
    file.seek(part.place)
    return file.read(min(part.size, most))


def strip_png(file: BinaryIO) -> BinaryIO:
    """Return the same file, a PNG without all that makes no pixels; nothing is copied.

    Raises:
        HostileError: it would take far more memory or time than its pixels need.
    """
    parts = list(parts_of(file))
    file.seek(0)
    if file.read(len(PNG)) != PNG:
        _check_beside(parts)
        _check_scans(file, [part for part in parts if len(part.kind) == 1])
        file.seek(0)
        return file
    _check_unpacked(file, parts)
    kept = [part for part in parts if _makes_pixels(part)]
    spans = [(0, len(PNG)), *((part.place - 8, part.place + part.size + 4) for part in kept)]
    return io.BufferedReader(_Spans(file, spans))


def _check_beside(parts: Iterable[Part]) -> None:
    """Refuse a JPEG or WebP most of which is profiles, comments and the like."""
    beside = sum(part.size for part in parts if _BESIDE.fullmatch(part.kind) is not None)
    if beside > _MOST_BESIDE:
        raise HostileError(
            f"it carries more than {_MOST_BESIDE >> 20} MiB in addition to its pixels"
        )


def _check_scans(file: BinaryIO, segments: Sequence[Part]) -> None:
    """Refuse a JPEG that takes far longer to decode than its pixels do."""
    if sum(part.kind == b"\xda" for part in segments) > _MOST_SCANS:
        raise HostileError(f"it has more than {_MOST_SCANS} scans")
    for part in segments:
        if _FRAME.fullmatch(part.kind) is not None:
            head = content_of(file, part)
            pixels = int.from_bytes(head[1:3], "big") * int.from_bytes(head[3:5], "big")
            beside = sum(each.size for each in segments if _BESIDE.fullmatch(each.kind))
            end = segments[-1].place if segments[-1].kind == _END else file.seek(0, io.SEEK_END)
            if end - beside > pixels * _BYTES_OF_A_PIXEL + _BLOCK:
                raise HostileError("it is far larger than its pixels need")


def _makes_pixels(part: Part) -> bool:
    return part.kind in _PIXELS or (part.kind in _SMALL and part.size <= _LARGEST_SMALL)


def _check_unpacked(file: BinaryIO, parts: Iterable[Part]) -> None:
    """Unpack the pixels piece by piece; a decoder would continue long after the last row."""
    unpacking, left = zlib.decompressobj(), 0
    most = 0
    for part in parts:
        if part.kind == b"IHDR":
            header = content_of(file, part)
            if _count_pixels(header) > MOST_PIXELS:
                return  # as the decoder will say at once
            most = left = _count_pixel_bytes(header)
        elif part.kind == b"fcTL":
            unpacking, left = zlib.decompressobj(), most
        elif part.kind in _PIXELS:
            try:
                left -= _measure_unpacked(file, part, unpacking, left)
            except zlib.error:
                return  # damaged, as the decoder will say
            if left < 0:
                raise HostileError("it unpacks to far more than its pixels")


def _count_pixels(header: bytes) -> int:
    return int.from_bytes(header[:4], "big") * int.from_bytes(header[4:8], "big")


def _count_pixel_bytes(header: bytes) -> int:
    """Return the bytes that the pixels of a PNG unpack to at most, with some to spare."""
    if len(header) < 13:
        return 0
    width, height = (int.from_bytes(header[place : place + 4], "big") for place in (0, 4))
    row = width * _CHANNELS.get(header[9], 4) * header[8] // 8
    return 2 * height * (row + 2) + 4096


def _measure_unpacked(file: BinaryIO, part: Part, unpacking: "zlib._Decompress", most: int) -> int:
    """Return how many bytes a part unpacks to, or a number above `most`."""
    size, start = 0, 4 if part.kind == b"fdAT" else 0
    for place in range(part.place + start, part.place + part.size, _BLOCK):
        file.seek(place)
        packed = file.read(min(_BLOCK, part.place + part.size - place))
        while packed and size <= most and not unpacking.eof:
            size += len(unpacking.decompress(packed, _BLOCK))
            packed = unpacking.unconsumed_tail
    return size


def _walk_png(file: BinaryIO) -> Iterator[Part]:
    place = len(PNG)
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[:4], "big")
        yield Part(head[4:], place + 8, size)
        place += size + 12
        if head[4:] == b"IEND":
            return


def _walk_webp(file: BinaryIO) -> Iterator[Part]:
    place = 12
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], "little")
        yield Part(head[:4], place + 8, size)
        place += 8 + size + size % 2


def _walk_jpeg(file: BinaryIO) -> Iterator[Part]:
    place = 2
    while (place := _find_marker(file, place)) > 0:
        file.seek(place)
        head = file.read(4)
        if head[1:2] == _END:
            yield Part(_END, place, 0)
        if head[1:2] == _END or len(head) < 4:
            return
        size = int.from_bytes(head[2:], "big")
        yield Part(head[1:2], place + 4, max(0, size - 2))
        place += 2 + size


def _find_marker(file: BinaryIO, place: int) -> int:
    """Return where the next marker stands, 0 if there is none; before it are pixels, or rubbish."""
    size = 64  # usually it is near
    while True:
        file.seek(place)
        block = file.read(size)
        found = _MARKER.search(block)
        if found is not None:
            return place + found.start()
        if len(block) < size:
            return 0
        place += size - 1
        size = _BLOCK


class _Spans(io.RawIOBase):
    """Some stretches of a file, one after the other, as a file."""

    def __init__(self, file: BinaryIO, spans: Iterable[tuple[int, int]]) -> None:
        self._file = file
        self._spans = _join(spans)
        self._starts = [0, *accumulate(end - start for start, end in self._spans)]
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._starts[-1]}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # named only in typeshed
        number = bisect_right(self._starts, self._place) - 1
        if number >= len(self._spans):
            return 0
        start, end = self._spans[number]
        place = start + self._place - self._starts[number]
        target = memoryview(buffer).cast("B")
        self._file.seek(place)
        found = self._file.read(min(len(target), end - place))
        target[: len(found)] = found
        self._place += len(found)
        return len(found)


def _join(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the stretches, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
