"""What is resolved about a request before any backend plans it."""

import pytest

from media_agent.errors import InvalidRequestError
from media_agent.routing.planner import take_source_length
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_schemas import InputRole, MediaInput, VideoMode, VideoRequest


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
