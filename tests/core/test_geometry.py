"""The nearest size keeps the shape before the area."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_agent.geometry import nearest_size
from media_agent_schemas.capabilities import Capabilities, SizeRange
from media_agent_schemas.media import Size


def size(text: str) -> Size:
    width, height = text.split("x")
    return Size(width=int(width), height=int(height))


def listing(*sizes: str) -> Capabilities:
    return Capabilities(
        backend="b", model="m", models=("m",), modes=(), sizes=tuple(size(text) for text in sizes)
    )


def ranging(low: str, high: str, multiple: int) -> Capabilities:
    span = SizeRange(minimum=size(low), maximum=size(high), multiple=multiple)
    return Capabilities(backend="b", model="m", models=("m",), modes=(), size_range=span)


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("640x360", "1280x720"),
        ("360x640", "720x1280"),
        ("1024x576", "1280x720"),
        ("512x512", "720x720"),
    ],
)
def test_a_listed_size_of_the_same_shape_goes_before_one_of_the_same_area(
    asked: str, used: str
) -> None:
    limits = listing("720x720", "960x720", "1120x480", "1280x720", "720x1280")

    assert str(nearest_size(size(asked), limits)) == used


def test_among_listed_sizes_of_one_shape_the_nearest_area_is_taken() -> None:
    assert (
        str(nearest_size(size("640x360"), listing("1920x1080", "854x480", "1280x720"))) == "854x480"
    )


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("3840x2160", "2048x1152"),
        ("2160x3840", "1152x2048"),
        ("5040x2160", "2048x880"),
        ("100x100", "256x256"),
        ("1280x720", "1280x720"),
    ],
)
def test_a_size_beyond_the_range_is_scaled_with_its_shape(asked: str, used: str) -> None:
    assert str(nearest_size(size(asked), ranging("256x256", "2048x2048", 16))) == used


@given(
    width=st.integers(32, 4096).map(lambda n: 2 * n),
    height=st.integers(32, 4096).map(lambda n: 2 * n),
)
def test_a_shape_that_the_range_can_make_is_bent_by_rounding_only(width: int, height: int) -> None:
    if not 1 / 6 <= width / height <= 6:
        return
    limits = ranging("256x256", "2048x2048", 16)

    used = nearest_size(Size(width=width, height=height), limits)

    bent = abs(math.log(used.width * height / (used.height * width)))
    assert bent <= 16 / min(used.width, used.height)
