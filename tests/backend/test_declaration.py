"""What a declared backend reads from a request."""

import pytest

from media_agent.backend.declaration import find_first_frame
from media_agent.errors import InvalidRequestError
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoMode, VideoRequest

ONE, OTHER = (MediaInput(role=InputRole.FIRST_FRAME, path=name) for name in ("a.png", "b.png"))


def test_a_video_starts_from_the_one_image_that_is_given() -> None:
    assert find_first_frame(VideoRequest(prompt="a cat", inputs=(ONE,))) == ONE
    assert find_first_frame(VideoRequest(prompt="a cat")) is None


@pytest.mark.parametrize(
    ("inputs", "mode", "given"),
    [
        ((), VideoMode.IMAGE_TO_VIDEO, "none"),
        ((ONE, OTHER), VideoMode.IMAGE_TO_VIDEO, "2"),
        ((ONE, OTHER), None, "2"),
    ],
)
def test_no_image_and_several_are_refused(
    inputs: tuple[MediaInput, ...], mode: VideoMode | None, given: str
) -> None:
    request = VideoRequest(prompt="a cat", inputs=inputs, mode=mode)

    with pytest.raises(InvalidRequestError, match=f"one first_frame; given: {given}"):
        find_first_frame(request)
