"""A PNG that shows what was measured: frames of the video, and under them its curves over time.

Where a chunk, window or segment begins is a dotted line; what was found is marked in red. Pillow
draws it (extra `local`).
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from media_agent.provenance.quality.report import Inspection
from media_agent.provenance.quality.signals import Numbers
from media_agent.provenance.quality.words import finding_in_words
from media_agent.storage.files import storage_errors, write_aside
from media_agent.video.contact_sheet import write_contact_sheet

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_PAPER, _INK, _FAINT, _RED = (250, 250, 247), (20, 20, 20), (190, 190, 185), (200, 40, 40)
_RED_AREA = (248, 220, 216)
_CURVE = (40, 90, 160)
_MARGIN, _TITLE, _HEIGHT, _LINE, _LETTERS = 10, 20, 90, 20, 15  # pixels
_NARROWEST, _WIDEST = 600, 1500  # pixels of width
_MOST_LINES = 12  # of findings


def write_chart(
    video: Path, inspection: Inspection, png: Path, *, boundaries: Sequence[int] = ()
) -> None:
    """Write the image whole or not at all; one that exists is replaced.

    Raises:
        StorageError: the video cannot be read, or the image not written.
    """
    from PIL import Image

    with TemporaryDirectory() as folder:
        place = Path(folder, "sheet.png")
        write_contact_sheet(video, place)
        with Image.open(place) as opened:
            sheet = opened.convert("RGB")
    if sheet.width > _WIDEST:
        sheet = sheet.resize((_WIDEST, round(sheet.height * _WIDEST / sheet.width)))
    image = _draw(sheet, inspection, boundaries)
    with storage_errors(f"the image {png}"), write_aside(png, durably=False) as aside:
        image.save(aside, format="PNG")


def _draw(sheet: "Image", inspection: Inspection, boundaries: Sequence[int]) -> "Image":
    from PIL import Image, ImageDraw, ImageFont

    signals, report = inspection.signals, inspection.report
    curves = (
        ("brightness, in levels", signals.brightness),
        ("change from frame to frame, in levels", signals.change),
        ("contrast, in levels", signals.contrast),
        ("sharpness", signals.sharpness),
    )
    lines = [finding_in_words(finding) for finding in report.findings][:_MOST_LINES]
    lines = lines or ["nothing was found"]
    width = max(sheet.width, _NARROWEST)
    below = len(curves) * (_TITLE + _HEIGHT + _MARGIN) + len(lines) * _LINE + 2 * _MARGIN
    image = Image.new("RGB", (width, sheet.height + below), _PAPER)
    image.paste(sheet, (0, 0))
    draw = ImageDraw.Draw(image)
    draw.font = ImageFont.load_default(size=_LETTERS)
    top = sheet.height
    for line in lines:
        draw.text((_MARGIN, top), line, fill=_RED if report.findings else _INK)
        top += _LINE
    plot = _Plot(draw, width, inspection, boundaries)
    for name, values in curves:
        plot.draw(top + _MARGIN, name, values)
        top += _TITLE + _HEIGHT + _MARGIN
    return image


class _Plot:
    """Draws curves of the same video under one another."""

    def __init__(
        self, draw: "ImageDraw", width: int, inspection: Inspection, boundaries: Sequence[int]
    ) -> None:
        self._draw, self._width = draw, width - 2 * _MARGIN
        self._fps = inspection.report.video.fps
        self._frames = max(2, len(inspection.signals))
        self._boundaries = boundaries
        self._findings = inspection.report.findings

    def draw(self, top: int, name: str, values: Numbers) -> None:
        """Draw one curve with its name over it."""
        highest = max(float(values.max()), 1e-6) if len(values) else 1.0
        title = f"{name}: 0 to {highest:.3g}, over {self._frames / self._fps:.2f} s"
        self._draw.text((_MARGIN, top), title, fill=_INK)
        top += _TITLE
        bottom = top + _HEIGHT
        self._mark_findings(top, bottom)
        frame = (_MARGIN, top, _MARGIN + self._width, bottom)
        self._draw.rectangle(frame, outline=_FAINT)
        for boundary in self._boundaries:
            for dot in range(top, bottom, 6):
                place = self._place(boundary)
                self._draw.line([(place, dot), (place, dot + 2)], _INK)
        scale = (_HEIGHT - 2) / highest
        points = _thin(values, self._width)
        line = [(self._place(number), bottom - 1 - value * scale) for number, value in points]
        self._draw.line(line, fill=_CURVE)

    def _mark_findings(self, top: int, bottom: int) -> None:
        for finding in self._findings:
            left, right = (self._place(time * self._fps) for time in (finding.start, finding.end))
            is_whole = right - left >= self._width - 2
            if right > left + 1 and not is_whole:
                self._draw.rectangle((left, top, right, bottom), fill=_RED_AREA)
            elif not is_whole:
                self._draw.line([(left, top), (left, bottom)], _RED)

    def _place(self, frame: float) -> float:
        return _MARGIN + min(1.0, frame / (self._frames - 1)) * self._width


def _thin(values: Numbers, most: int) -> list[tuple[float, float]]:
    """Return frames and values: of many, the highest of as many stretches as there are pixels."""
    if len(values) <= most:
        return [(number, float(value)) for number, value in enumerate(values)]
    edges = np.linspace(0, len(values), most + 1).astype(int)
    return [(float(start), float(values[start:end].max())) for start, end in pairwise(edges)]
