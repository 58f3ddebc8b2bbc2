"""When each frame of a video shows, and for how long.

A frame lasts until the next one begins; the last one lasts as long as it says itself.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


class Timed(NamedTuple):
    """A frame, when it begins, and when it would end if no other followed; in seconds."""

    time: Fraction
    end: Fraction
    image: "VideoFrame"


def timed(images: Iterator["VideoFrame"], rate: Fraction) -> Iterator[Timed]:
    """Give every frame a time after that of the one before, also where the video does not."""
    last, end = None, Fraction(0)
    for image in images:
        unit = image.time_base or Fraction(0)
        time = end if image.pts is None else image.pts * unit
        if last is not None and time <= last:
            time = last + 1 / rate
        last, end = time, time + (image.duration * unit or 1 / rate)
        yield Timed(time, end, image)


def at_rate(frames: Iterator[Timed], rate: Fraction) -> Iterator["VideoFrame"]:
    """Yield each frame as often as it shows at a rate, until the next one begins; maybe never."""
    first = last = next(frames, None)
    if first is None or last is None:
        return
    given = 0
    for each in frames:
        until = _tick((each.time - first.time) * rate)
        yield from repeat(last.image, until - given)
        given, last = max(given, until), each
    until = max(1, _tick((last.end - first.time) * rate))
    yield from repeat(last.image, until - given)


def nearest(end: list[Timed], frames: int, rate: Fraction) -> list[Timed]:
    """Return the frames that show at the last ticks of a clock, the last of all at the last tick.

    A frame a little later than a tick, but nearer to it than to the one after, counts as shown.
    """
    last = last_tick(end[-1], rate)
    ticks = (last - number / rate for number in range(frames))
    first = end[0].time - 1 / (2 * rate)
    return [_shown(end, tick, rate) for tick in ticks if tick >= first][::-1]


def last_tick(last: Timed, rate: Fraction) -> Fraction:
    """Return when a clock ticks last, that ends with the video and not before its last frame."""
    return max(last.time, last.end - 1 / rate)


def _shown(end: list[Timed], tick: Fraction, rate: Fraction) -> Timed:
    near = min(end, key=lambda each: abs(each.time - tick))
    if near.time <= tick or near.time - tick <= 1 / (2 * rate):
        return near
    return max((each for each in end if each.time <= tick), key=lambda each: each.time)


def _tick(place: Fraction) -> int:
    """Return the first tick at or after a place; a little before it still counts as it."""
    return math.ceil(place - Fraction(1, 4))
