"""A picture that shows a film at a glance: frames side by side, over each stretch its prompt.

Frames are enlarged by a whole number without smoothing, so that what a small model really made can
be judged pixel by pixel. Letters that Pillow's own font lacks show as boxes. Pillow is imported at
first use.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import InvalidRequestError
from media_agent.lettering import wrap
from media_agent.video import iterate_frames, probe

if TYPE_CHECKING:
    from PIL.Image import Image

_PAPER, _INK, _FAINT = (250, 250, 247), (20, 20, 20), (110, 110, 110)
_GAP = 10  # pixels between frames and around the sheet
_CAPTION_SIZE, _LABEL_SIZE = 18, 12
_CAPTION_LINES = 2
_FRAME_WIDTH = 192  # pixels an enlarged frame should reach


def write_contact_sheet(
    video_path: Path,
    png_path: Path,
    *,
    captions: Sequence[tuple[int, str]] = (),
    columns: int = 6,
    enlarge: int | None = None,
    every: int | None = None,
) -> None:
    """Write a PNG with frames of the film, `columns` in a row, the captions over their stretches.

    Args:
        video_path: The film.
        png_path: The picture; replaced if it exists.
        captions: (first frame, text) of each stretch, in order; one without frames is left out.
        columns: Frames in a row, and, unless `every` is given, frames shown of a stretch.
        enlarge: Whole factor; absent: small frames grow to about 192 pixels of width.
        every: Show each frame whose number in its stretch is a multiple of this.

    Raises:
        InvalidRequestError: columns, enlarge or every is below one, or captions are out of order.
        StorageError: the film cannot be read.
    """
    for name, value in (("columns", columns), ("enlarge", enlarge), ("every", every)):
        if value is not None and value < 1:
            raise InvalidRequestError(f"{name} is {value}; it must be at least 1")
    facts = probe(video_path)
    factor = enlarge if enlarge is not None else max(1, _FRAME_WIDTH // facts.width)
    stretches = _stretches(captions, facts.frames)
    shown = [_choose(stretch, columns, every) for stretch in stretches]
    pictures = _pictures(video_path, set(chain.from_iterable(shown)), factor)
    sheet = _Sheet(facts.width * factor, facts.height * factor, columns, facts.fps)
    for (_, _, text), numbers in zip(stretches, shown, strict=True):
        sheet.add_stretch(text, [next(pictures) for _ in numbers], numbers)
    sheet.write(png_path)


Stretch = tuple[int, int, str]  # first frame, frame after the last, text


def _stretches(captions: Sequence[tuple[int, str]], frames: int) -> list[Stretch]:
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


def _choose(stretch: Stretch, columns: int, every: int | None) -> list[int]:
    first, end, _ = stretch
    if every is not None:
        return list(range(first, end, every))
    count = min(columns, end - first)
    if count == 1:
        return [first]
    return [first + place * (end - 1 - first) // (count - 1) for place in range(count)]


def _pictures(video_path: Path, wanted: set[int], factor: int) -> Iterator["Image"]:
    from PIL import Image

    last = max(wanted)
    for number, frame in enumerate(iterate_frames(video_path)):
        if number in wanted:
            picture = Image.fromarray(frame)
            size = (picture.width * factor, picture.height * factor)
            yield picture.resize(size, Image.Resampling.NEAREST)
        if number == last:
            return


class _Sheet:
    """Pastes rows of frames under one another; the picture is put together at the end."""

    def __init__(self, width: int, height: int, columns: int, fps: float) -> None:
        from PIL import ImageFont

        self._width, self._height, self._columns, self._fps = width, height, columns, fps
        self._caption_font = ImageFont.load_default(size=_CAPTION_SIZE)
        self._label_font = ImageFont.load_default(size=_LABEL_SIZE)
        self._sheet_width = max(columns * (width + _GAP) + _GAP, 320)
        self._strips: list[Image] = []

    def add_stretch(self, text: str, pictures: Sequence["Image"], numbers: Sequence[int]) -> None:
        """Add the caption, then its frames in as many rows as they need."""
        if text:
            self._strips.append(self._caption(text))
        for start in range(0, len(pictures), self._columns):
            row = slice(start, start + self._columns)
            self._strips.append(self._row(pictures[row], numbers[row]))

    def write(self, path: Path) -> None:
        """Put the strips under one another."""
        from PIL import Image

        height = sum(strip.height for strip in self._strips) + _GAP
        sheet = Image.new("RGB", (self._sheet_width, height), _PAPER)
        top = 0
        for strip in self._strips:
            sheet.paste(strip, (0, top))
            top += strip.height
        sheet.save(path, format="PNG")

    def _caption(self, text: str) -> "Image":
        from PIL import Image, ImageDraw

        measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
        lines = wrap(
            text, self._sheet_width - 2 * _GAP, measure, self._caption_font, most=_CAPTION_LINES
        )
        line_height = _CAPTION_SIZE + 6
        size = (self._sheet_width, _GAP + line_height * len(lines))
        strip = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(strip)
        for number, line in enumerate(lines):
            position = (_GAP, _GAP + number * line_height)
            draw.text(position, line, fill=_INK, font=self._caption_font)
        return strip

    def _row(self, pictures: Sequence["Image"], numbers: Sequence[int]) -> "Image":
        from PIL import Image, ImageDraw

        label_height = _LABEL_SIZE + 6
        size = (self._sheet_width, _GAP + self._height + label_height)
        strip = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(strip)
        for column, (picture, number) in enumerate(zip(pictures, numbers, strict=True)):
            left = _GAP + column * (self._width + _GAP)
            strip.paste(picture, (left, _GAP))
            label = f"{number}  {number / self._fps:.2f} s"
            if draw.textlength(label, font=self._label_font) > self._width:
                label = str(number)
            position = (left, _GAP + self._height + 2)
            draw.text(position, label, fill=_FAINT, font=self._label_font)
        return strip
