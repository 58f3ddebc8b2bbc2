"""When each frame of a video shows, and for how long.

A frame lasts until the next one begins; the last one lasts as long as it says itself.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


class Timed(NamedTuple):
    """A frame, when it begins, and when it would end if no other followed; in seconds."""

    time: Fraction
    end: Fraction
    image: "VideoFrame"


def add_times(images: Iterator["VideoFrame"], rate: Fraction) -> Iterator[Timed]:
    """Give every frame a time after that of the one before, also where the video does not."""
    last, end = None, Fraction(0)
    for image in images:
        unit = image.time_base or Fraction(0)
        time = end if image.pts is None else image.pts * unit
        if last is not None and time <= last:
            time = last + 1 / rate
        last, end = time, time + (image.duration * unit or 1 / rate)
        yield Timed(time, end, image)


def add_ends(frames: Iterator[Timed]) -> Iterator[tuple["VideoFrame", Fraction]]:
    """Yield each frame with the time, counted from the first, at which the next one replaces it."""
    first = last = next(frames, None)
    if first is None or last is None:
        return
    for each in frames:
        yield last.image, each.time - first.time
        last = each
    yield last.image, last.end - first.time


def pick_nearest(end: list[Timed], frames: int, rate: Fraction) -> list[Timed]:
    """Return the frames that show at the last ticks of a clock, the last of all at the last tick.

    A frame a little later than a tick, but nearer to it than to the one after, counts as shown.
    """
    last = find_last_tick(end[-1], rate)
    ticks = (last - number / rate for number in range(frames))
    first = end[0].time - 1 / (2 * rate)
    return [_find_shown(end, tick, rate) for tick in ticks if tick >= first][::-1]


def find_last_tick(last: Timed, rate: Fraction) -> Fraction:
    """Return when a clock ticks last, that ends with the video and not before its last frame."""
    return max(last.time, last.end - 1 / rate)


def _find_shown(end: list[Timed], tick: Fraction, rate: Fraction) -> Timed:
    near = min(end, key=lambda each: abs(each.time - tick))
    if near.time <= tick or near.time - tick <= 1 / (2 * rate):
        return near
    return max((each for each in end if each.time <= tick), key=lambda each: each.time)
