import numpy as np
import pytest
from PIL import Image

from media_agent.errors import InvalidRequestError
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import read_frames
from media_agent.video.contact_sheet import write_contact_sheet

PAPER = (250, 250, 247)


@pytest.fixture
def video(tmp_path):
    """A video of 12 frames, each of another gray, 32x16."""
    frames = np.zeros((12, 16, 32, 3), np.uint8)
    for number in range(12):
        frames[number] = 10 + 20 * number
        frames[number, ::2, ::2] = 255
    path = tmp_path / "video.mp4"
    write_video(path, frames, fps=24)
    return path


def rows_of(sheet, width, height):
    """Return the frames found in a sheet made for frames of this size, as rows of arrays."""
    pixels = np.asarray(sheet)
    dark = (pixels[:, 10:20] != PAPER).any(axis=2).all(axis=1)
    tops = [row for row in range(1, len(dark)) if dark[row] and not dark[row - 1]]
    return [pixels[top : top + height, 10 : 10 + width] for top in tops]


def test_frames_are_enlarged_without_smoothing(tmp_path, video):
    write_contact_sheet(video, tmp_path / "sheet.png")

    first = rows_of(Image.open(tmp_path / "sheet.png"), 192, 96)[0]

    expected = read_frames(video)[0].repeat(6, axis=0).repeat(6, axis=1)
    assert np.array_equal(first, expected)


def test_every_stretch_begins_a_row_with_its_first_frame(tmp_path, video):
    captions = [(0, "dark"), (5, "bright")]

    write_contact_sheet(video, tmp_path / "sheet.png", captions=captions)

    firsts = rows_of(Image.open(tmp_path / "sheet.png"), 192, 96)
    frames = read_frames(video)
    assert [row[0, 6].tolist() for row in firsts] == [
        frames[0, 0, 1].tolist(),
        frames[5, 0, 1].tolist(),
    ]


def test_a_prompt_is_written_over_its_stretch(tmp_path, video):
    write_contact_sheet(video, tmp_path / "bare.png")
    write_contact_sheet(video, tmp_path / "named.png", captions=[(0, "a gray")])

    bare, named = Image.open(tmp_path / "bare.png"), Image.open(tmp_path / "named.png")

    caption = np.asarray(named)[: named.height - bare.height]
    assert named.height > bare.height
    assert (caption < 60).all(axis=2).any()


def test_a_caption_after_the_end_of_a_shortened_video_is_left_out(tmp_path, video):
    captions = [(0, "made"), (48, "never made")]

    write_contact_sheet(video, tmp_path / "sheet.png", captions=captions)

    assert len(rows_of(Image.open(tmp_path / "sheet.png"), 192, 96)) == 1


def test_captions_out_of_order_are_refused(tmp_path, video):
    with pytest.raises(InvalidRequestError, match="in order"):
        write_contact_sheet(video, tmp_path / "sheet.png", captions=[(5, "a"), (0, "b")])
