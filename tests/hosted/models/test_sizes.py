"""The shape that a hosted model is asked for."""

import pytest

from media_agent_hosted.models.facts import HostedModel
from media_agent_hosted.models.sizes import ratio_of
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoRequest


@pytest.mark.parametrize(
    ("role", "asked", "said"),
    [
        (None, None, "16:9"),
        (InputRole.FIRST_FRAME, None, "adaptive"),
        (InputRole.SOURCE_VIDEO, None, "adaptive"),
        (InputRole.SUBJECT, None, None),
        (InputRole.FIRST_FRAME, "9:16", "9:16"),
    ],
)
def test_frames_that_follow_what_goes_in_may_need_a_word_for_it(
    role: InputRole | None, asked: str | None, said: str | None
) -> None:
    model = HostedModel.model_validate(
        {
            "id": "clips-1",
            "description": "Clips",
            "source": "made up",
            "length": {"seconds": "2-4", "default": 2},
            "rates": {"values": [24], "default": 24},
            "tiers": [{"value": "hd", "short_side": 720}],
            "ratios": ["16:9", "9:16"],
            "ratio_of_input": "adaptive",
            "needs_input": False,
        }
    )
    inputs = () if role is None else (MediaInput(role=role, url="https://example.com/a"),)

    request = VideoRequest(prompt="a fox", inputs=inputs, aspect_ratio=asked)

    assert ratio_of(request, model) == said
