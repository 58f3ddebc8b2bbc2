"""Draws words in the lower right corner of frames, white on a dark ground. Needs Pillow, numpy."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from media_agent.errors import InvalidRequestError
from media_agent.video.planes import brightness_of, with_brightness

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

_SHARE = 24  # of the height of a frame is one letter
_USUAL, _SMALLEST = 12, 8  # pixels of a letter: where there is room, and to be read at all
_PAPER, _INK = 40, 235  # levels of brightness


class Label:
    """Draws one text; the same into every frame of a size."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._drawn: NDArray[np.uint8] | None = None
        self._size = (0, 0)

    def __call__(self, frame: "VideoFrame") -> "VideoFrame":
        """Return a copy of a frame (yuv420p) with the text in its corner."""
        if self._drawn is None or self._size != (frame.width, frame.height):
            self._size = frame.width, frame.height
            self._drawn = draw_label(self._text, *self._size)
        height, width = self._drawn.shape
        levels = brightness_of(frame).copy()
        levels[-height:, -width:] = self._drawn
        return with_brightness(frame, levels, grey=(height, width))


def draw_label(text: str, width: int, height: int) -> "NDArray[np.uint8]":
    """Return the corner of frames of this size as levels of brightness; its sides are even.

    A text that has no room is drawn as large as it can be, and cut off where that is not enough.
    """
    try:
        size = choose_letter_size(text, width, height)
    except InvalidRequestError:
        size = _SMALLEST
    gap = max(2, size // 4)
    font = ImageFont.load_default(size=size)
    left, top, right, bottom = _measure(text, size)
    wide = min(width, 2 * -(-(right - left + 2 * gap) // 2))
    high = min(height, 2 * -(-(bottom - top + 2 * gap) // 2))
    image = Image.new("L", (wide, high), _PAPER)
    ImageDraw.Draw(image).text((gap - left, gap - top), text, fill=_INK, font=font)
    return np.asarray(image)


def choose_letter_size(text: str, width: int, height: int) -> int:
    """Return how many pixels high the letters are in frames of this size.

    Raises:
        InvalidRequestError: the text has no room in letters that could be read.
    """
    size = max(_USUAL, height // _SHARE)
    while size >= _SMALLEST:
        left, top, right, bottom = _measure(text, size)
        gap = max(2, size // 4)
        if right - left + 2 * gap <= width and bottom - top + 2 * gap <= height:
            return size
        size -= 1
    raise InvalidRequestError(
        f"the visible label {text!r} cannot be read in frames of {width}x{height}",
        hint="give fewer letters, or ask for larger frames",
    )


def _measure(text: str, size: int) -> tuple[int, int, int, int]:
    draw = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, top, right, bottom = draw.textbbox((0, 0), text, font=ImageFont.load_default(size=size))
    return int(left), int(top), int(-(-right // 1)), int(-(-bottom // 1))
