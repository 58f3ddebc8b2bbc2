"""Runway: what is built, what answers mean, and the whole way against its simulator."""

from pathlib import Path
from typing import Any

import pytest

from media_agent.errors import ContentRejectedError, InvalidRequestError, UnsupportedRequestError
from media_agent.negotiation.negotiate import negotiate
from media_agent.routing.catalogue import Catalogue
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.providers.runway import SPEC
from media_agent_hosted.providers.runway.simulator import RunwaySimulator
from media_agent_schemas.media import InputRole, MediaInput, Size
from media_agent_schemas.request import VideoMode, VideoRequest
from tests.hosted.provider_kit import Provider

pytestmark = pytest.mark.anyio

RUNWAY = Provider(SPEC, __file__)
HERE = "https://api.dev.runwayml.com/v1"
FIRST = MediaInput(role=InputRole.FIRST_FRAME, url="https://example.com/a.png")
LAST = MediaInput(role=InputRole.LAST_FRAME, url="https://example.com/b.png")
SOURCE = MediaInput(role=InputRole.SOURCE_VIDEO, url="https://example.com/a.mp4")


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    url, body = await RUNWAY.send(tmp_path, "gen4.5", duration=5.0, seed=42, inputs=(FIRST,))

    assert url == f"{HERE}/image_to_video"
    assert body == {
        "model": "gen4.5",
        "promptText": "a fox runs",
        "promptImage": [{"uri": FIRST.url, "position": "first"}],
        "ratio": "1280:720",
        "duration": 5,
        "seed": 42,
    }


@pytest.mark.parametrize(
    ("model", "fields", "path", "expected"),
    [
        ("gen4.5", {}, "text_to_video", {"ratio": "1280:720"}),
        ("gen4.5", {"aspect_ratio": "9:16"}, "text_to_video", {"ratio": "720:1280"}),
        ("veo3.1", {"audio": False}, "text_to_video", {"audio": False}),
        (
            "gen4.5",
            {"inputs": (FIRST,), "size": Size(width=960, height=960)},
            "image_to_video",
            {"ratio": "960:960"},
        ),
        (
            "veo3.1",
            {"inputs": (FIRST, LAST)},
            "image_to_video",
            {
                "promptImage": [
                    {"uri": FIRST.url, "position": "first"},
                    {"uri": LAST.url, "position": "last"},
                ]
            },
        ),
        (
            "gemini_omni_flash_1.1",
            {"inputs": (SOURCE,)},
            "video_to_video",
            {"videoUri": SOURCE.url, "mode": "extend"},
        ),
        (
            "aleph2",
            {
                "mode": VideoMode.VIDEO_EDIT,
                "inputs": (
                    SOURCE,
                    MediaInput(role=InputRole.KEYFRAME, url="https://example.com/k.png", at=1.5),
                ),
            },
            "video_to_video",
            {
                "videoUri": SOURCE.url,
                "keyframes": [{"uri": "https://example.com/k.png", "seconds": 1.5}],
            },
        ),
        (
            "klingO3_standard",
            {
                "inputs": (
                    FIRST,
                    MediaInput(role=InputRole.SUBJECT, url="https://example.com/s.png"),
                )
            },
            "image_to_video",
            {"references": [{"uri": "https://example.com/s.png"}]},
        ),
        (
            "gemini_omni_flash_1.1",
            {"inputs": (MediaInput(role=InputRole.SUBJECT, url="https://example.com/s.png"),)},
            "text_to_video",
            {"references": [{"uri": "https://example.com/s.png"}]},
        ),
    ],
)
async def test_each_mode_has_its_call(
    model: str, fields: Any, path: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    url, body = await RUNWAY.send(tmp_path, model, **fields)

    assert url == f"{HERE}/{path}"
    assert {name: body.get(name) for name in expected} == expected
    assert ("duration" in body) == (model != "aleph2")


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("veo3.1", {"inputs": (LAST,)}),
        ("gen4_turbo", {"inputs": (FIRST, FIRST)}),
        ("gen4.5", {"prompt": "a" * 1001}),
        ("gen4.5", {"prompt": "🦊" * 501}),
        ("gen4.5", {"duration": 11.0}),
        ("aleph2", {}),
        ("klingO3_pro", {"inputs": (MediaInput(role=InputRole.SUBJECT, url=FIRST.url),)}),
        ("gemini_omni_flash", {"inputs": (SOURCE,)}),
    ],
)
async def test_what_a_model_cannot_do_is_said_before_anything_is_sent(
    model: str, fields: Any, tmp_path: Path
) -> None:
    talk = RUNWAY.talk(tmp_path, "submitted")

    with pytest.raises((UnsupportedRequestError, InvalidRequestError)):
        await talk.backend.submit(RUNWAY.plan(model, **fields), key="job-1")

    assert talk.asked == []


async def test_the_documented_conversation_is_understood(tmp_path: Path) -> None:
    talk = RUNWAY.talk(tmp_path, "submitted", "pending", "throttled", "running", "succeeded")

    events = await RUNWAY.run(talk.backend)
    end = events[-1]

    fractions = [each.fraction for each in events if each.type == "job.progressed"]
    assert fractions[-1] == 0.42
    assert end.type == "job.completed"
    assert end.artifacts[0].uri == "https://cdn.example/17f2.mp4?_jwt=abc"
    assert end.cost is not None
    assert end.cost.usd == pytest.approx(0.6)
    assert {each.headers["x-runway-version"] for each in talk.asked} == {"2024-11-06"}


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("failed", "generation_failed", "INTERNAL.BAD_OUTPUT.CODE01"),
        ("moderated", "content_rejected", "The prompt was not allowed."),
    ],
)
async def test_a_failure_says_why(name: str, code: str, said: str, tmp_path: Path) -> None:
    end = await RUNWAY.talk(tmp_path, "submitted", name).end()

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message


async def test_a_cancelled_task_ends(tmp_path: Path) -> None:
    assert (await RUNWAY.talk(tmp_path, "submitted", "cancelled").end()).type == "job.cancelled"


async def test_a_refusal_is_an_invalid_request(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="ratio is not one"):
        await RUNWAY.talk(tmp_path, "refused").end()


async def test_a_large_file_is_uploaded_without_the_key_and_the_plan_says_so(
    tmp_path: Path,
) -> None:
    video = make_video(Video(48, 24.0, 64, 36, 90))
    source = MediaInput(role=InputRole.SOURCE_VIDEO, data=video)
    with RunwaySimulator() as simulator:
        backend = RUNWAY.make(tmp_path, simulator.url)
        type(backend).largest_input, usual = 1000, type(backend).largest_input
        try:
            end = (
                await RUNWAY.run(backend, "aleph2", mode=VideoMode.VIDEO_EDIT, inputs=(source,))
            )[-1]
        finally:
            type(backend).largest_input = usual
        [stored], [sent] = simulator.calls("storage"), simulator.calls("submit")

    assert end.type == "job.completed"
    assert video in stored.body
    assert "authorization" not in stored.headers
    assert sent.json()["videoUri"] == "runway://ephemeral/source_video.mp4"
    request = VideoRequest(
        prompt="a fox", model="runway/aleph2", mode=VideoMode.VIDEO_EDIT, inputs=(source,)
    )
    plan = negotiate(request, backend.capabilities("aleph2"), draw_seed=lambda: 7)
    [said] = [each for each in plan.adjustments if each.field == "inputs[0]"]
    assert (said.used, said.asked) == ("uploaded if it is large", "a file (source_video)")
    assert "runway keeps them for a day" in said.reason


@pytest.mark.parametrize("model", ["gen4.5", "veo3.1", "kling3.0_pro"])
async def test_the_whole_way_of_a_video(model: str, tmp_path: Path) -> None:
    with RunwaySimulator() as simulator:
        end = (await RUNWAY.run(RUNWAY.make(tmp_path, simulator.url), model))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1


@pytest.mark.parametrize(
    ("model", "fields", "usd"),
    [
        ("gen4.5", {"duration": 5.0}, 0.6),
        ("veo3.1", {"duration": 8.0}, 3.2),
        ("veo3.1", {"duration": 8.0, "audio": False}, 1.6),
    ],
)
def test_prices_are_those_of_the_table(model: str, fields: Any, usd: float) -> None:
    facts = Catalogue.load({"runway": SPEC}).facts("runway", model)

    assert facts.estimate(RUNWAY.plan(model, **fields)).cost_usd == pytest.approx(usd)


def test_safety_is_told_from_other_failures() -> None:
    backend = RUNWAY.make(Path())
    said = {"id": "1", "status": "FAILED", "failure": "x", "failureCode": "SAFETY.OUTPUT.NEW"}

    assert isinstance(backend.parse(said).error, ContentRejectedError)
