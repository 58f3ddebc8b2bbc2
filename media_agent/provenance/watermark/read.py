"""Reads the watermark of a video, or the several of one whose parts come from several jobs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from media_agent.provenance.watermark.pattern import Layout, list_layouts
from media_agent.provenance.watermark.payload import BITS, from_sums
from media_agent.video.codec import open_video

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from media_agent.provenance.watermark.pattern import Grid, Slots

MOST_FRAMES = 1536
"""Read of a video, from its beginning."""
STRETCH = 48  # frames that are read as one
MOST_TRIES = 2 * (2 * (MOST_FRAMES // STRETCH) - 1)
"""Alternatives that are tried in a video: each grid over the whole, its halves, their halves..."""
_NOISE = 6.0  # of a frequency, squared: what encoding adds
_HEIGHT_OF_MARK = 4.0  # of a frequency, about
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class FoundMark:
    """A payload, and in which frames it was found; `end` is the frame after the last."""

    payload: int
    start: int
    end: int


def read_watermark(path: Path) -> tuple[FoundMark, ...]:
    """Return the marks of the first `MOST_FRAMES` frames; none: no mark was found.

    Raises:
        StorageError: the file is missing or not a readable video.
    """
    with open_video(path) as video:
        return read_marks(video.decode(video=0))


def read_marks(images: Iterator["VideoFrame"]) -> tuple[FoundMark, ...]:
    """Return the marks of decoded frames, of whatever format and size."""
    layouts = list_layouts()
    stretches: list[tuple[int, list[Slots]]] = []  # frames, and what they add up to in each layout
    count = 0
    for image in islice(images, MOST_FRAMES):
        if count % STRETCH == 0:
            stretches.append((0, [np.zeros_like(each.signs) for each in layouts]))
        count += 1
        _, slots = stretches[-1]
        for layout, total in zip(layouts, slots, strict=True):
            total += weigh(layout.transform(_to_grid(image, layout)))
        stretches[-1] = count - (len(stretches) - 1) * STRETCH, slots
    return tuple(_merge(_search(stretches, 0, count)))


def find_sums(layout: Layout, slots: "Slots") -> "np.typing.NDArray[np.float64]":
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


def _search(
    stretches: Sequence[tuple[int, "list[Slots]"]], start: int, end: int
) -> Iterator[FoundMark]:
    """Yield what is found in all stretches together, else in each half."""
    if not stretches:
        return
    for number, layout in enumerate(list_layouts()):
        total = sum(slots[number] for _, slots in stretches)
        payload = from_sums(find_sums(layout, np.asarray(total)))
        if payload is not None:
            yield FoundMark(payload, start, end)
            return
    if len(stretches) > 1:
        half = len(stretches) // 2
        middle = start + sum(frames for frames, _ in stretches[:half])
        yield from _search(stretches[:half], start, middle)
        yield from _search(stretches[half:], middle, end)


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
    grid = image.reformat(layout.width, layout.height, "gray", interpolation="AREA").to_ndarray()
    return grid.astype(np.float32)


def _blur(values: "Grid") -> "Grid":
    """Return the means over 3x3."""
    height, width = values.shape
    wide = np.pad(values, 1, mode="edge")
    total = sum(wide[y : y + height, x : x + width] for y in range(3) for x in range(3))
    return np.asarray(total / 9, np.float32)
