"""Whether a video file is complete, judged by what the file states about its own parts."""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from media_agent.errors import StorageError
from media_agent.video.container import open_video
from media_agent.video.mp4.boxes import SMALLEST, Box, read_boxes

if TYPE_CHECKING:
    from av.container import InputContainer

_EBML = b"\x1aE\xdf\xa3"  # what a WebM begins with
_SEGMENT, _CLUSTER = b"\x18S\x80g", b"\x1fC\xb6u"
_BOXES = frozenset(
    b"ftyp moov mdat moof mfra free skip wide uuid sidx ssix styp emsg prft pdin meta udta".split()
)
_LARGEST_INDEX = 2**20  # bytes
HEAD = 12
"""So many of its first bytes tell what a file is."""


def is_video(head: bytes) -> bool:
    """Whether a file that begins so is an MP4 or a WebM; what it is called proves nothing."""
    is_avi = head.startswith(b"RIFF") and head[8:12] == b"AVI "
    return head[4:8] in _BOXES or head.startswith(_EBML) or is_avi


def is_image(head: bytes) -> bool:
    """Whether a file that begins so is a PNG, a JPEG, a GIF or a WebP, animated or not."""
    is_webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    return is_webp or head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8"))


def check_whole(path: Path) -> None:
    """Look for parts that a video file mentions but does not contain.

    Raises:
        StorageError: something is missing, or it is no video; in words.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(HEAD)
        if head.startswith(_EBML):
            flaw = _find_webm_flaw(file, size)
        elif head.startswith(b"RIFF"):
            flaw = _find_overrun("its list", int.from_bytes(head[4:8], "little") + 8, size)
        else:
            flaw = _find_mp4_flaw(file, size)
    if flaw is not None:
        raise StorageError(f"the video is cut off: {flaw}")
    with open_video(path) as video:
        _check_index(video, size)
        _check_end(video)


def _find_mp4_flaw(file: BinaryIO, size: int) -> str | None:
    """Say which box of an MP4 ends behind the end of the file, or is missing."""
    last, place, in_fragments = b"", 0, False
    for box in read_boxes(file, 0, size):
        if box.kind not in _BOXES:  # some files have an odd tail
            break
        if box.end > size:
            return _find_overrun(f"its part {box.kind.decode('ascii')!r}", box.end, size)
        if box.kind == b"sidx" and (named := _end_of_fragments(file, box)) > size:
            return _find_overrun("a fragment that its index names", named, size)
        last, place, in_fragments = box.kind, box.end, in_fragments or box.kind == b"moof"
    if last == b"moof":
        return "the frames of its last fragment are missing"
    if in_fragments and 0 < size - place < SMALLEST:
        return "its last part is incomplete"
    return None


def _end_of_fragments(file: BinaryIO, index: Box) -> int:
    """Return where the last of the fragments ends that a `sidx` box names."""
    file.seek(index.start)
    box = file.read(min(index.end - index.start, _LARGEST_INDEX))
    wide = 8 if box[8:9] > b"\0" else 4  # bytes of a place in the file; by version
    first = int.from_bytes(box[20 + wide : 20 + 2 * wide], "big")
    count = int.from_bytes(box[22 + 2 * wide : 24 + 2 * wide], "big")
    names = [box[at : at + 4] for at in range(24 + 2 * wide, len(box) - 11, 12)][:count]
    return index.end + first + sum(int.from_bytes(name, "big") & 0x7FFFFFFF for name in names)


def _find_webm_flaw(file: BinaryIO, size: int) -> str | None:
    """Say which element of a WebM ends behind the end of the file; not all say where they end."""
    file.seek(0)
    while file.tell() < size:
        kind, length = _read_kind(file), _read_number(file)
        start = file.tell()
        if length is not None and start + length > size:
            return _find_overrun("a part of it", start + length, size)
        if kind in (_SEGMENT, _CLUSTER):  # look into it
            continue
        if not kind or length is None:
            return None
        file.seek(length, 1)
    return None


def _find_overrun(what: str, end: int, size: int) -> str | None:
    return f"{what} ends {end - size} bytes after the end of the file" if end > size else None


def _read_kind(file: BinaryIO) -> bytes:
    """Read what an element is; empty where none begins."""
    first = file.read(1)
    width = 9 - first[0].bit_length() if first and first[0] else 9
    return first + file.read(width - 1) if width <= 4 else b""


def _read_number(file: BinaryIO) -> int | None:
    """Read one of EBML's numbers; None: unknown, as a live recording says."""
    first = file.read(1)
    width = 9 - first[0].bit_length() if first and first[0] else 9
    if width > 8:
        return None
    value = int.from_bytes(first + file.read(width - 1), "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else value


def _check_index(video: "InputContainer", size: int) -> None:
    for stream in video.streams:
        if stream.type not in ("video", "audio"):
            continue
        entries = stream.index_entries
        ends = (entry.pos + entry.size for entry in entries)
        missing = sum(1 for end in ends if end > size)
        if missing:
            what = "frames" if stream.type == "video" else "audio packets"
            raise StorageError(
                f"the video is cut off: {missing} of the {len(entries)} {what} that its index "
                "names are not in it"
            )


def _check_end(video: "InputContainer") -> None:
    """Decode from the last key frame on; a file of the right size may end in nothing but zeros."""
    import av

    stream = video.streams.video[0]
    if stream.duration is not None:
        try:
            video.seek(stream.duration + (stream.start_time or 0), stream=stream)
        except av.error.FFmpegError:
            return  # it cannot be sought in, as a stream that grows
    try:
        frames = sum(1 for _ in video.decode(stream))
    except av.error.InvalidDataError as error:
        raise StorageError("the end of the video cannot be decoded") from error
    if not frames:
        raise StorageError("the end of the video cannot be decoded: no frame is there")
