"""A plot of how submissions ended: for each model its median time and its failures, by day."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path

from media_agent.distribution import install_hint
from media_agent.errors import BackendUnavailableError, InvalidRequestError
from media_agent.routing.learning.report import OfferRow, OutcomeReport
from media_agent.storage.files import storage_errors, write_aside

_WIDTH, _ROW, _LEFT, _TOP = 900, 74, 260, 34  # pixels
_PAPER, _INK, _BLUE, _RED = "#fafaf7", "#141414", "#285aa0", "#c82828"


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float
    colour: str


@dataclass(frozen=True, slots=True)
class _Text:
    left: float
    top: float
    text: str


def check_place(path: Path) -> None:
    """Refuse what is no place for a plot.

    Raises:
        InvalidRequestError: its name has another ending.
        BackendUnavailableError: Pillow is missing.
    """
    if path.suffix.lower() == ".png" and find_spec("PIL") is None:
        raise BackendUnavailableError(
            "--plot needs Pillow for .png", hint=f"name it .svg, or {install_hint('local')}"
        )
    if path.suffix.lower() not in (".svg", ".png"):
        raise InvalidRequestError(f"--plot {path} is no plot", hint="name it .svg or .png")


def write_chart(report: OutcomeReport, path: Path) -> None:
    """Write the plot whole or not at all; one that exists is replaced.

    Raises:
        StorageError: it cannot be written.
    """
    height, shapes = _TOP + _ROW * max(1, len(report.offers)), [*_list_shapes(report)]
    with storage_errors(f"the image {path}"), write_aside(path, durably=False) as aside:
        if path.suffix.lower() == ".svg":
            Path(aside).write_text(_as_svg(shapes, height), encoding="utf-8")
        else:
            _write_png(shapes, height, Path(aside))


def _list_shapes(report: OutcomeReport) -> Iterator[_Box | _Text]:
    yield _Text(10, 8, "median seconds of each day (blue), share that failed (red)")
    dates = sorted({day.date for row in report.offers for day in row.days})
    for number, row in enumerate(report.offers):
        yield from _list_row(row, dates, _TOP + number * _ROW)


def _list_row(row: OfferRow, dates: list[str], top: float) -> Iterator[_Box | _Text]:
    known = [day.median_seconds for day in row.days if day.median_seconds is not None]
    most, width = max(known, default=0.0) or 1.0, (_WIDTH - _LEFT - 20) / max(1, len(dates))
    yield _Text(10, top + 8, row.name)
    yield _Text(10, top + 26, f"{100 * row.done:.0f} % of {row.outcomes} done, up to {most:.0f} s")
    bottom = top + _ROW - 14
    for day in row.days:
        left = _LEFT + dates.index(day.date) * width
        middle, right = left + 0.6 * width, left + 0.85 * width
        tall = 0.0 if day.median_seconds is None else (_ROW - 22) * day.median_seconds / most
        failed = (_ROW - 22) * (1 - day.done / day.outcomes)
        yield _Box(left, bottom - tall, middle, bottom, _BLUE)
        yield _Box(middle, bottom - failed, right, bottom, _RED)


def _as_svg(shapes: list[_Box | _Text], height: int) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
    ]
    for shape in shapes:
        if isinstance(shape, _Text):
            place = f'x="{shape.left:.1f}" y="{shape.top + 12:.1f}" fill="{_INK}"'
            lines.append(f"<text {place}>{escape(shape.text)}</text>")
        else:
            wide, tall = shape.right - shape.left, shape.bottom - shape.top
            lines.append(
                f'<rect x="{shape.left:.1f}" y="{shape.top:.1f}" width="{wide:.1f}" '
                f'height="{tall:.1f}" fill="{shape.colour}"/>'
            )
    return "\n".join((*lines, "</svg>", ""))


def _write_png(shapes: list[_Box | _Text], height: int, path: Path) -> None:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (_WIDTH, height), _PAPER)
    draw = ImageDraw.Draw(image)
    for shape in shapes:
        if isinstance(shape, _Text):
            draw.text((shape.left, shape.top), shape.text, _INK)
        else:
            corners = (shape.left, shape.top, shape.right, shape.bottom)
            draw.rectangle(corners, shape.colour)
    image.save(path, format="PNG")
