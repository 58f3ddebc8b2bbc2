"""Gemini Omni: what is built, what answers mean, and the whole way against its simulator."""

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from media_agent.errors import ModelRetiredError, UnsupportedRequestError
from media_agent.routing.catalogue import Catalogue
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.providers.google import SPEC
from media_agent_hosted.providers.google.simulator import GoogleSimulator
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier
from media_agent_schemas.request import VideoMode
from tests.hosted.images import make_png
from tests.hosted.provider_kit import Provider

pytestmark = pytest.mark.anyio

GOOGLE = Provider(SPEC, __file__)
OMNI = "gemini-omni-1.2-flash"
HERE = "https://generativelanguage.googleapis.com/v1beta"
PNG = make_png(320, 180)
VIDEO = make_video(Video(24, 8.0, 64, 48, 90))
SOURCE = MediaInput(role=InputRole.SOURCE_VIDEO, data=VIDEO)


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    fields = {"aspect_ratio": "16:9", "resolution": ResolutionTier.P720}
    url, body = await GOOGLE.send(tmp_path, duration=6.0, **fields)

    assert url == f"{HERE}/interactions"
    assert body == {
        "model": OMNI,
        "input": "a fox runs",
        "background": True,
        "store": True,
        "response_format": {"type": "video", "duration": "6s", "delivery": "uri", **fields},
        "generation_config": {"video_config": {"task": "text_to_video"}},
        "labels": {"job": "job-1"},
    }


@pytest.mark.parametrize(
    ("fields", "task", "count"),
    [
        ({"inputs": (MediaInput(role=InputRole.FIRST_FRAME, data=PNG),)}, "image_to_video", 1),
        ({"inputs": (MediaInput(role=InputRole.SUBJECT, data=PNG),) * 6}, "reference_to_video", 6),
        ({"inputs": (SOURCE,)}, "extend", 1),
        ({"inputs": (SOURCE,), "mode": VideoMode.VIDEO_EDIT}, "edit", 1),
    ],
)
async def test_inputs_go_along_as_content_for_their_task(
    fields: Any, task: str, count: int, tmp_path: Path
) -> None:
    _, body = await GOOGLE.send(tmp_path, **fields)

    [step] = body["input"]
    text, *parts = step["content"]
    assert step["type"] == "user_input"
    assert text == {"type": "text", "text": "a fox runs"}
    assert len(parts) == count
    is_video = parts[0]["type"] == "video"
    content = VIDEO if is_video else PNG
    kind = "video/mp4" if is_video else "image/png"
    assert parts[0]["data"] == base64.b64encode(content).decode()
    assert parts[0]["mime_type"] == kind
    assert body["generation_config"]["video_config"]["task"] == task
    assert ("duration" in body["response_format"]) == (task != "edit")


@pytest.mark.parametrize(
    "fields",
    [
        {"inputs": (MediaInput(role=InputRole.SUBJECT, data=PNG),) * 7},
        {"inputs": (MediaInput(role=InputRole.LAST_FRAME, data=PNG),)},
        {"duration": 16.0},
    ],
)
def test_what_omni_cannot_do_is_said_before_anything_is_sent(fields: Any) -> None:
    with pytest.raises(UnsupportedRequestError):
        GOOGLE.plan(**fields)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("failed", "generation_failed", "generation failed"),
        ("blocked", "content_rejected", "blocked by safety filters"),
        ("incomplete", "generation_failed", "incomplete"),
    ],
)
async def test_a_failure_says_why(name: str, code: str, said: str, tmp_path: Path) -> None:
    end = await GOOGLE.talk(tmp_path, "submitted", "in_progress", name).end()

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message


async def test_a_model_that_is_gone_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(ModelRetiredError):
        await GOOGLE.talk(tmp_path, "gone").end()


async def test_the_video_is_fetched_with_the_key_from_its_own_origin_only(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers.get("x-goog-api-key")))
        if request.url.path.endswith(":download"):
            return httpx.Response(302, headers={"location": "https://files.example/x.mp4"})
        if request.url.host == "files.example":
            return httpx.Response(200, content=VIDEO, headers={"content-type": "video/mp4"})
        name = "submitted" if request.method == "POST" else "completed"
        return httpx.Response(200, json=GOOGLE.replies.read(name)["body"])

    backend = GOOGLE.make(tmp_path, transport=httpx.MockTransport(answer))
    end = (await GOOGLE.run(backend))[-1]

    assert end.type == "job.completed"
    assert end.artifacts[0].path is not None
    keys = {key for host, key in seen if host != "files.example"}
    assert keys == {GOOGLE.key}
    assert ("files.example", None) in seen


@pytest.mark.parametrize("outcome", ["completed", "inline"])
async def test_the_whole_way_of_a_video(outcome: str, tmp_path: Path) -> None:
    with GoogleSimulator(outcome=outcome) as simulator:
        end = (await GOOGLE.run(GOOGLE.make(tmp_path, simulator.url), duration=6.0))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1


def test_veo_at_the_gemini_api_is_known_as_retired() -> None:
    facts = Catalogue.load({"google": SPEC}).facts("google", "veo-3.1-generate-preview")

    assert (facts.status, str(facts.status_since)) == ("retired", "2026-10-22")
