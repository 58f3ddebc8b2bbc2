"""Frames at another rate.

FFmpeg's fps filter is no help with files from outside: their frames may change size on the way, and
their times may not fit into its 64 bits.
"""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_TOLERANCE = Fraction(1, 4)  # of a tick: times in a file are rounded


def resample(
    images: Iterable[tuple["VideoFrame", Fraction]], rate: Fraction
) -> Iterator["VideoFrame"]:
    """Yield each frame once for every tick of a clock while it shows; at least one frame in all.

    Args:
        images: Each frame with the second at which the next one replaces it; the first starts at 0.
        rate: Ticks a second.
    """
    image, ticks = None, 0
    for image, end in images:
        ticks_until_end = math.ceil(end * rate - _TOLERANCE)
        for _ in range(ticks, ticks_until_end):
            yield image
        ticks = max(ticks, ticks_until_end)
    if image is not None and ticks == 0:
        yield image
