"""Words in the corner of frames: to be read in frames of any size, and nothing else changes."""

import av
import numpy as np
import pytest

from media_agent.errors import InvalidRequestError
from media_agent.video.label import Label, choose_letter_size, draw_label

TEXT = "AI-generated"


def frame_of_level(width: int, height: int, level: int = 120) -> av.VideoFrame:
    values = np.full((height * 3 // 2, width), level, np.uint8)
    values[height:] = 90
    return av.VideoFrame.from_ndarray(values, format="yuv420p")


@pytest.mark.parametrize(("width", "height"), [(64, 64), (320, 180), (480, 832), (1920, 1080)])
def test_a_label_is_drawn_in_the_lower_right_corner(width: int, height: int) -> None:
    drawn = draw_label(TEXT, width, height)
    values = Label(TEXT)(frame_of_level(width, height)).to_ndarray()

    rows, columns = drawn.shape
    levels = values[:height]
    assert np.array_equal(levels[-rows:, -columns:], drawn)
    assert (levels[:-rows] == 120).all()
    assert (levels[:, :-columns] == 120).all()
    assert rows <= height // 3


@pytest.mark.parametrize(("width", "height"), [(64, 64), (640, 360), (1920, 1080)])
def test_its_letters_are_large_enough_and_stand_out(width: int, height: int) -> None:
    drawn = draw_label(TEXT, width, height)

    inked = np.flatnonzero((drawn > 180).any(1))
    assert inked[-1] - inked[0] + 1 >= max(6, height // 40)  # rows that letters take
    assert drawn.max() - drawn.min() > 150


def test_its_ground_has_no_colour_and_the_rest_keeps_its_own() -> None:
    rows, columns = draw_label(TEXT, 320, 180).shape
    colours = Label(TEXT)(frame_of_level(320, 180)).to_ndarray()[180:].reshape(2, 90, 160)

    assert (colours[:, -rows // 2 :, -columns // 2 :] == 128).all()
    assert (colours[:, : -rows // 2] == 90).all()


def test_a_frame_stays_itself_as_it_was() -> None:
    frame = frame_of_level(320, 180)

    Label(TEXT)(frame)

    assert (frame.to_ndarray()[:180] == 120).all()


def test_a_text_that_cannot_be_read_is_refused() -> None:
    assert choose_letter_size(TEXT, 64, 64) >= 8
    with pytest.raises(InvalidRequestError, match="cannot be read in frames of 48x48"):
        choose_letter_size(TEXT, 48, 48)


def test_a_video_whose_size_nobody_knew_gets_what_has_room() -> None:
    assert draw_label(TEXT, 32, 32).shape[1] <= 32
