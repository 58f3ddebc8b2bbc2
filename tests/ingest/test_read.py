"""Images and videos from outside: whatever they are, frames of the wanted shape or a clear no."""

import io
import os
import struct
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from media_agent.errors import InvalidRequestError
from media_agent.ingest.read import (
    iterate_upright,
    read_all,
    read_end,
    read_image,
    read_last_image,
)
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import encode_chunk, read_frames, split_header
from media_agent_schemas.media import InputRole, MediaInput, Size

Pixels = NDArray[Any]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@dataclass(frozen=True)
class Recipe:
    """How a video is encoded."""

    codec: str = "libx264"
    container: str = "mp4"
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)


OPEN_GOPS = Recipe(
    container="matroska", options={"bf": "3", "x264-params": "open-gop=1:scenecut=0"}
)
REFRESHED = Recipe(  # no key frame but the first
    container="matroska", options={"bf": "0", "x264-params": "intra-refresh=1:scenecut=0"}
)
GROWING = Recipe(container_options={"movflags": "frag_keyframe+empty_moov"})
VP9 = {"deadline": "realtime", "cpu-used": "8"}
HIDDEN_FRAMES = VP9 | {"auto-alt-ref": "1", "lag-in-frames": "16"}
HEVC = {"x265-params": "log-level=none:keyint=12:open-gop=1"}
RECIPES = {
    "h264": Recipe(options={"bf": "2"}),
    "h264, open groups": OPEN_GOPS,
    "h264, refreshed bit by bit": REFRESHED,
    "h264, growing": GROWING,
    "h264, transport stream": Recipe(container="mpegts", options={"bf": "2"}),
    "h264, bare": Recipe(container="h264"),
    "hevc": Recipe("libx265", options=HEVC),
    "mpeg4": Recipe("mpeg4", "avi", options={"bf": "2"}),
    "mpeg4, sought between key frames": Recipe("mpeg4", "mpegts"),
    "mpeg2": Recipe("mpeg2video", "mpeg", options={"bf": "2"}),
    "vp9": Recipe("libvpx-vp9", "webm", options=VP9),
    "vp9, hidden frames": Recipe("libvpx-vp9", "webm", options=HIDDEN_FRAMES),
    "vp9, live": Recipe("libvpx-vp9", "webm", options=VP9, container_options={"live": "1"}),
    "ffv1": Recipe("ffv1", "matroska"),
    "prores": Recipe("prores_ks", "mov", "yuv422p10le"),
    "gif": Recipe("gif", "gif", "rgb8"),
    "apng": Recipe("apng", "apng", "rgb24"),
}
LOSSLESS = Recipe("ffv1", "matroska", "bgr0")


def drawn(frames: int, size: tuple[int, int] = (48, 32)) -> Pixels:
    """Return frames (T H W 3) that all differ: a brighter paper, a bar that moves."""
    width, height = size
    video = np.zeros((frames, height, width, 3), np.uint8)
    for number, frame in enumerate(video):
        frame[:] = number * 5 % 200
        frame[:, number * 3 % width :][:, :4] = RED
    return video


def encoded(
    recipe: Recipe,
    frames: Pixels,
    *,
    group: int = 12,
    fps: int = 24,
    times: Sequence[int] | None = None,
    turned: int = 0,
    aspect: Fraction | None = None,
    colours: int | None = None,
    primaries: int | None = None,
) -> bytes:
    """Return a video; `times` are milliseconds."""
    file = io.BytesIO()
    unit = Fraction(1, fps) if times is None else Fraction(1, 1000)
    with av.open(file, "w", recipe.container, options=recipe.container_options) as container:
        stream: Any = container.add_stream(recipe.codec, fps, {"g": str(group)} | recipe.options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = recipe.pixels
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.codec_context.time_base = unit
        if turned:
            stream.set_display_rotation(turned)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if colours is not None:
            stream.codec_context.color_trc = colours
        if primaries is not None:
            stream.codec_context.color_primaries = primaries
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=recipe.pixels)
            frame.pts, frame.time_base = number if times is None else times[number], unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def everything(video: bytes | Path) -> Pixels:
    return np.stack(list(read_all(video, limit=1000)))


def encoded_image(image: Image.Image | Pixels, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        file, kind, **options
    )
    return file.getvalue()


def noise(width: int, height: int, channels: int = 3) -> Pixels:
    random = np.random.default_rng(7)
    return random.integers(0, 256, (height, width, channels), np.uint8)


def blocks(width: int = 64, height: int = 48) -> Image.Image:
    """Return an image with another colour in each corner, which survives a lossy format."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = WHITE
    return Image.fromarray(pixels)


def distance(seen: Pixels, wanted: Any) -> float:
    """Return the mean distance of two images, in levels."""
    return float(np.abs(np.asarray(seen, int) - np.asarray(wanted, int)).mean())


# --- the end of a video


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_end_is_the_last_of_all_frames_in_every_kind_of_video(recipe: Recipe) -> None:
    video = encoded(recipe, drawn(40, (128, 96)))  # x265 breaks on much smaller ones
    whole = everything(video)

    for count in (1, 2, 13, 40):
        assert np.array_equal(read_end(video, frames=count), whole[-count:]), count
    assert len(whole) == 40


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["h264", "h264, open groups", "mpeg4", "vp9, hidden frames", "gif"]),
    length=st.integers(1, 50),
    group=st.integers(1, 30),
    count=st.integers(1, 60),
)
def test_the_end_is_the_last_of_all_frames_however_key_frames_lie(
    name: str, length: int, group: int, count: int
) -> None:
    video = encoded(RECIPES[name], drawn(length), group=group)

    assert np.array_equal(read_end(video, frames=count), everything(video)[-count:])


@pytest.mark.parametrize("name", ["h264", "h264, transport stream", "mpeg4", "vp9", "ffv1"])
def test_the_end_of_a_long_video_is_found_without_decoding_what_is_before(name: str) -> None:
    video = encoded(RECIPES[name], drawn(600))

    end = read_end(video, frames=3, most_decoded=40 * 16_384)

    assert len(end) == 3


def test_times_that_lie_do_not_hide_the_last_frames() -> None:
    frames = drawn(6)
    video = encoded(LOSSLESS, frames, times=[0, 40, 80, 120, 10**12, 10**12 + 1])

    assert np.array_equal(read_end(video, frames=3), frames[-3:])
    assert np.array_equal(read_end(video, frames=2, fps=25)[-1], frames[-1])


def test_a_video_that_takes_too_long_to_decode_is_refused() -> None:
    video = encoded(RECIPES["gif"], drawn(20))

    with pytest.raises(InvalidRequestError, match="too long") as caught:
        read_end(video, frames=1, most_decoded=10 * 16_384)

    assert "ffmpeg" in str(caught.value.hint)


@pytest.mark.parametrize(("most", "is_refused"), [(100, True), (101, False)])
def test_a_whole_video_has_no_more_frames_than_can_be_encoded(most: int, is_refused: bool) -> None:
    video = encoded(LOSSLESS, drawn(2), times=[0, 4000])
    size = Size(width=64, height=48)

    frames = iterate_upright(video, size=size, fps=25, most_pixels=most * 16_384)

    if is_refused:
        with pytest.raises(
            InvalidRequestError, match="more than 100 frames of 64x48 at 25 a second"
        ):
            deque(frames, maxlen=0)
    else:
        assert sum(1 for _ in frames) == 101


def test_a_video_shorter_than_asked_is_given_whole() -> None:
    frames = drawn(5)

    assert np.array_equal(read_end(encoded(LOSSLESS, frames), frames=9), frames)


def test_the_last_frame_of_one_of_our_videos_is_the_one_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, drawn(30, (64, 64)), fps=24)
    decoded = read_frames(path)

    assert distance(read_end(path, frames=4), decoded[-4:]) < 4  # colours at edges
    assert np.array_equal(read_last_image(path).to_ndarray(), read_end(path, frames=1)[0])


@pytest.mark.parametrize("count", [1, 5, 24, 25, 60])
def test_the_end_of_a_video_that_grows_by_chunks_is_its_last_frames(count: int) -> None:
    chunks = [drawn(24), drawn(26)[2:]]
    encodings = [
        encode_chunk(frames, fps=24, index=index, start_frame=24 * index)
        for index, frames in enumerate(chunks)
    ]
    video = encodings[0] + split_header(encodings[1])[1]

    assert np.array_equal(read_end(video, frames=count), everything(video)[-count:])


@pytest.mark.parametrize(
    "read", [lambda: read_end(b"x", frames=0), lambda: [*read_all(b"x", limit=0)]]
)
def test_less_than_one_frame_is_refused(read: Any) -> None:
    with pytest.raises(InvalidRequestError, match="0 frames were requested"):
        read()


# --- another rate


@pytest.mark.parametrize(("fps", "numbers"), [(12, [5, 7, 9, 11]), (48, [10, 10, 11, 11])])
def test_at_another_rate_frames_are_counted_back_from_the_last(
    fps: int, numbers: list[int]
) -> None:
    frames = drawn(12)

    end = read_end(encoded(LOSSLESS, frames), frames=4, fps=fps)

    assert numbers_of(end, frames)[-1] == 11
    assert np.abs(np.subtract(numbers_of(end, frames), numbers)).max() <= (fps > 24)


def test_another_rate_is_told() -> None:
    told: list[str] = []
    video = encoded(LOSSLESS, drawn(3))

    read_end(video, frames=1, fps=24, tell=told.append)
    read_end(video, frames=1, fps=30, tell=told.append)
    list(read_all(video, limit=9, fps=30, tell=told.append))

    assert told == ["the video: 24 frames per second, resampled to 30"] * 2


def test_frames_at_uneven_times_are_chosen_by_their_time() -> None:
    frames = drawn(7)
    video = encoded(LOSSLESS, frames, times=[0, 100, 110, 120, 200, 300, 700])

    assert numbers_of(np.stack([*read_all(video, limit=8, fps=10)]), frames) == [
        *(0, 3, 4, 5, 5, 5, 5, 6)
    ]
    assert numbers_of(read_end(video, frames=6, fps=10), frames) == [4, 5, 5, 5, 5, 6]


def test_times_rounded_to_milliseconds_neither_double_nor_lose_a_frame() -> None:
    frames = drawn(40)
    video = encoded(LOSSLESS, frames, times=[round(number * 1000 / 24) for number in range(40)])

    assert numbers_of(np.stack([*read_all(video, limit=40, fps=24)]), frames) == list(range(40))
    assert numbers_of(read_end(video, frames=40, fps=24), frames) == list(range(40))


def test_a_frame_that_claims_to_show_for_ages_is_not_repeated_for_ages() -> None:
    told: list[str] = []
    video = encoded(LOSSLESS, drawn(3), times=[0, 40, 10**12])

    frames = list(read_all(video, limit=50, fps=24, tell=told.append))

    assert len(frames) == 50
    assert told == ["the video is longer; its first 50 frames were used"]


def test_a_video_is_read_frame_by_frame_up_to_the_limit() -> None:
    frames, told = drawn(10), list[str]()
    video = encoded(LOSSLESS, frames)

    assert np.array_equal(np.stack([*read_all(video, limit=10, tell=told.append)]), frames)
    assert told == []
    assert np.array_equal(np.stack([*read_all(video, limit=4, tell=told.append)]), frames[:4])
    assert len(told) == 1


def numbers_of(video: Pixels, frames: Pixels) -> list[int]:
    """Return which frame each of the video is."""
    return [int(np.abs(frames.astype(int) - frame).sum(axis=(1, 2, 3)).argmin()) for frame in video]


# --- shape


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_camera_says(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    content = encoded_image(blocks(), kind, exif=exif, quality=95)

    seen = read_image(content)

    wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert seen.shape[:2] == (wanted.height, wanted.width)
    assert distance(seen, wanted) < 4


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_a_video_is_turned_as_its_container_says(tmp_path: Path, degrees: int, turns: int) -> None:
    frames = np.stack([np.asarray(blocks())] * 3)
    video = encoded(RECIPES["h264"], frames, turned=degrees)

    end = read_end(video, frames=1)

    assert distance(end[0], np.rot90(frames[0], turns)) < 6
    (tmp_path / "video.mp4").write_bytes(video)
    assert np.array_equal(read_last_image(tmp_path / "video.mp4").to_ndarray(), end[0])


@pytest.mark.parametrize(
    ("fit", "left", "said"),
    [("crop", RED, "cropped to 64x64"), ("pad", (0, 0, 0), "filled up with black to 64x64")],
)
def test_proportions_are_kept_by_cutting_off_or_filling_up(fit: Any, left: Any, said: str) -> None:
    told: list[str] = []
    upright = blocks(32, 96)

    seen = read_image(
        encoded_image(upright), size=Size(width=64, height=64), fit=fit, tell=told.append
    )

    assert seen.shape == (64, 64, 3)
    assert tuple(seen[20, 4]) == left
    assert distance(seen[20, 24], RED) < 3
    assert distance(seen[44, 40], WHITE) < 3
    assert told == [f"the image: 32x96, {said}"]


def test_the_same_shape_in_another_size_is_nothing_to_tell() -> None:
    told: list[str] = []

    seen = read_image(encoded_image(blocks()), size=Size(width=128, height=96), tell=told.append)

    assert seen.shape == (96, 128, 3)
    assert told == []


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("sides", [(1, 1), (1, 9000), (9000, 1), (3, 5), (63, 49)])
def test_any_sides_become_the_size_wanted(sides: tuple[int, int], fit: Any) -> None:
    white = np.full((sides[1], sides[0], 3), 255, np.uint8)

    seen = read_image(encoded_image(white), size=Size(width=64, height=32), fit=fit)

    assert seen.shape == (32, 64, 3)
    assert seen[15:17, 31:33].max() == 255
    assert np.array_equal(read_image(encoded_image(white)), white)


@pytest.mark.parametrize("sides", [(1, 1), (3, 5), (63, 49)])
def test_videos_with_odd_sides_are_read(sides: tuple[int, int]) -> None:
    frames = drawn(5, sides)

    assert np.array_equal(read_end(encoded(LOSSLESS, frames), frames=2), frames[-2:])
    subsampled = encoded(Recipe("mpeg4", "matroska"), frames)
    assert read_end(subsampled, frames=2, size=Size(width=32, height=32)).shape == (2, 32, 32, 3)


def test_frames_that_change_their_size_become_as_the_first() -> None:
    stream = RECIPES["h264, transport stream"]
    video = encoded(stream, drawn(5)) + encoded(stream, drawn(5, (96, 64)))

    assert {frame.shape for frame in read_all(video, limit=20)} == {(32, 48, 3)}
    assert read_end(video, frames=3).shape == (3, 64, 96, 3)


def test_pixels_that_are_not_square_are_made_square() -> None:
    video = encoded(RECIPES["h264"], drawn(3, (48, 32)), aspect=Fraction(2))

    assert read_end(video, frames=1).shape == (1, 32, 96, 3)


# --- colours


def test_what_is_transparent_is_black() -> None:
    half = np.dstack([noise(20, 10), np.full((10, 20), 128, np.uint8)])
    clear = np.dstack([noise(20, 10), np.zeros((10, 20), np.uint8)])

    assert distance(read_image(encoded_image(half)), half[..., :3] * (128 / 255)) < 1
    assert read_image(encoded_image(clear)).max() == 0


def test_a_palette_with_a_transparent_colour_is_read() -> None:
    image = blocks().quantize(4)
    clear = image.getpixel((0, 0))

    seen = read_image(encoded_image(image, transparency=clear))

    assert tuple(seen[0, 0]) == (0, 0, 0)
    assert distance(seen[-1, -1], WHITE) < 2


def test_images_of_16_bits_and_of_printing_inks_are_read() -> None:
    deep = Image.fromarray(np.full((10, 20), 0x8080, np.uint16))
    inks = blocks().convert("CMYK")

    assert distance(read_image(encoded_image(deep)), 128) < 2
    seen = read_image(encoded_image(inks, "JPEG", quality=95))
    assert distance(seen, inks.convert("RGB")) < 4


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_images_without_colour_are_read(mode: str) -> None:
    image = blocks().convert(mode)

    assert distance(read_image(encoded_image(image)), image.convert("RGB")) < 1


def test_a_video_of_10_bits_is_read() -> None:
    frames = drawn(4)
    video = encoded(Recipe("ffv1", "matroska", "yuv444p10le"), frames)

    assert distance(read_end(video, frames=4), frames) < 2


@pytest.mark.parametrize(("colours", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_told(colours: int, name: str) -> None:
    told: list[str] = []
    video = encoded(Recipe("ffv1", "matroska", "yuv420p10le"), drawn(3), colours=colours)

    read_end(video, frames=2, tell=told.append)

    assert [f"is HDR ({name})" in said for said in told] == [True]


@pytest.mark.parametrize(("primaries", "name"), [(9, "BT.2020"), (12, "Display P3")])
def test_a_video_of_more_colours_than_usual_is_told(primaries: int, name: str) -> None:
    told: list[str] = []
    video = encoded(RECIPES["h264"], drawn(3), primaries=primaries)

    read_end(video, frames=2, tell=told.append)

    assert [f"has the colours of {name}" in said for said in told] == [True]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_opaque_loses_nothing_to_transparency(kind: str, mode: str) -> None:
    told: list[str] = []
    ramp = Image.linear_gradient("L").convert("RGB").convert(mode)
    if mode == "P":
        ramp = Image.linear_gradient("L").convert("P")

    seen = read_image(encoded_image(ramp, kind, lossless=True), tell=told.append)

    assert np.array_equal(seen, np.asarray(ramp.convert("RGB")))
    assert told == []


def test_a_gif_loses_nothing_to_transparency() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (WHITE, RED, BLUE)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])

    assert [tuple(frame[0, 0]) for frame in read_all(file.getvalue(), limit=9)] == [
        WHITE,
        RED,
        BLUE,
    ]


def test_transparent_places_are_told_once() -> None:
    told: list[str] = []
    clear, full = (Image.new("RGBA", (32, 32), (255, 0, 0, alpha)) for alpha in (0, 255))
    file = io.BytesIO()
    full.save(file, "PNG", save_all=True, append_images=[clear, full, clear], disposal=1)

    list(read_all(file.getvalue(), limit=9, tell=told.append))
    read_image(encoded_image(clear), tell=told.append)

    assert ["is transparent in places" in said for said in told] == [True, True]


def test_a_video_whose_transparency_is_left_out_is_told() -> None:
    told: list[str] = []
    video = encoded(Recipe("libvpx-vp9", "webm", "yuva420p", VP9), drawn(3))

    read_end(video, frames=1, tell=told.append)

    assert ["is transparent in places" in said for said in told] == [True]


@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ((1280, 64), 1),
        ((64, 578), 1),
        ((64, 576), 5),
        ((720, 480), 5),
    ],
)
def test_a_video_that_names_no_colour_matrix_is_seen_as_players_show_it(
    size: tuple[int, int], matrix: int
) -> None:
    colour = (200, 60, 40)
    video = flat(colour, size, matrix, tag=2)

    assert np.abs(next(read_all(video, limit=1))[9, 9].astype(int) - colour).max() <= 3


@pytest.mark.parametrize("matrix", [1, 5])
def test_a_video_that_names_its_colour_matrix_is_believed(matrix: int) -> None:
    colour = (200, 60, 40)
    video = flat(colour, (1280, 64), matrix, tag=matrix)

    assert np.abs(next(read_all(video, limit=1))[9, 9].astype(int) - colour).max() <= 3


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_large_image_is_not_taken_for_a_video(kind: str) -> None:
    image = Image.new("RGB", (1280, 720), (200, 60, 40))

    seen = read_image(encoded_image(image, kind, quality=100))

    assert np.abs(seen[9, 9].astype(int) - (200, 60, 40)).max() <= 2


def flat(colour: tuple[int, int, int], size: tuple[int, int], matrix: int, *, tag: int) -> bytes:
    """Return a video of one colour, made with one colour matrix and tagged with another."""
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream: Any = container.add_stream("libx264", 24, {"qp": "4"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.colorspace = tag
        pixels = np.full((size[1], size[0], 3), colour, np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
        image = frame.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=1)
        image.colorspace = tag
        container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return file.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


CAMERA = encoded_image(blocks(640, 480), "JPEG", quality=95)
TIFF_HEADER = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"


@pytest.mark.parametrize(
    "content",
    [
        CAMERA[:2] + segment(0xE1, TIFF_HEADER + CAMERA) + CAMERA[2:],
        CAMERA + encoded(RECIPES["h264"], drawn(3)),
        CAMERA + bytes(5000),
        encoded_image(blocks(640, 480), "JPEG", quality=95, progressive=True),
    ],
    ids=["with a small one inside", "with a video behind", "with zeros behind", "progressive"],
)
def test_images_as_cameras_write_them_are_read(content: bytes) -> None:
    assert distance(read_image(content), blocks(640, 480)) < 1


# --- what is refused


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{video}\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile '{video}'\n"
NOT_MEDIA = {
    "empty": (b"", "it is empty"),
    "text": (b"a cat on a mat\n" * 50, "it is text"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "it is text"),
    "pdf": (b"%PDF-1.4\n" + bytes(900), "it is a PDF"),
    "zip": (b"PK\3\4" + bytes(900), "it is a ZIP archive"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(900), "it is HEIC"),
    "zeros": (bytes(9000), "damaged"),
    "noise": (noise(100, 100).tobytes(), "damaged"),
}


@pytest.mark.parametrize(("content", "complaint"), NOT_MEDIA.values(), ids=NOT_MEDIA)
def test_what_is_neither_image_nor_video_is_named(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(content)

    with pytest.raises(InvalidRequestError, match=complaint) as caught:
        read_image(path)
    with pytest.raises(InvalidRequestError, match=complaint):
        read_end(path, frames=1)

    assert str(path) in caught.value.message
    assert "PNG, JPEG or WebP" in str(caught.value.hint)


@pytest.mark.parametrize("template", [PLAYLIST, CONCAT])
def test_a_playlist_opens_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.ts").write_bytes(encoded(RECIPES["h264, transport stream"], drawn(5)))
    path = tmp_path / "list.m3u8"
    path.write_bytes(template.replace(b"{video}", b"secret.ts"))

    with pytest.raises(InvalidRequestError, match="playlist"):
        read_end(path, frames=1)


def test_an_image_is_no_video_and_a_video_no_image() -> None:
    with pytest.raises(InvalidRequestError, match="it is an image") as caught:
        read_end(encoded_image(blocks()), frames=1)
    assert "first frame" in str(caught.value.hint)

    names = {"h264": "a video", "gif": "a GIF", "apng": "an animated PNG", "mpeg2": "a video"}
    for recipe, name in names.items():
        with pytest.raises(InvalidRequestError, match=f"it is {name}"):
            read_image(encoded(RECIPES[recipe], drawn(3)))


def test_an_animated_webp_is_named() -> None:
    frames = [Image.fromarray(frame) for frame in drawn(3)]
    content = encoded_image(frames[0], "WEBP", save_all=True, append_images=frames[1:])

    with pytest.raises(InvalidRequestError, match="animated WebP"):
        read_end(content, frames=1)


def test_other_kinds_of_images_are_named() -> None:
    with pytest.raises(InvalidRequestError, match=r"another kind of image \(tiff_pipe\)"):
        read_image(encoded_image(blocks(), "TIFF"))


def avif(brand: bytes, frames: int = 1) -> bytes:
    """Return an AVIF of one image or more, whose main brand is changed."""
    file = io.BytesIO()
    images = [Image.new("RGB", (64, 64), (200, 60, 90 * each)) for each in range(frames)]
    images[0].save(file, "AVIF", save_all=frames > 1, append_images=images[1:])
    content = file.getvalue()
    return content[:8] + brand + content[12:]


@pytest.mark.parametrize(("brand", "frames"), [(b"avif", 1), (b"mif1", 1), (b"avis", 3)])
def test_an_avif_is_named_and_no_video(brand: bytes, frames: int) -> None:
    content = avif(brand, frames)

    with pytest.raises(InvalidRequestError, match="it is AVIF"):
        read_image(content)
    with pytest.raises(InvalidRequestError, match="it is AVIF"):
        read_end(content, frames=1)


@pytest.mark.parametrize(
    ("major", "others", "name"),
    [
        (b"heic", [b"mif1", b"heic"], "HEIC"),
        (b"mif1", [b"mif1", b"heic"], "HEIC"),
        (b"heix", [b"mif1"], "HEIC"),
        (b"mif1", [b"mif1", b"miaf"], "HEIF"),
    ],
)
def test_images_of_phones_are_named(major: bytes, others: list[bytes], name: str) -> None:
    box = b"ftyp" + major + bytes(4) + b"".join(others)
    content = struct.pack(">I", len(box) + 4) + box + bytes(900)

    with pytest.raises(InvalidRequestError, match=f"it is {name}"):
        read_image(content)


@pytest.mark.parametrize(("kind", "name"), [("GIF", "a GIF"), ("ICO", "an icon")])
def test_still_images_of_other_kinds_are_not_called_videos(kind: str, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=rf"(?m)it is {name}$"):
        read_image(encoded_image(blocks(64, 64), kind))


def test_an_icon_is_no_video() -> None:
    with pytest.raises(InvalidRequestError, match="it is an image"):
        read_end(encoded_image(blocks(64, 64), "ICO"), frames=1)


def test_a_video_of_sound_alone_is_named_also_with_a_cover() -> None:
    with pytest.raises(InvalidRequestError, match="it is an audio file"):
        read_end(sound(), frames=1)
    with pytest.raises(InvalidRequestError, match="it is an audio file"):
        read_end(sound(cover=True), frames=1)


def sound(*, cover: bool = False) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream: Any = container.add_stream("aac", 44100)
        art: Any = container.add_stream("mjpeg", 1) if cover else None
        if cover:
            art.width, art.height, art.pix_fmt = 16, 16, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(noise(16, 16), "rgb24").reformat(format="yuvj420p")
            container.mux(art.encode(frame))
            container.mux(art.encode(None))
        for number in range(5):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            samples.sample_rate, samples.pts = 44100, 1024 * number
            container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_of_100_megapixels_is_refused_before_it_is_decoded(kind: str) -> None:
    content = bytearray(encoded_image(noise(40, 30), kind))
    if kind == "PNG":
        content[16:24] = struct.pack(">II", 10_000, 10_000)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", 10_000, 10_000)

    with pytest.raises(InvalidRequestError, match="more than 64 million pixels") as caught:
        read_image(bytes(content))
    assert caught.value.hint == "shrink it if it is that large"


def test_a_video_of_100_megapixels_is_refused_with_its_size() -> None:
    video = b"YUV4MPEG2 W10000 H10000 F24:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(900)

    with pytest.raises(InvalidRequestError, match="10000x10000 are more than 64 million pixels"):
        read_end(video, frames=1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_half_an_image_is_refused(kind: str) -> None:
    content = encoded_image(noise(80, 60), kind)

    with pytest.raises(InvalidRequestError, match="damaged"):
        read_image(content[: len(content) // 2])


@pytest.mark.parametrize("movflags", ["", "faststart"])
def test_an_mp4_that_is_cut_off_is_refused(tmp_path: Path, movflags: str) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, noise(64, 64 * 24).reshape(24, 64, 64, 3), fps=24)
    content = path.read_bytes() if movflags else encoded(RECIPES["h264"], drawn(24))

    with pytest.raises(InvalidRequestError, match="damaged or cut off"):
        read_end(content[: len(content) * 2 // 3], frames=3)


def test_a_video_whose_last_frames_are_damaged_is_refused() -> None:
    content = encoded(Recipe("mpeg4", "avi"), drawn(40, (128, 96)))

    with pytest.raises(InvalidRequestError, match="damaged"):
        read_end(content[: content.index(b"idx1") * 3 // 4], frames=3)


def test_a_video_that_ends_long_before_it_claims_is_told() -> None:
    told: list[str] = []
    content = encoded(LOSSLESS, drawn(60))

    end = read_end(content[: len(content) // 3], frames=2, tell=told.append)

    assert len(end) == 2
    assert ["it may be cut off" in said for said in told] == [True]


# --- where it comes from


def test_an_input_of_a_request_is_named_by_its_role() -> None:
    given_bytes = MediaInput(role=InputRole.FIRST_FRAME, data=b"no image")
    address = MediaInput(role=InputRole.SOURCE_VIDEO, url="https://example.com/video.mp4")

    with pytest.raises(InvalidRequestError, match=r"^first_frame cannot be used: it is text"):
        read_image(given_bytes)
    with pytest.raises(InvalidRequestError, match=r"^source_video .*it is an address") as caught:
        read_end(address, frames=1)

    assert "download" in str(caught.value.hint)


def test_an_input_is_read_from_its_file_or_its_bytes(tmp_path: Path) -> None:
    content = encoded_image(blocks())
    (tmp_path / "a.jpg").write_bytes(content)  # what it is called decides nothing
    by_path = MediaInput(role=InputRole.FIRST_FRAME, path=str(tmp_path / "a.jpg"))
    by_bytes = MediaInput(role=InputRole.FIRST_FRAME, data=content)

    for source in (by_path, by_bytes, tmp_path / "a.jpg", content):
        assert np.array_equal(read_image(source), np.asarray(blocks()))


def test_places_that_are_no_files_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for place, complaint in (
        (tmp_path / "gone.mp4", "no such file"),
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is not a regular file"),
    ):
        with pytest.raises(InvalidRequestError, match=complaint) as caught:
            read_end(place, frames=1)
        assert str(place) in caught.value.message
