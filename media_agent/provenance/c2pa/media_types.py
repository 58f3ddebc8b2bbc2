"""What kind of file something is, by its first bytes, for those that may have a manifest."""

from typing import BinaryIO

UNKNOWN = "application/octet-stream"
_STARTS = (
    (0, b"\x89PNG", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (0, b"GIF8", "image/gif"),
    (8, b"WAVE", "audio/wav"),
    (8, b"avif", "image/avif"),
    (8, b"heic", "image/heic"),
    (8, b"qt  ", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
)


def find_media_type(file: BinaryIO) -> str:
    """Return the media type of a file, which is read from its beginning afterwards."""
    head = file.read(16)
    file.seek(0)
    kinds = (kind for place, sign, kind in _STARTS if head[place : place + len(sign)] == sign)
    return next(kinds, UNKNOWN)
