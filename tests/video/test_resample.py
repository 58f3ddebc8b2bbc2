"""Frames at another rate: each for as long as it showed, evenly."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, cast

import pytest

from media_agent.video.resample import resample

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def numbers(ends: Iterable[Fraction], rate: int) -> list[int]:
    """Return which frame shows at each tick, as far as the twentieth."""
    images = cast("Iterable[tuple[VideoFrame, Fraction]]", enumerate(ends))
    return cast("list[int]", [*islice(resample(images, Fraction(rate)), 20)])


@pytest.mark.parametrize(
    ("own_rate", "rate", "shown"),
    [
        (8, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (16, 8, [0, 2, 4, 6]),
        (8, 16, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]),
        (24, 16, [0, 1, 3, 4, 6, 7]),
        (100, 10, [2]),
        (1000, 1, [7]),
    ],
)
def test_frames_are_left_out_and_repeated_evenly(
    own_rate: int, rate: int, shown: list[int]
) -> None:
    assert numbers([Fraction(n, own_rate) for n in range(1, 9)], rate) == shown


def test_no_frames_stay_none() -> None:
    assert numbers([], 24) == []


def test_a_frame_that_shows_for_longer_than_64_bits_of_ticks_is_no_trouble() -> None:
    assert numbers([Fraction(1), Fraction(2**70)], 1) == [0, *[1] * 19]
