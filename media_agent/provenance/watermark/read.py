"""Reads the watermark of a video, or the several of one whose parts come from several jobs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from media_agent.provenance.watermark.pattern import Layout, list_layouts
from media_agent.provenance.watermark.payload import BITS, from_sums, to_bits
from media_agent.video.container import open_video

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from media_agent.provenance.watermark.pattern import Grid, Slots
    from media_agent.provenance.watermark.payload import Sums

MOST_FRAMES = 1536
"""Read of a video, from its beginning."""
STRETCH = 48  # frames that are read as one
MOST_TRIES = 2 * (2 * (MOST_FRAMES // STRETCH) - 1)
"""Alternatives that are tried in a video: each grid over the whole, its halves, their halves..."""
_NOISE = 6.0  # of a frequency, squared: what encoding adds
_HEIGHT_OF_MARK = 4.0  # of a frequency, about
_AGREEMENT = 0.7  # of all that speaks for anything; without this mark about 0
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class FoundMark:
    """A payload, and in which frames it was found; `end` is the frame after the last."""

    payload: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What some frames in a row add up to, for each layout, from frame `start` on."""

    start: int
    slots: "list[Slots]"


def read_watermark(path: Path) -> tuple[FoundMark, ...]:
    """Return the marks of the first `MOST_FRAMES` frames; none: no mark was found.

    Raises:
        StorageError: the file is missing or not a readable video.
    """
    with open_video(path) as video:
        return read_marks(video.decode(video=0))


def read_marks(images: Iterable["VideoFrame"]) -> tuple[FoundMark, ...]:
    """Return the marks of decoded frames, of whatever format and size."""
    layouts = list_layouts()
    return search_grids([_to_grid(image, each) for each in layouts] for image in images)


def search_grids(frames: Iterable[Sequence["Grid"]]) -> tuple[FoundMark, ...]:
    """Return the marks of frames whose brightness is on each of the grids already."""
    layouts = list_layouts()
    stretches: list[_Stretch] = []
    count = 0
    for grids in islice(frames, MOST_FRAMES):
        if count % STRETCH == 0:
            stretches.append(_Stretch(count, [np.zeros_like(each.signs) for each in layouts]))
        count += 1
        for layout, grid, total in zip(layouts, grids, stretches[-1].slots, strict=True):
            total += weigh(layout.transform(grid))
    return tuple(_merge(_search(stretches, count)))


def find_sums(layout: Layout, slots: "Slots") -> "Sums":
    """Return what speaks for 1 (above zero) or 0 in each bit, in standard deviations."""
    signed = (slots * layout.signs).ravel().astype(np.float64)
    bits = layout.bits.ravel()
    sizes = np.sqrt(np.bincount(bits, signed**2, BITS))
    return np.bincount(bits, signed, BITS) / (sizes + _EPSILON)


def weigh(slots: "Slots") -> "Slots":
    """Return how much each frequency of a frame says, -1 to 1: much where little is around it."""
    power = slots**2
    around = _blur(power.mean(-1))[:, :, None]
    by_frequency = power.mean((0, 1)) / (power.mean() + _EPSILON)
    weighed = np.tanh(_HEIGHT_OF_MARK * slots / (around * by_frequency + _NOISE))
    return np.asarray(weighed, np.float32)


def _search(stretches: Sequence[_Stretch], end: int) -> Iterator[FoundMark]:
    """Yield what is found in all stretches, up to frame `end`; in each half, if it is not in both.

    A mark that most of the frames have must not hide another one.
    """
    if not stretches:
        return
    half = len(stretches) // 2
    first, rest = stretches[:half], stretches[half:]
    found = next(_try_layouts(stretches), None)
    whole = [] if found is None else [FoundMark(found[1], stretches[0].start, end)]
    if half == 0 or (found is not None and all(_agrees(each, *found) for each in (first, rest))):
        yield from whole
        return
    parts = [*_search(first, rest[0].start), *_search(rest, end)]
    yield from parts or whole


def _try_layouts(stretches: Sequence[_Stretch]) -> Iterator[tuple[int, int]]:
    """Yield the number of a layout and the payload that all stretches together have there."""
    for number in range(len(list_layouts())):
        payload = from_sums(_add_up(stretches, number))
        if payload is not None:
            yield number, payload


def _agrees(stretches: Sequence[_Stretch], number: int, payload: int) -> bool:
    """Whether stretches, by themselves, speak for a payload that is known already."""
    sums = _add_up(stretches, number)
    agreement = float((sums * (2.0 * to_bits(payload) - 1)).sum())
    return agreement > _AGREEMENT * float(np.abs(sums).sum())


def _add_up(stretches: Sequence[_Stretch], number: int) -> "Sums":
    total = np.sum([each.slots[number] for each in stretches], axis=0)
    return find_sums(list_layouts()[number], total)


def _merge(marks: Iterator[FoundMark]) -> Iterator[FoundMark]:
    """Yield the marks, those that follow each other with the same payload as one."""
    last: FoundMark | None = None
    for mark in marks:
        if last is not None and (last.payload, last.end) == (mark.payload, mark.start):
            last = FoundMark(mark.payload, last.start, mark.end)
            continue
        if last is not None:
            yield last
        last = mark
    if last is not None:
        yield last


def _to_grid(image: "VideoFrame", layout: Layout) -> "Grid":
    size = layout.width, layout.height
    grid = image.reformat(*size, "gray", interpolation="AREA", threads=1)
    return grid.to_ndarray().astype(np.float32)


def _blur(values: "Grid") -> "Grid":
    """Return the means over 3x3."""
    height, width = values.shape
    wide = np.pad(values, 1, mode="edge")
    total = sum(wide[y : y + height, x : x + width] for y in range(3) for x in range(3))
    return np.asarray(total / 9, np.float32)
