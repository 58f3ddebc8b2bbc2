"""The address that a provider tells when work has news: sent only where the server has one."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.hosted.provider_kit import Provider

URL = "https://video.example.com/v1/webhooks/here"
HERE = Path(__file__).parent / "providers"
IN_BODY: dict[str, dict[str, Any]] = {
    "replicate": {"webhook": URL, "webhook_events_filter": ["completed"]},
    "kling": {"callback_url": URL},
    "seedance": {"callback_url": URL},
    "openrouter": {"callback_url": URL},
}
MODELS = {
    "replicate": "wan-video/wan-2.2-t2v-fast",
    "openrouter": "bytedance/seedance-2.0",
}

pytestmark = pytest.mark.anyio


async def submitted(name: str, folder: Path, callback_url: str | None) -> httpx.Request:
    """Return what is sent for a video."""
    spec = importlib.import_module(f"media_agent_hosted.providers.{name}").SPEC
    provider = Provider(spec, str(HERE / name / "test_backend.py"))
    talk = provider.talk(folder, "submitted")
    talk.backend.settings = replace(talk.backend.settings, callback_url=callback_url)
    await talk.backend.submit(provider.plan(MODELS.get(name)), key="job-1")
    return next(request for request in talk.asked if request.method == "POST")


@pytest.mark.parametrize("name", IN_BODY)
async def test_the_address_stands_in_the_body_and_changes_nothing_else(
    name: str, tmp_path: Path
) -> None:
    without = await submitted(name, tmp_path, None)
    named = await submitted(name, tmp_path, URL)

    assert json.loads(named.content) == json.loads(without.content) | IN_BODY[name]
    assert URL not in without.content.decode()
    assert named.url == without.url


async def test_fal_takes_the_address_in_the_query(tmp_path: Path) -> None:
    without = await submitted("fal", tmp_path, None)
    named = await submitted("fal", tmp_path, URL)

    assert named.url.params["fal_webhook"] == URL
    assert named.url.copy_with(query=None) == without.url
    assert named.content == without.content


async def test_a_provider_without_a_field_for_it_is_sent_what_it_is_sent_today(
    tmp_path: Path,
) -> None:
    without = await submitted("runway", tmp_path, None)
    named = await submitted("runway", tmp_path, URL)

    assert (named.url, named.content) == (without.url, without.content)
