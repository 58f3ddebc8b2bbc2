import io

import av
import numpy as np
import pytest

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import (
    encode_chunk,
    iterate_frames,
    iterate_images,
    read_frames,
    split_header,
    to_frame_rate,
    write_images,
)
from media_agent.video.remux import remux


def moving_square(frames, start=0, height=64, width=96):
    video = np.zeros((frames, height, width, 3), np.uint8)
    video[..., 2] = 128
    for number in range(frames):
        left = (start + number) % (width - 20)
        video[number, 20:40, left : left + 20] = (255, 0, 0)
    return video


def join(chunks, fps=24):
    """Return the video that the chunks make when written one after the other."""
    video, start = b"", 0
    for index, frames in enumerate(chunks):
        chunk = encode_chunk(frames, fps=fps, index=index, start_frame=start)
        video += chunk if index == 0 else split_header(chunk)[1]
        start += len(frames)
    return video


def test_chunks_with_an_encoder_each_decode_in_a_video_as_they_decode_alone(tmp_path):
    chunks = [moving_square(24), moving_square(24, 24), moving_square(1, 48), moving_square(7, 49)]
    (tmp_path / "video.mp4").write_bytes(join(chunks))
    for index, frames in enumerate(chunks):
        write_video(tmp_path / f"{index}.mp4", frames, fps=24)

    video = read_frames(tmp_path / "video.mp4")

    alone = [read_frames(tmp_path / f"{index}.mp4") for index in range(len(chunks))]
    assert np.array_equal(video, np.concatenate(alone))
    assert len(video) == 56


def test_a_remux_changes_no_frame_and_keeps_the_tags(tmp_path):
    import av

    source = join([moving_square(24), moving_square(5, 24)])
    (tmp_path / "growing.mp4").write_bytes(source)

    remux(io.BytesIO(source), tmp_path / "video.mp4", tags={"title": "a red square"})

    assert np.array_equal(
        read_frames(tmp_path / "video.mp4"), read_frames(tmp_path / "growing.mp4")
    )
    with av.open(str(tmp_path / "video.mp4")) as video:
        assert video.metadata["title"] == "a red square"
    content = (tmp_path / "video.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_same_frames_make_the_same_bytes():
    frames = moving_square(24)

    assert encode_chunk(frames, fps=24) == encode_chunk(frames, fps=24)


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (130, 66), (512, 300)])
def test_colours_survive_encoding(tmp_path, size):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 128), (255, 255, 0), (128, 128, 128)]
    width, height = size
    frames = np.zeros((len(colours), height, width, 3), np.uint8)
    for number, colour in enumerate(colours):
        frames[number] = colour

    write_video(tmp_path / "video.mp4", frames, fps=24)

    seen = read_frames(tmp_path / "video.mp4")
    assert seen.shape == frames.shape
    assert np.abs(seen.astype(int) - frames).max() <= 6


def test_ntsc_rates_become_their_fraction():
    assert to_frame_rate(24000 / 1001) * 1001 == 24000


def test_frames_can_be_read_one_by_one(tmp_path):
    write_video(tmp_path / "video.mp4", moving_square(5), fps=24)

    assert [frame.shape for frame in iterate_frames(tmp_path / "video.mp4")] == [(64, 96, 3)] * 5


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        (np.zeros((2, 64, 65, 3), np.uint8), "65x64"),
        (np.zeros((2, 63, 64, 3), np.uint8), "64x63"),
        (np.zeros((0, 64, 64, 3), np.uint8), "no frames"),
        (np.zeros((2, 64, 64, 3), np.float32), "float32"),
        (np.zeros((64, 64, 3), np.uint8), r"\(64, 64, 3\)"),
        (np.zeros((2, 64, 64, 4), np.uint8), r"\(2, 64, 64, 4\)"),
    ],
)
def test_frames_that_cannot_be_encoded_are_refused_by_their_shape(frames, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        encode_chunk(frames, fps=24)


def test_a_video_that_is_cut_off_is_named_when_it_is_read(tmp_path):
    path = tmp_path / "cut.mp4"
    write_video(path, moving_square(24), fps=24)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 40])

    with pytest.raises(StorageError, match=r"cut\.mp4"):
        read_frames(path)


@pytest.mark.parametrize("colour", [(200, 60, 40), (40, 200, 90), (60, 90, 210), (230, 200, 40)])
def test_frames_are_read_back_no_darker_than_they_were_written(tmp_path, colour):
    path = tmp_path / "video.mp4"
    path.write_bytes(encode_chunk(np.full((4, 128, 128, 3), colour, np.uint8), fps=24))

    [*_, last] = iterate_frames(path)

    assert np.abs(last[60, 60].astype(int) - colour).max() <= 1
    assert abs(np.subtract(last[60, 60].astype(int), colour).mean()) < 0.5


def test_a_video_that_names_no_colour_matrix_keeps_its_colours_when_encoded_again(tmp_path):
    colour, path, again = (200, 60, 40), tmp_path / "hd.mp4", tmp_path / "again.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 24, {"qp": "4"})
        stream.width, stream.height, stream.pix_fmt = 1280, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((64, 1280, 3), colour, np.uint8), "rgb24")
        image = frame.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
        image.colorspace = 2
        container.mux(stream.encode(image))
        container.mux(stream.encode(None))

    write_images(again, iterate_images(path), size=(1280, 64), fps=24)

    for video in (path, again):
        assert np.abs(read_frames(video)[0, 30, 600].astype(int) - colour).max() <= 3
