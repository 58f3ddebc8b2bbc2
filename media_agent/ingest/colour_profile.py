"""The colour space that an image says its numbers are of (ICC), made sRGB. Pillow at first use."""

import io
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from media_agent.ingest.file_parts import content_of, parts_of

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

Conversion = Callable[["Frames"], "Frames"]

_LARGEST = 8 << 20  # bytes of a profile; those of printers have two or three million
_JPEG_NAME = b"ICC_PROFILE\0"
_HOLDERS = (b"iCCP", b"ICCP", b"\xe2")  # in a PNG, WebP, JPEG
_MODES = {"RGB": "RGB", "GRAY": "L"}
_SAME = 2  # levels; sRGB to sRGB is off by one for rounding
# Red, green and blue of sRGB as its profile has them: XYZ as seen in the light of D50.
_SRGB = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7139),
}


class ProfileError(Exception):
    """The profile cannot be used; the message says why, as the end of a sentence."""


def read_profile(file: BinaryIO) -> bytes | None:
    """Return the colour profile of a PNG, JPEG or WebP, None where it has none.

    Raises:
        HostileError: it has far too many parts.
    """
    segments: dict[int, bytes] = {}
    for part in parts_of(file):
        content = content_of(file, part, _LARGEST) if part.kind in _HOLDERS else b""
        if part.kind == b"iCCP":
            return _unpack(content.partition(b"\0")[2][1:])
        if part.kind == b"ICCP":
            return content
        if content.startswith(_JPEG_NAME):  # in segments of 64 KiB, each with its number
            content = content.removeprefix(_JPEG_NAME)
            segments[content[0] if content else 0] = content[2:]
    return b"".join(segments[number] for number in sorted(segments)) or None


def _unpack(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, _LARGEST)
    except zlib.error:
        return packed  # damaged, as whoever opens it says


def build_srgb_conversion(profile: bytes) -> Conversion | None:
    """Return what makes pixels (uint8, H W 3) of this profile sRGB; None where they are already.

    Raises:
        ProfileError: it is damaged, of other colours than red, green and blue, or Pillow is absent.
    """
    if find_spec("PIL") is None:
        if _has_colours_of_srgb(profile):
            return None
        raise ProfileError("to convert it needs Pillow")
    from PIL import ImageCms

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(opened.profile.xcolor_space.strip())
        if mode is None:
            raise ProfileError(f"it is of {opened.profile.xcolor_space.strip()} colours")
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:  # its words may not even be ASCII
        raise ProfileError("it is damaged") from error

    def convert(pixels: "Frames") -> "Frames":
        import numpy as np
        from PIL import Image

        own = pixels if mode == "RGB" else np.ascontiguousarray(pixels[..., 0])
        changed = ImageCms.applyTransform(Image.fromarray(own), transform)
        return np.asarray(cast("Any", changed), dtype=np.uint8)

    return convert if _changes(convert, mode) else None


def _changes(convert: Conversion, mode: str) -> bool:
    """Whether colours, or only grays where it knows no others, become others."""
    import numpy as np

    levels = np.array([0, 40, 90, 140, 190, 255], np.uint8)
    pixels = np.repeat(levels[None, :, None], 3, axis=2)
    if mode == "RGB":
        pixels = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    return int(np.abs(convert(pixels).astype(int) - pixels).max()) > _SAME


def _has_colours_of_srgb(profile: bytes) -> bool:
    """Whether its red, green and blue are those of sRGB; how it says gray is not looked at."""
    count = int.from_bytes(profile[128:132], "big")
    tags = (profile[start : start + 12] for start in range(132, 132 + 12 * min(count, 100), 12))
    places = {tag[:4]: int.from_bytes(tag[4:8], "big") for tag in tags}
    return all(
        kind in places
        and max(abs(a - b) for a, b in zip(_xyz(profile, places[kind]), own, strict=True)) < 0.002
        for kind, own in _SRGB.items()
    )


def _xyz(profile: bytes, place: int) -> list[float]:
    numbers = (profile[at : at + 4] for at in range(place + 8, place + 20, 4))
    return [int.from_bytes(number, "big", signed=True) / 65536 for number in numbers]
