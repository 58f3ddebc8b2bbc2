"""An image that shows a video at a glance: frames side by side, over each stretch its prompt.

Frames are enlarged by a whole number without smoothing, so that what a small model really made can
be judged pixel by pixel; large ones are made smaller, so that any sheet can be opened. Letters are
drawn by Pillow: without it (extra `local`) the sheet has none, and those
missing from Pillow's own font show as boxes.
"""

import math
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.video.codec import iterate_images
from media_agent.video.images import as_png, frame_of, rows_of, shrink
from media_agent.video.probe import probe
from media_agent.video.text import wrap

_PAPER, _INK, _FAINT = (250, 250, 247), (20, 20, 20), (110, 110, 110)
_GAP = 10  # pixels between frames and around the sheet
_CAPTION_SIZE, _LABEL_SIZE = 18, 12
_CAPTION_LINES = 2
_COLUMNS = 6  # frames shown of a stretch
_FRAME_WIDTH = 192  # pixels an enlarged frame should reach
_LARGEST_SIDE = 480  # pixels of a frame
_MOST_PIXELS = 40_000_000  # of all frames together
_MOST_STRETCHES = 100  # rows; the rest of a longer storyboard is not shown


def write_contact_sheet(
    video_path: Path, png_path: Path, *, captions: Sequence[tuple[int, str]] = ()
) -> None:
    """Write a PNG with a row of frames for each stretch of the video, its caption over it.

    Args:
        video_path: The video; its frames are enlarged to about 192 pixels of width, or made
            smaller. One that the file counts and the decoder does not give is left out.
        png_path: The image; replaced if it exists.
        captions: (first frame, text) of each stretch, in order; one without frames is left out,
            and so is what follows the first 100.

    Raises:
        InvalidRequestError: captions are out of order.
        StorageError: the video cannot be read.
    """
    facts = probe(video_path)
    if not facts.frames:
        raise StorageError(f"{video_path} is not a readable video: it has no frames")
    stretches = _cut_stretches(captions, facts.frames)[:_MOST_STRETCHES]
    shown = [_choose(first, end) for first, end, _ in stretches]
    wanted = set(chain.from_iterable(shown))
    width, height, factor = _choose_size(facts.width, facts.height, len(wanted))
    images = dict(_pick_images(video_path, wanted, (width, height), factor))
    sheet = _Sheet(width * factor, height * factor, facts.fps)
    for (_, _, text), numbers in zip(stretches, shown, strict=True):
        there = [number for number in numbers if number in images]
        if there:
            sheet.add_stretch(text, [images[number] for number in there], there)
    sheet.write(png_path)


Stretch = tuple[int, int, str]  # first frame, frame after the last, text
Image = list[bytes]  # rows of RGB bytes


def _cut_stretches(captions: Sequence[tuple[int, str]], frames: int) -> list[Stretch]:
    starts = [start for start, _ in captions]
    if starts != sorted(starts) or any(start < 0 for start in starts):
        raise InvalidRequestError(f"captions start at frames {starts}; give them in order")
    if not captions or starts[0] > 0:
        captions = [(0, ""), *captions]
    ends = [start for start, _ in captions[1:]] + [frames]
    return [
        (start, min(end, frames), text)
        for (start, text), end in zip(captions, ends, strict=True)
        if start < min(end, frames)
    ]


def _choose(first: int, end: int) -> list[int]:
    count = min(_COLUMNS, end - first)
    if count == 1:
        return [first]
    return [first + place * (end - 1 - first) // (count - 1) for place in range(count)]


def _choose_size(width: int, height: int, frames: int) -> tuple[int, int, int]:
    """Return the size that so many frames are made smaller to, and how often that is enlarged."""
    factor = min(_FRAME_WIDTH // width, _LARGEST_SIDE // height)
    if factor > 1 and frames * width * height * factor**2 <= _MOST_PIXELS:
        return width, height, factor
    most = math.sqrt(_MOST_PIXELS / (frames * width * height))
    scale = min(1.0, _LARGEST_SIDE / max(width, height), most)
    return max(1, round(width * scale)), max(1, round(height * scale)), 1


def _pick_images(
    video_path: Path, wanted: set[int], size: tuple[int, int], factor: int
) -> Iterator[tuple[int, Image]]:
    """Yield the wanted frames that the decoder gives, with their numbers."""
    last = max(wanted)
    for number, frame in enumerate(iterate_images(video_path)):
        if number in wanted:
            rows = rows_of(shrink(frame, *size))
            yield number, [row for row in _widen(rows, factor) for _ in range(factor)]
        if number == last:
            return


def _widen(rows: Sequence[bytes], factor: int) -> Iterator[bytes]:
    for row in rows:
        pixels = (row[start : start + 3] for start in range(0, len(row), 3))
        yield row if factor == 1 else b"".join(pixel * factor for pixel in pixels)


class _Sheet:
    """Puts strips of the sheet's width under one another, each as RGB bytes."""

    def __init__(self, width: int, height: int, fps: float) -> None:
        self._width, self._height, self._fps = width, height, fps
        self._sheet_width = _COLUMNS * (width + _GAP) + _GAP
        self._strips: list[bytes] = []
        self._has_letters = find_spec("PIL") is not None

    def add_stretch(self, text: str, images: Sequence[Image], numbers: Sequence[int]) -> None:
        """Add the caption, then its frames."""
        if text and self._has_letters:
            self._strips.append(self._draw_caption(text))
        self._strips += [self._fill_paper(_GAP), self._draw_row(images)]
        if self._has_letters:
            self._strips.append(self._draw_labels(numbers))

    def write(self, path: Path) -> None:
        """Write all strips as one image."""
        pixels = b"".join([*self._strips, self._fill_paper(_GAP)])
        height = len(pixels) // (3 * self._sheet_width)
        path.write_bytes(as_png(frame_of(pixels, self._sheet_width, height)))

    def _fill_paper(self, height: int) -> bytes:
        return bytes(_PAPER) * (self._sheet_width * height)

    def _draw_row(self, images: Sequence[Image]) -> bytes:
        gap = bytes(_PAPER) * _GAP
        used = _GAP + len(images) * (self._width + _GAP)
        rest = gap + bytes(_PAPER) * (self._sheet_width - used)
        return b"".join(gap + gap.join(rows) + rest for rows in zip(*images, strict=True))

    def _draw_caption(self, text: str) -> bytes:
        from PIL import Image, ImageDraw, ImageFont

        font = ImageFont.load_default(size=_CAPTION_SIZE)
        measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
        lines = wrap(text, self._sheet_width - 2 * _GAP, measure, font, most=_CAPTION_LINES)
        line_height = _CAPTION_SIZE + 6
        strip = Image.new("RGB", (self._sheet_width, _GAP + line_height * len(lines)), _PAPER)
        draw = ImageDraw.Draw(strip)
        for number, line in enumerate(lines):
            draw.text((_GAP, _GAP + number * line_height), line, fill=_INK, font=font)
        return strip.tobytes()

    def _draw_labels(self, numbers: Sequence[int]) -> bytes:
        from PIL import Image, ImageDraw, ImageFont

        font = ImageFont.load_default(size=_LABEL_SIZE)
        strip = Image.new("RGB", (self._sheet_width, _LABEL_SIZE + 6), _PAPER)
        draw = ImageDraw.Draw(strip)
        for column, number in enumerate(numbers):
            label = f"{number}  {number / self._fps:.2f} s"
            if draw.textlength(label, font=font) > self._width:
                label = str(number)
            left = _GAP + column * (self._width + _GAP)
            draw.text((left, 2), label, fill=_FAINT, font=font)
        return strip.tobytes()
