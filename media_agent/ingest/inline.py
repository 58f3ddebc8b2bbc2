"""A video that stands in an answer where its address was due: as a `data:` address, or bare."""

import base64
import contextlib
import re
import urllib.parse

from media_agent.errors import VideoNotFetchedError
from media_agent.video.container import LARGEST_VIDEO

_BASE64 = re.compile(r"(?:AAAA|GkXf)[A-Za-z0-9+/_\s-]{60,}={0,2}\s*")  # an MP4, a WebM


def is_inline(uri: str) -> bool:
    """Return whether a video itself stands where its address was due."""
    return uri[:5].lower() == "data:" or _BASE64.fullmatch(uri) is not None


def read_inline_video(uri: str, max_bytes: int = LARGEST_VIDEO) -> bytes | None:
    """Return the bytes of a video that stands where its address was due; None: it is an address.

    Raises:
        VideoNotFetchedError: it is malformed or too large.
    """
    if not is_inline(uri):
        return None
    kind, comma, text = uri.partition(",")
    is_base64 = not comma or "base64" in re.split(r"\s*;\s*", kind.strip().lower())[1:]
    text = text if comma else uri
    if len(text) > max_bytes * 4 / 3 + 4:
        raise VideoNotFetchedError(f"the video is larger than the {max_bytes} bytes allowed")
    raw = urllib.parse.unquote_to_bytes(text)
    if is_base64:
        raw = b"".join(raw.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        with contextlib.suppress(ValueError):
            return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    else:
        return raw
    raise VideoNotFetchedError("the video is in a data: address that cannot be read as base64")
