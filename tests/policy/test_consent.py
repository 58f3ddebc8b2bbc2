"""An image is used only with the declaration of whoever brings it."""

import pytest

from media_agent.errors import ConfigurationError
from media_agent.policy.consent import CODE, make_consent
from media_agent.policy.decisions import ALLOW, PolicyCall, PolicySettings, Refuse
from media_agent_schemas import VideoRequest
from media_agent_schemas.media import InputRole, MediaInput

IMAGE = MediaInput(role=InputRole.FIRST_FRAME, url="https://example.com/face.png")
STYLE = MediaInput(role=InputRole.STYLE, url="https://example.com/style.png")


@pytest.mark.parametrize("declared", [None, "  ", "\u200b"])
def test_an_image_without_a_declaration_is_refused_with_the_way_out(declared: str | None) -> None:
    asked = VideoRequest(prompt="she waves", inputs=(STYLE, IMAGE), consent=declared)

    answer = make_consent(PolicySettings("consent")).before_plan(asked, PolicyCall())

    assert isinstance(answer, Refuse)
    assert answer.code == CODE
    assert "first_frame" in answer.reason
    assert "--consent" in (answer.hint or "")


@pytest.mark.parametrize(
    "asked",
    [
        VideoRequest(prompt="a cat"),
        VideoRequest(prompt="she waves", inputs=(STYLE,)),
        VideoRequest(prompt="she waves", inputs=(IMAGE,), consent="release form 12"),
    ],
)
def test_everything_else_is_allowed(asked: VideoRequest) -> None:
    assert make_consent(PolicySettings("consent")).before_plan(asked, PolicyCall()) == ALLOW


def test_the_settings_say_which_inputs_it_asks_about() -> None:
    policy = make_consent(PolicySettings("consent", {"roles": ["style"]}))

    assert isinstance(
        policy.before_plan(VideoRequest(prompt="she waves", inputs=(STYLE,)), PolicyCall()), Refuse
    )
    with pytest.raises(ConfigurationError, match="roles"):
        make_consent(PolicySettings("consent", {"roles": ["face"]}))
