from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from media_agent.errors import InvalidRequestError
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import read_frames
from media_agent.video.contact_sheet import write_contact_sheet
from media_agent.video.probe import probe

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


def test_a_frame_that_the_decoder_does_not_give_is_left_out(tmp_path, video):
    """As after `ffmpeg -ss 0.1 -c copy`: an edit list hides the first frames, the packets count."""
    hide_first(video, frames=4, path=tmp_path / "cut.mp4")
    assert probe(tmp_path / "cut.mp4").frames > len(read_frames(tmp_path / "cut.mp4"))

    write_contact_sheet(tmp_path / "cut.mp4", tmp_path / "sheet.png", captions=[(0, "a"), (9, "b")])

    assert len(rows_of(Image.open(tmp_path / "sheet.png"), 192, 96)) == 1


def hide_first(video: Path, *, frames: int, path: Path) -> None:
    """Copy a video so that its first frames are decoded and not shown."""
    with av.open(video) as source, av.open(path, "w") as target:
        [stream] = source.streams.video
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.dts is not None]
        for packet in packets:
            step = packet.duration * frames
            packet.pts, packet.dts = packet.pts - step, packet.dts - step
            packet.stream = copy
            target.mux(packet)


@pytest.mark.parametrize(("width", "height"), [(3840, 2160), (64, 4096), (4096, 64)])
def test_large_frames_are_made_smaller(tmp_path, width, height):
    write_video(tmp_path / "video.mp4", np.full((2, height, width, 3), 120, np.uint8), fps=24)

    write_contact_sheet(tmp_path / "video.mp4", tmp_path / "sheet.png")

    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.height < 560
    assert sheet.width < 3000
    assert abs(int(np.asarray(sheet)[12, 12, 0]) - 120) < 4


def test_a_sheet_of_hundreds_of_shots_can_be_opened(tmp_path):
    write_video(tmp_path / "video.mp4", np.zeros((150, 36, 64, 3), np.uint8), fps=24)
    captions = [(number, f"shot {number}") for number in range(150)]

    write_contact_sheet(tmp_path / "video.mp4", tmp_path / "sheet.png", captions=captions)

    assert np.prod(Image.open(tmp_path / "sheet.png").size) < 60_000_000
