"""The watermark in videos: read after they were encoded again, and in no other video."""

from pathlib import Path

import av
import numpy as np
import pytest

from media_agent.provenance.watermark.read import STRETCH, FoundMark, read_marks, read_watermark
from media_agent.provenance.watermark.write import Watermarker
from tests.provenance.watermark.drawn import draw, encode_again, levels_of, write

PAYLOAD = 0xC0FFEE42


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marked")
    return write(folder / "marked.mp4", draw(480, 270, 30), Watermarker(PAYLOAD))


def test_a_mark_is_read_as_delivered(marked: Path) -> None:
    assert read_watermark(marked) == (FoundMark(PAYLOAD, 0, 30),)


@pytest.mark.parametrize(
    ("crf", "scale", "pixels", "codec"),
    [
        (23, 0.75, "yuv420p", "libx264"),
        (23, 1.0, "yuv420p10le", "libx264"),
        (23, 1.5, "yuv444p", "libx264"),
        (26, 1.0, "yuv422p", "libx264"),
        (26, 1.0, "yuv420p10le", "libx265"),
    ],
)
def test_a_mark_is_read_after_the_video_was_encoded_again(
    marked: Path, tmp_path: Path, crf: int, scale: float, pixels: str, codec: str
) -> None:
    again = encode_again(
        marked, tmp_path / "again.mp4", crf=crf, scale=scale, pixels=pixels, codec=codec
    )

    assert [each.payload for each in read_watermark(again)] == [PAYLOAD]


def test_a_mark_is_hardly_seen(marked: Path, tmp_path: Path) -> None:
    plain = levels_of(write(tmp_path / "plain.mp4", draw(480, 270, 30))).astype(float)

    difference = levels_of(marked) - plain

    assert 0.5 < np.sqrt((difference**2).mean()) < 3  # levels of 255
    assert abs(difference.mean()) < 0.1


@pytest.mark.parametrize("kind", ["scene", "16", "128", "235", "0"])
def test_a_video_without_a_mark_has_none(tmp_path: Path, kind: str) -> None:
    assert read_watermark(write(tmp_path / "plain.mp4", draw(320, 180, 12, kind=kind))) == ()


@pytest.mark.parametrize("kind", ["16", "128", "235"])
def test_flat_and_dark_frames_keep_a_mark(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "flat.mp4", draw(320, 180, 12, kind=kind), Watermarker(PAYLOAD))

    again = encode_again(path, tmp_path / "again.mp4")

    assert [each.payload for each in read_watermark(again)] == [PAYLOAD]


@pytest.mark.parametrize(("width", "height"), [(64, 64), (64, 160), (130, 98), (214, 382)])
def test_small_and_odd_sizes_have_a_mark(tmp_path: Path, width: int, height: int) -> None:
    path = write(tmp_path / "small.mp4", draw(width, height, 24), Watermarker(PAYLOAD))

    assert [each.payload for each in read_watermark(path)] == [PAYLOAD]


def test_frames_without_room_stay_as_they_are() -> None:
    frame = next(draw(62, 64, 1)).reformat(format="yuv420p")

    assert Watermarker(PAYLOAD)(frame) is frame


def test_one_frame_is_enough(tmp_path: Path) -> None:
    path = write(tmp_path / "one.mp4", draw(640, 360, 1), Watermarker(PAYLOAD))

    assert [each.payload for each in read_watermark(path)] == [PAYLOAD]


def test_a_frame_that_is_marked_stays_itself_as_it_was() -> None:
    frame = next(draw(320, 192, 1)).reformat(format="yuv420p")
    before = frame.to_ndarray()

    marked = Watermarker(PAYLOAD)(frame)

    assert np.array_equal(frame.to_ndarray(), before)
    assert not np.array_equal(marked.to_ndarray(), before)


def test_parts_of_several_jobs_have_each_its_own_mark() -> None:
    frames = [each.reformat(format="yuv420p") for each in draw(320, 192, 6 * STRETCH)]
    one, other = Watermarker(1), Watermarker(2)
    parts = [
        *map(one, frames[: 2 * STRETCH]),
        *frames[2 * STRETCH : 3 * STRETCH],
        *map(other, frames[3 * STRETCH :]),
    ]

    found = read_marks(parts)

    assert {each.payload for each in found} == {1, 2}
    assert all(each.start < 3 * STRETCH for each in found if each.payload == 1)
    assert all(each.end > 3 * STRETCH for each in found if each.payload == 2)


def test_an_unmarked_beginning_hides_no_mark() -> None:
    frames = [each.reformat(format="yuv420p") for each in draw(320, 192, 4 * STRETCH)]
    mark = Watermarker(PAYLOAD)
    mixed = [*frames[: 3 * STRETCH], *map(mark, frames[3 * STRETCH :])]

    assert PAYLOAD in {each.payload for each in read_marks(mixed)}


def test_no_video_is_read_for_ever() -> None:
    frame = next(draw(64, 64, 1)).reformat(format="yuv420p")
    seen = []

    def images():
        while True:
            seen.append(1)
            yield frame

    read_marks(images())

    assert len(seen) < 2000


def test_the_mark_depends_on_the_payload_and_the_frame_alone() -> None:
    frames = [each.reformat(format="yuv420p") for each in draw(320, 192, 3)]
    mark = Watermarker(PAYLOAD)

    in_order = [mark(each).to_ndarray() for each in frames]
    alone = Watermarker(PAYLOAD)(frames[2]).to_ndarray()

    assert np.array_equal(in_order[2], alone)


def test_the_pattern_is_the_same_for_ever() -> None:
    """Videos are out there: a pattern that changed would no longer be read in them."""
    from hashlib import sha256

    from media_agent.provenance.watermark.pattern import list_layouts

    drawn = [np.sign(each.draw(PAYLOAD)).astype(np.int8).tobytes() for each in list_layouts()]

    assert [sha256(each).hexdigest()[:16] for each in drawn] == [
        "1652adb0737a7ed1",
        "6c94b53b33dc535b",
    ]


def test_colours_stay_as_they_are() -> None:
    frame = next(draw(320, 192, 1)).reformat(format="yuv420p")

    marked = Watermarker(PAYLOAD)(frame)

    assert isinstance(marked, av.VideoFrame)
    assert np.array_equal(marked.to_ndarray()[192:], frame.to_ndarray()[192:])
    assert (marked.colorspace, marked.color_range) == (frame.colorspace, frame.color_range)
