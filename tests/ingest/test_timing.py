"""How long a video is, and its frames: counted in the file, whatever the file claims."""

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from media_agent.ingest.read import read_all, read_end, read_video_seconds
from tests.ingest.test_read import HEVC, LOSSLESS, RECIPES, VP9, Recipe, drawn, encoded, numbers_of

LIVE = Recipe("ffv1", "matroska", "bgr0", container_options={"live": "1"})
VP8 = {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good", "cpu-used": "5"}


def animation(kind: str, milliseconds: list[int]) -> bytes:
    """Return an animated image whose frames last so long."""
    images = [Image.new("RGB", (64, 64), (40 * each, 0, 0)) for each in range(len(milliseconds))]
    file = io.BytesIO()
    images[0].save(file, kind, save_all=True, append_images=images[1:], duration=milliseconds)
    return file.getvalue()


def with_sound(
    frames: int, *, sound: float, container: str = "matroska", late: float = 0.0
) -> bytes:
    """Return a video with so many seconds of sound; its images begin `late`."""
    file = io.BytesIO()
    with av.open(file, "w", container) as out:
        video: Any = out.add_stream("libx264", 24, {"g": "12"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = out.add_stream("aac", 48000)
        for start in range(0, int(sound * 48000), 1024):
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate, silence.pts = 48000, start
            silence.time_base = Fraction(1, 48000)
            out.mux(audio.encode(silence))
        out.mux(audio.encode(None))
        for number, pixels in enumerate(drawn(frames, (64, 48))):
            image = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
            image.pts, image.time_base = number + round(late * 24), Fraction(1, 24)
            out.mux(video.encode(image))
        out.mux(video.encode(None))
    return file.getvalue()


# --- how long


@pytest.mark.parametrize(
    "recipe",
    [
        *RECIPES.values(),
        LIVE,
        Recipe("libvpx-vp9", "webm", options=VP9, container_options={"live": "1"}),
        Recipe("libvpx", "webm", options=VP8),
        Recipe("libvpx", "webm", options=VP8, container_options={"live": "1"}),
        Recipe("libx264", "flv"),
        Recipe("mjpeg", "avi", "yuvj420p"),
    ],
    ids=lambda recipe: f"{recipe.codec}-{recipe.container}",
)
def test_a_video_is_as_long_as_the_frames_that_are_in_it(recipe: Recipe) -> None:
    video = encoded(recipe, drawn(40, (128, 96)))

    frames = sum(1 for _ in read_all(video, limit=1000))

    assert frames == 40
    assert round(read_video_seconds(video) * 24) == 40


@pytest.mark.parametrize("container", ["matroska", "mp4", "mov", "mpegts"])
@pytest.mark.parametrize("late", [0.0, 1.5])
def test_neither_longer_sound_nor_a_late_beginning_makes_it_longer(
    container: str, late: float
) -> None:
    video = with_sound(48, sound=6.0, container=container, late=late)

    assert round(read_video_seconds(video) * 24) == 48


def test_what_a_cut_off_video_lost_is_not_counted() -> None:
    content = encoded(LOSSLESS, drawn(60))

    assert read_video_seconds(content[: len(content) // 3]) < 1.5


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_the_last_frame_lasts_as_long_as_it_says(kind: str) -> None:
    video = animation(kind, [100, 100, 3000])

    frames = list(read_all(video, limit=1000, fps=10))

    assert read_video_seconds(video) == pytest.approx(3.2)
    assert [int(frame[0, 0, 0]) // 40 for frame in frames] == [0, 1, *[2] * 30]


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_the_end_of_a_video_that_stands_still_is_what_stands_there(kind: str) -> None:
    video = animation(kind, [1000, 1000, 500])

    end = read_end(video, frames=12, fps=10)

    assert [int(frame[0, 0, 0]) // 40 for frame in end] == [*[0] * 0, *[1] * 7, *[2] * 5]


def test_a_slide_is_shown_until_the_next_one_begins() -> None:
    frames = drawn(3)
    video = encoded(LOSSLESS, frames, times=[0, 1000, 2000])

    end = read_end(video, frames=8, fps=4)

    assert numbers_of(end, frames)[-5:] == [1, 1, 1, 1, 2]


@pytest.mark.parametrize("container", ["h264", "hevc", "m4v"])
def test_a_bare_stream_has_the_rate_that_its_codec_tells(container: str) -> None:
    codec = {"h264": "libx264", "hevc": "libx265", "m4v": "mpeg4"}[container]
    options = HEVC if codec == "libx265" else {}
    told: list[str] = []
    video = encoded(Recipe(codec, container, options=options), drawn(40, (128, 96)))

    frames = sum(1 for _ in read_all(video, limit=1000, fps=24, tell=told.append))

    assert (frames, told) == (40, [])
    assert read_video_seconds(video) == pytest.approx(40 / 24)


# --- what is told of it


def test_longer_sound_is_no_sign_of_a_video_that_is_cut_off() -> None:
    told: list[str] = []

    read_end(with_sound(24, sound=4.0), frames=2, tell=told.append)

    assert not [said for said in told if "cut off" in said]


def test_a_video_with_sound_that_is_cut_off_is_told() -> None:
    told: list[str] = []
    content = with_sound(120, sound=5.0)

    read_end(content[: len(content) // 3], frames=2, tell=told.append)

    assert [said for said in told if "cut off" in said]


def test_a_length_that_is_no_whole_number_of_frames_at_the_rate_wanted_leaves_nothing_over() -> (
    None
):
    told: list[str] = []
    video = encoded(LOSSLESS, drawn(168), fps=30)
    wanted = round(read_video_seconds(video) * 24)

    frames = list(read_all(video, limit=wanted, fps=24, tell=told.append))

    assert len(frames) == wanted
    assert not [said for said in told if "longer" in said]
