"""A model that is named without its backend is answered with its full name."""

import pytest

from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError
from media_agent.suggest import find_full_name
from media_agent_schemas import VideoRequest

pytestmark = pytest.mark.anyio

LISTED = ["fal/fal-ai/wan/v2.7/text-to-video", "fal/bytedance/seedance-2.0", "magi/tiny"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("bytedance/seedance-2.0", "fal/bytedance/seedance-2.0"),
        ("wan/v2.7/text-to-video", "fal/fal-ai/wan/v2.7/text-to-video"),
        ("fal-ai/something/new", "fal/fal-ai/something/new"),
        ("wan/v2.6/text-to-video", "fal/wan/v2.6/text-to-video"),
        ("nobody/knows", None),
        ("tiny/one", None),
    ],
)
def test_the_backend_of_a_model_is_found_by_what_it_lists(given: str, meant: str | None) -> None:
    assert find_full_name(given, LISTED) == meant


@pytest.mark.parametrize("model", ["fal-ai/kling-video/v9/text-to-video", "wan/v2.2-a14b/x"])
async def test_a_bare_id_of_fal_is_answered_with_its_full_name(model: str) -> None:
    async with VideoClient() as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.plan(VideoRequest(prompt="a fox", model=model))

    assert f"unknown backend '{model.partition('/')[0]}'" in caught.value.message
    assert caught.value.hint == f"did you mean fal/{model}?"


async def test_a_mistyped_backend_is_still_answered_with_the_nearest() -> None:
    async with VideoClient() as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.plan(VideoRequest(prompt="a fox", model="magu/tiny"))

    assert str(caught.value.hint).startswith("did you mean magi?")
