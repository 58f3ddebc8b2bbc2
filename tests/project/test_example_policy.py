"""The example of a policy asks its service, and nobody else, and fails closed."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import httpx
import pytest
import respx

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import PolicyFailedError, PolicyRefusedError
from media_agent.registry.plugins import discover
from media_agent.registry.registry import Registry
from media_agent_schemas import VideoRequest

pytestmark = pytest.mark.anyio
SOURCE = Path(__file__).resolve().parents[2] / "examples" / "policy-plugin" / "src"
URL = "https://moderation.example.com/v1/moderations"
POLICY = {"key": "sesame-open", "options": {"url": URL}}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The sandbox and the example, found as an installed package is."""
    monkeypatch.syspath_prepend(str(SOURCE))
    points = {
        "moderation": "media_agent_moderation.plugin",
        "sandbox": "media_agent.builtin.sandbox",
    }
    yield Registry(discover([EntryPoint(*each, "media_agent") for each in points.items()]))
    for name in [name for name in sys.modules if name.startswith("media_agent_moderation")]:
        del sys.modules[name]


@pytest.fixture
async def client(registry: Registry) -> Iterator[VideoClient]:
    settings = load_settings(default_backend="sandbox", policies={"moderation": POLICY})
    async with VideoClient(settings=settings, registry=registry) as client:
        yield client


def reply(*flagged: bool) -> httpx.Response:
    categories = {"violence": True, "self-harm": False}
    return httpx.Response(
        200, json={"results": [{"flagged": each, "categories": categories} for each in flagged]}
    )


async def test_a_prompt_that_the_service_allows_is_planned(client: VideoClient) -> None:
    with respx.mock() as service:
        asked = service.post(URL).mock(return_value=reply(False))
        plan = await client.plan(VideoRequest(prompt="a cat"))

    assert plan.policies[0].decision == "allowed"
    assert asked.calls.last.request.headers["Authorization"] == "Bearer sesame-open"
    assert asked.calls.last.request.content == b'{"input":["a cat"]}'


async def test_a_flagged_shot_is_refused_with_its_category(client: VideoClient) -> None:
    request = VideoRequest(
        shots=[{"prompt": "a cat", "duration": 1}, {"prompt": "a brawl", "duration": 1}]
    )

    with respx.mock() as service:
        service.post(URL).mock(return_value=reply(False, True))
        with pytest.raises(PolicyRefusedError, match="prompt 2 of 2: violence"):
            await client.plan(request)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"Location": "https://elsewhere.example.com"}),
        httpx.Response(200, text="all fine!"),
        httpx.Response(200, json={"results": []}),
        httpx.ConnectError("no network, sesame-open"),
    ],
)
async def test_a_service_that_gives_no_sound_answer_refuses_everything(
    client: VideoClient, answer: httpx.Response | Exception
) -> None:
    with respx.mock() as service:
        service.post(URL).mock(side_effect=[answer])
        with pytest.raises(PolicyFailedError, match="the policy moderation failed") as caught:
            await client.plan(VideoRequest(prompt="a cat"))

    assert "sesame-open" not in f"{caught.value.message} {caught.value.hint} {caught.value.notes}"


async def test_without_an_address_the_settings_are_at_fault(registry: Registry) -> None:
    settings = load_settings(default_backend="sandbox", policies={"moderation": {}})
    async with VideoClient(settings=settings, registry=registry) as client:
        with pytest.raises(PolicyFailedError, match=r"options\.url"):
            await client.plan(VideoRequest(prompt="a cat"))
