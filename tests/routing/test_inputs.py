"""What inputs say of a video, before any backend plans it."""

import io
from fractions import Fraction

import pytest
from PIL import Image

from media_agent.errors import InvalidRequestError
from media_agent.negotiation.draft import Shape
from media_agent.routing.inputs import measure_shape_of_inputs, take_source_length
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_schemas import InputRole, MediaInput, Size, VideoMode, VideoRequest


def edit(**values: object) -> VideoRequest:
    video = MediaInput(role=InputRole.SOURCE_VIDEO, data=make_video(Video(frames=31, fps=24)))
    known = {"prompt": "a cat", "mode": VideoMode.VIDEO_EDIT, "inputs": (video,)}
    return VideoRequest.model_validate(known | values)


def test_a_restyled_video_is_as_long_as_its_source() -> None:
    assert take_source_length(edit()).duration == pytest.approx(31 / 24)


@pytest.mark.parametrize(
    "values",
    [
        {"duration": 2.0},
        {"num_frames": 7},
        {"endless": True},
        {"mode": VideoMode.VIDEO_EXTEND},
        {"inputs": ({"role": "source_video", "url": "https://example.com/video.mp4"},)},
        {"inputs": ()},
    ],
)
def test_a_length_that_was_given_or_cannot_be_seen_stays(values: dict[str, object]) -> None:
    asked = edit(**values)

    assert take_source_length(asked) is asked


def test_a_source_that_is_no_video_is_refused_before_anything_begins() -> None:
    rubbish = MediaInput(role=InputRole.SOURCE_VIDEO, data=b"no video, but words")

    with pytest.raises(InvalidRequestError, match="cannot be used"):
        take_source_length(edit(inputs=(rubbish,)))


def image(width: int, height: int, orientation: int = 1) -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.new("RGB", (width, height)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def bringing(role: InputRole, data: bytes, **values: object) -> VideoRequest:
    inputs = (MediaInput(role=role, data=data),)
    return VideoRequest.model_validate({"prompt": "a cat", "inputs": inputs} | values)


@pytest.mark.parametrize("role", [InputRole.FIRST_FRAME, InputRole.LAST_FRAME])
def test_an_image_has_the_shape_that_is_seen(role: InputRole) -> None:
    assert measure_shape_of_inputs(bringing(role, image(90, 160))) == Shape(Fraction(9, 16))
    assert measure_shape_of_inputs(bringing(role, image(160, 90, orientation=6))) == Shape(
        Fraction(9, 16)
    )


def test_a_source_video_has_a_shape_too() -> None:
    video = make_video(Video(frames=3, fps=24, width=96, height=64))

    assert measure_shape_of_inputs(bringing(InputRole.SOURCE_VIDEO, video)) == Shape(
        Fraction(3, 2), Size(width=96, height=64)
    )


@pytest.mark.parametrize(
    "values",
    [{"size": {"width": 64, "height": 64}}, {"resolution": "720p"}, {"aspect_ratio": "1:1"}],
)
def test_nobody_looks_at_an_image_where_the_size_was_given(values: dict[str, object]) -> None:
    assert (
        measure_shape_of_inputs(bringing(InputRole.FIRST_FRAME, image(90, 160), **values)) is None
    )


def test_what_cannot_be_seen_has_no_shape() -> None:
    far = {"role": "first_frame", "url": "https://example.com/cat.png"}
    gone = {"role": "first_frame", "path": "/nowhere/cat.png"}
    style = {"role": "style", "data": image(90, 160)}

    for medium in (far, gone, style):
        assert (
            measure_shape_of_inputs(
                VideoRequest.model_validate({"prompt": "a", "inputs": [medium]})
            )
            is None
        )
    assert measure_shape_of_inputs(bringing(InputRole.FIRST_FRAME, b"no image")) is None
