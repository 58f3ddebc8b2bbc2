"""An image made to fit what a service takes: another format, fewer pixels, fewer bytes."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from media_agent.ingest.file_parts import media_type_of
from media_agent.ingest.reshape import Shaper, measure_upright
from media_agent.ingest.source import Medium, open_medium
from media_agent.video.images import as_jpeg, as_png
from media_agent_schemas.media import SMALLEST_SIDE, Size

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_LESS = 0.8  # of each side, as often as it takes
_ENCODERS: dict[str, Callable[["VideoFrame"], bytes]] = {
    "image/png": as_png,
    "image/jpeg": as_jpeg,
}


@dataclass(frozen=True, slots=True)
class FittedImage:
    """The bytes of an image that fits, and what was done to it."""

    content: bytes
    mime_type: str
    done: str | None = None
    """None: nothing, it is the image as it was given."""


def fit_image(
    content: bytes,
    name: str,
    *,
    types: Collection[str] = (),
    most_bytes: int | None = None,
    most_side: int | None = None,
    find_flaw: Callable[[int, int], str | None] = lambda width, height: None,
) -> FittedImage:
    """Return an image that is of one of the types and within the limits; one that is as it is.

    `find_flaw` says of its width and height what no conversion mends.

    Raises:
        InvalidRequestError: no PNG, JPEG or WebP image, damaged, with a flaw, or too large.
    """
    with open_medium(content, "image", name) as medium:
        image = next(iter(medium.decode()), None)
        if image is None:
            raise medium.given.unusable_error("it holds no image")
        across, down, aspect = measure_upright(medium, image)
        width, height = max(1, round(across * aspect)), down
        flaw = find_flaw(width, height)
        if flaw is not None:
            raise medium.given.unusable_error(flaw, "give another image")
        own = media_type_of(content[:12]) or ""
        is_small = most_side is None or max(width, height) <= most_side
        is_light = most_bytes is None or len(content) <= most_bytes
        if is_small and is_light and (not types or own in types):
            return FittedImage(content, own)
        scale = 1.0 if is_small or most_side is None else most_side / max(width, height)
        return _convert(medium, image, scale, types, most_bytes, (width, height))


def _convert(
    medium: Medium,
    image: "VideoFrame",
    scale: float,
    types: Collection[str],
    most_bytes: int | None,
    own: tuple[int, int],
) -> FittedImage:
    width, height = own
    formats = [each for each in _ENCODERS if not types or each in types]
    while min(width, height) * scale >= SMALLEST_SIDE:
        size = Size(width=_round(width * scale), height=_round(height * scale))
        shaped = Shaper(medium, size=size, fit="crop", tell=None).reshape(image)
        for mime_type in formats:
            content = _ENCODERS[mime_type](shaped)
            if most_bytes is None or len(content) <= most_bytes:
                kind = mime_type.partition("/")[2].upper()
                return FittedImage(content, mime_type, f"{width}x{height}, sent as {kind} {size}")
        scale *= _LESS
    said = f"it is too large: no PNG or JPEG of at most {most_bytes} bytes can be made of it"
    raise medium.given.unusable_error(said, "give a smaller image")


def _round(side: float) -> int:
    """Return a side with an even number of pixels, not longer."""
    return max(SMALLEST_SIDE, int(side + 1e-6) // 2 * 2)
