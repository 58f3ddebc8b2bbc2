"""Reads a chunk of video back into words: a classical analyser, with no learning in it.

Per frame: the median colour is the background; what differs from it is cut into connected pieces on
the torus; the soft coverage of the largest piece gives its area, centre and moments. The moments
are closed forms, so nothing is calibrated: with z = x + iy from the centre and A the area,
Im(sum z^3) / A^2.5 is 0.0675 for the upright triangle, -Re(sum z^4) / A^3 is 1/60 for the upright
square, and both are 0 for the circle. Blur that is the same in all directions changes neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from media_agent_magi.world.scene import (
    BACKGROUND_RGB,
    BACKGROUNDS,
    COLOUR_RGB,
    COLOURS,
    MOTIONS,
    SHAPES,
    SIZE,
    velocity,
)

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

T = TypeVar("T")

UNSURE = -1  # index of an attribute that could not be told
HELD = 0.8  # share of the frames in which an attribute must be seen to count as the chunk's

_PALETTE = np.array([*BACKGROUND_RGB.values(), *COLOUR_RGB.values()], np.float32) / 255
_VISIBLE = 0.25  # distance in RGB from which a pixel belongs to an object; contrasts are >= 0.5
_NEAR = 0.3  # distance in RGB up to which a colour still has its name
_PURE = 0.7  # share of an object's inner pixels that must have the same colour
_MOST_OBJECTS = 6  # counting stops here
_TRIANGLE_S3, _SQUARE_S4 = 0.0675, 1 / 60
_OUTLINE = 0.6  # distance to the nearest shape's moments, 1 being from circle to square
_LONGEST = 0.06  # |sum z^2| / A^2: 0 for all three shapes, 0.06 for an ellipse of 1 : 1.45
_SPREAD = 0.03  # excess of sum |z|^2 / A^2 over the shape's own: torn or merged objects
_OWN_SPREAD = np.array([1 / (2 * math.pi), 1 / 6, 3**0.5 / 9])  # circle, square, triangle
_SLOWEST, _FASTEST, _STILL = 0.4, 1.6, 0.1  # px per frame; moving is 0.8
_LARGEST_WOBBLE = 1.5  # RMS distance in px from a steady motion


@dataclass(frozen=True, slots=True)
class FrameReadings:
    """What was seen in each of T frames; indices into the tuples of `scene`, or -1 if unsure."""

    background: Indices
    shape: Indices
    colour: Indices
    count: Indices  # objects, 6 at most
    area: Floats  # of the largest object, square pixels
    centre: Floats  # (T, 2): x and y of the largest object, pixels; NaN where there is none
    background_rgb: Floats  # (T, 3), 0..1
    colour_rgb: Floats  # (T, 3), 0..1; NaN where there is none


@dataclass(frozen=True, slots=True)
class Reading:
    """What a chunk shows; an attribute is None if it cannot be told or does not last."""

    background: str | None
    shape: str | None
    colour: str | None
    motion: str | None
    count: int | None  # objects, 6 at most; None if their number does not last
    area: float  # median, square pixels; 0 without an object
    velocity: tuple[float, float]  # px per frame, x to the right and y down; 0 without an object
    confidence: float  # share of the frames that agree with the least certain attribute, 0..1


def analyse(frames: npt.NDArray[np.uint8]) -> Reading:
    """Read one chunk: (T, 64, 64, 3) uint8, RGB; of a single frame the motion cannot be told.

    Raises:
        ValueError: The frames are not uint8 RGB of 64x64 pixels.
    """
    return summarise(look(frames))


def look(frames: npt.NDArray[np.uint8]) -> FrameReadings:
    """Read each frame on its own: (T, 64, 64, 3) uint8, RGB."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (SIZE, SIZE, 3):
        raise ValueError(
            f"the analyser reads uint8 frames of shape (T, {SIZE}, {SIZE}, 3), "
            f"not {frames.dtype} of {frames.shape}"
        )
    pixels = frames.astype(np.float32) / 255
    ground = np.median(pixels[:, ::2, ::2].reshape(len(frames), -1, 3), axis=1)  # T 3
    away = pixels - ground[:, None, None]  # T 64 64 3
    visible = np.einsum("thwc,thwc->thw", away, away) > _VISIBLE**2
    largest, inner, count = _pieces(visible)
    colour, paint = _colours(pixels, inner)
    coverage = _coverage(away, paint - ground, largest)
    area = coverage.sum(axis=(1, 2))
    centre = _centres(coverage)
    seen = (count > 0) & (area >= 1)
    shape = _shapes(_moments(coverage, centre), area)
    return FrameReadings(
        background=_name_colours(ground, range(len(BACKGROUNDS))),
        shape=np.where(seen, shape, UNSURE),
        colour=np.where(seen, colour, UNSURE),
        count=np.where(seen, count, 0),
        area=np.where(seen, area, 0).astype(np.float32),
        centre=np.where(seen[:, None], centre, np.nan).astype(np.float32),
        background_rgb=ground,
        colour_rgb=paint,
    )


def summarise(readings: FrameReadings) -> Reading:
    """Say what the frames of one chunk show together."""
    background, *shares = _find_lasting(readings.background, BACKGROUNDS)
    number, number_share = _find_lasting(readings.count, range(_MOST_OBJECTS + 1))
    if number == 0:
        confidence = min(number_share, *shares)
        return Reading(background, None, None, None, 0, 0.0, (0.0, 0.0), confidence)
    shape, shape_share = _find_lasting(readings.shape, SHAPES)
    colour, colour_share = _find_lasting(readings.colour, COLOURS)
    speed, wobble = _speed(readings.centre)
    return Reading(
        background,
        shape,
        colour,
        _motion(speed) if wobble <= _LARGEST_WOBBLE else None,
        number,
        float(np.median(readings.area[readings.count > 0])),
        speed,
        min(number_share, shape_share, colour_share, *shares),
    )


def steps(centre: Floats) -> Floats:
    """Return the steps of a track, each taken the short way round: (T, 2) to (T - 1, 2)."""
    step = np.diff(centre, axis=0)
    return step - SIZE * np.round(step / SIZE)


def _pieces(visible: Bools) -> tuple[Bools, Bools, Indices]:
    """Return the largest piece of each frame, its inner pixels, and the number of pieces.

    Specks that vanish when shrunk by a pixel are not counted.
    """
    inner = visible.copy()
    for axis, step in _NEIGHBOURS:
        inner &= np.roll(visible, step, axis)
    largest = np.zeros_like(visible)
    size = np.zeros(len(visible), np.int64)
    count = np.zeros(len(visible), np.int64)
    left = inner.copy()
    for _ in range(_MOST_OBJECTS):
        if not left.any():
            break
        piece = _flood(left, visible)
        area = piece.sum(axis=(1, 2))
        count += area > 0
        largest = np.where((area > size)[:, None, None], piece, largest)
        size = np.maximum(size, area)
        left &= ~piece
    return largest, inner & largest, count


_NEIGHBOURS = ((1, 1), (1, -1), (2, 1), (2, -1))  # axis and step in (T, H, W)


def _flood(seeds: Bools, visible: Bools) -> Bools:
    """Return the connected piece of each frame that holds the frame's first seed."""
    flat = seeds.reshape(len(seeds), -1)
    first = flat.argmax(axis=1)
    start = np.zeros_like(flat)
    start[np.arange(len(flat)), first] = flat.any(axis=1)
    piece = start.reshape(visible.shape)
    size = -1
    while (grown := int(piece.sum())) != size:
        size = grown
        for axis, step in _NEIGHBOURS:
            piece |= np.roll(piece, step, axis) & visible
    return piece


def _colours(pixels: Floats, inner: Bools) -> tuple[Indices, Floats]:
    """Return the colour's index (T) and its RGB (T, 3; NaN without inner pixels)."""
    frame, row, column = inner.nonzero()
    inside = pixels[frame, row, column]  # P 3
    names = _nearest(inside)
    votes = np.bincount(frame * len(_PALETTE) + names, minlength=len(inner) * len(_PALETTE))
    votes = votes.reshape(len(inner), -1)
    winner = votes.argmax(axis=1)
    chosen = names == winner[frame]
    total = votes.sum(axis=1)
    sums = np.stack(
        [np.bincount(frame[chosen], inside[chosen, c], len(inner)) for c in range(3)], axis=1
    )
    with np.errstate(invalid="ignore"):
        paint = (sums / votes.max(axis=1)[:, None]).astype(np.float32)
    pure = votes.max(axis=1) >= np.maximum(1, _PURE * total)
    first = len(BACKGROUNDS)
    colour = _name_colours(np.nan_to_num(paint, nan=9.0), range(first, first + len(COLOURS)))
    return np.where(pure, colour, UNSURE), paint


def _nearest(rgb: Floats) -> Indices:
    """Return the index of the nearest palette entry: (N, 3) to (N)."""
    # |p - c|^2 without |p|^2, which is the same for every entry.
    return np.argmin((_PALETTE**2).sum(axis=1) - 2 * np.einsum("pc,nc->pn", rgb, _PALETTE), axis=1)


def _name_colours(rgb: Floats, allowed: Sequence[int]) -> Indices:
    """Name colours (T, 3) by the allowed stretch of the palette; -1 when none is near."""
    index = _nearest(rgb)
    near = np.linalg.norm(rgb - _PALETTE[index], axis=1) <= _NEAR
    fits = near & (index >= allowed[0]) & (index <= allowed[-1])
    return np.where(fits, index - allowed[0], UNSURE)


def _coverage(away: Floats, contrast: Floats, largest: Bools) -> Floats:
    """Return how much of each pixel the largest object covers: (T, 64, 64) in 0..1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        along = contrast / (contrast**2).sum(axis=1, keepdims=True)
    alpha = np.einsum("thwc,tc->thw", away, np.nan_to_num(along)).clip(0, 1)
    around = largest
    for axis, step in _NEIGHBOURS * 2:  # the outline's own soft pixels, two around
        around = around | np.roll(around, step, axis)
    return alpha * around


def _centres(coverage: Floats) -> Floats:
    """Return the centre of mass on the torus: (T, 2), x and y, 0..64."""
    with np.errstate(invalid="ignore", divide="ignore"):
        along = [coverage.sum(axis=axis) / coverage.sum(axis=(1, 2))[:, None] for axis in (1, 2)]
    share = np.nan_to_num(np.stack(along, axis=1))  # T 2 64
    turn = 2j * np.pi * np.arange(SIZE) / SIZE
    guess = np.angle(share @ np.exp(turn)) * SIZE / (2 * np.pi)  # T 2
    offset = (np.arange(SIZE) - guess[..., None] + SIZE / 2) % SIZE - SIZE / 2
    return ((guess + (share * offset).sum(axis=-1)) % SIZE).astype(np.float32)


def _moments(coverage: Floats, centre: Floats) -> npt.NDArray[np.float64]:
    """Return the sums of coverage * x^i * y^j about the centre: (T, 5, 5) as [i, j]."""
    offset = (np.arange(SIZE) - centre[..., None] + SIZE / 2) % SIZE - SIZE / 2  # T 2 64
    powers = offset[..., None].astype(np.float64) ** np.arange(5)  # T 2 64 5
    return powers[:, 0].swapaxes(1, 2) @ coverage.swapaxes(1, 2) @ powers[:, 1]


def _shapes(m: npt.NDArray[np.float64], area: Floats) -> Indices:
    """Name the shapes by their moments: (T, 5, 5) to (T)."""
    size = np.maximum(area, 1).astype(np.float64)
    s3 = (3 * m[:, 2, 1] - m[:, 0, 3]) / size**2.5 / _TRIANGLE_S3
    s4 = (6 * m[:, 2, 2] - m[:, 4, 0] - m[:, 0, 4]) / size**3 / _SQUARE_S4
    spread = (m[:, 2, 0] + m[:, 0, 2]) / size**2
    length = np.hypot(m[:, 2, 0] - m[:, 0, 2], 2 * m[:, 1, 1]) / size**2
    ideal = np.array([[0, 0], [0, 1], [1, 0]])  # (s3, s4) of circle, square, triangle
    distance = np.linalg.norm(np.stack([s3, s4], axis=1)[:, None] - ideal, axis=2)  # T 3
    shape = distance.argmin(axis=1)
    whole = (spread - _OWN_SPREAD[shape] <= _SPREAD) & (length <= _LONGEST)
    return np.where(whole & (distance.min(axis=1) <= _OUTLINE), shape, UNSURE)


def _find_lasting(index: Indices, values: Sequence[T]) -> tuple[T | None, float]:
    """Return the value seen in most frames, if it lasts, and the share of those frames."""
    votes = np.bincount(index[index >= 0], minlength=len(values))
    share = float(votes.max() / len(index))
    return (values[int(votes.argmax())] if share >= HELD else None), share


def _speed(centre: Floats) -> tuple[tuple[float, float], float]:
    """Return the velocity by the median of all slopes, and the RMS distance from it."""
    time = (~np.isnan(centre[:, 0])).nonzero()[0]
    if len(time) < 2:
        return (0.0, 0.0), math.inf
    track = np.concatenate([np.zeros((1, 2)), steps(centre[time]).cumsum(axis=0)])
    early, late = np.triu_indices(len(time), k=1)
    slopes = (track[late] - track[early]) / (time[late] - time[early])[:, None]
    speed = np.median(slopes, axis=0)
    rest = track - time[:, None] * speed
    wobble = float(np.sqrt(((rest - np.median(rest, axis=0)) ** 2).sum(axis=1).mean()))
    return (float(speed[0]), float(speed[1])), wobble


def _motion(speed: tuple[float, float]) -> str | None:
    """Name a velocity; None if it is neither still nor about as fast as things move here."""
    size = math.hypot(*speed)
    if size < _STILL:
        return "still"
    if not _SLOWEST <= size <= _FASTEST:
        return None
    return max(MOTIONS, key=lambda name: np.dot(velocity(name), speed))
