"""Kling: what is built, what answers mean, and the whole way against its simulator."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import JsonValue, SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendUnavailableError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.routing.catalogue import Catalogue
from media_agent.testing import Fault, events_of
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.kling import SPEC
from media_agent_hosted.providers.kling.backend import KlingBackend
from media_agent_hosted.providers.kling.simulator import KlingSimulator
from media_agent_schemas.media import CameraMove, InputRole, MediaInput, ResolutionTier
from media_agent_schemas.request import Shot, VideoMode
from tests.hosted.images import make_png
from tests.hosted.provider_kit import Provider, no_sleep

pytestmark = pytest.mark.anyio

KLING = Provider(SPEC, __file__)
HERE = "https://api-singapore.klingai.com/v1/videos"


def at(role: InputRole, name: str) -> MediaInput:
    return MediaInput(role=role, url=f"https://example.com/{name}")


FIRST = at(InputRole.FIRST_FRAME, "a.png")
LAST = at(InputRole.LAST_FRAME, "b.png")
SUBJECT = at(InputRole.SUBJECT, "s.png")
MOTION = at(InputRole.MOTION, "m.mp4")
SOURCE = at(InputRole.SOURCE_VIDEO, "a.mp4")


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    url, body = await KLING.send(
        tmp_path, "kling-v2-6", duration=5.0, negative_prompt="blur", audio=False
    )

    assert url == f"{HERE}/text2video"
    assert body == {
        "model_name": "kling-v2-6",
        "prompt": "a fox runs",
        "negative_prompt": "blur",
        "duration": "5",
        "mode": "pro",
        "aspect_ratio": "16:9",
        "sound": "off",
        "external_task_id": "job-1",
    }


@pytest.mark.parametrize(
    ("model", "fields", "path", "expected"),
    [
        ("kling-v3", {"duration": 3.0}, "text2video", {"duration": "3"}),
        ("kling-v3", {"audio": True}, "text2video", {"sound": "on", "mode": "pro"}),
        ("kling-v2-5-turbo", {}, "text2video", {"mode": "std", "aspect_ratio": "16:9"}),
        (
            "kling-v2-5-turbo",
            {"resolution": ResolutionTier.P1080, "aspect_ratio": "9:16"},
            "text2video",
            {"mode": "pro", "aspect_ratio": "9:16"},
        ),
        (
            "kling-v2-6",
            {"inputs": (FIRST,)},
            "image2video",
            {"image": FIRST.url, "aspect_ratio": None},
        ),
        (
            "kling-v2-5-turbo",
            {"inputs": (FIRST, LAST)},
            "image2video",
            {"image": FIRST.url, "image_tail": LAST.url, "mode": "pro"},
        ),
        (
            "kling-v1-6",
            {"inputs": (SUBJECT, SUBJECT), "options": {"kling": {"cfg_scale": 0.7}}},
            "multi-image2video",
            {"image_list": [{"image": SUBJECT.url}] * 2, "cfg_scale": 0.7},
        ),
        (
            "kling-v2-6",
            {"inputs": (SUBJECT, MOTION), "audio": False},
            "motion-control",
            {
                "image_url": SUBJECT.url,
                "video_url": MOTION.url,
                "character_orientation": "video",
                "keep_original_sound": "no",
                "sound": None,
                "duration": None,
                "mode": "pro",
            },
        ),
        (
            "kling-v1",
            {"camera": CameraMove.ZOOM_IN},
            "text2video",
            {
                "camera_control": {
                    "type": "simple",
                    "config": {
                        "horizontal": 0,
                        "vertical": 0,
                        "pan": 0,
                        "tilt": 0,
                        "roll": 0,
                        "zoom": -5,
                    },
                }
            },
        ),
        (
            "kling-v3-omni",
            {"inputs": (FIRST, LAST)},
            "omni-video",
            {
                "image_list": [
                    {"image_url": FIRST.url, "type": "first_frame"},
                    {"image_url": LAST.url, "type": "end_frame"},
                ]
            },
        ),
        (
            "kling-v3-omni",
            {"inputs": (SUBJECT, MOTION)},
            "omni-video",
            {
                "image_list": [{"image_url": SUBJECT.url}],
                "video_list": [{"video_url": MOTION.url, "refer_type": "feature"}],
            },
        ),
        (
            "kling-video-o1",
            {"inputs": (SOURCE, SUBJECT), "mode": VideoMode.VIDEO_EDIT},
            "omni-video",
            {
                "video_list": [{"video_url": SOURCE.url, "refer_type": "base"}],
                "image_list": [{"image_url": SUBJECT.url}],
                "duration": None,
            },
        ),
        (
            "video-extend",
            {"options": {"kling": {"video_id": "v-1"}}},
            "video-extend",
            {
                "video_id": "v-1",
                "prompt": "a fox runs",
                "model_name": None,
                "duration": None,
                "mode": None,
            },
        ),
        (
            "kling-v4",
            {"options": {"kling": {"input": '{"mode": "4k"}'}}},
            "text2video",
            {"mode": "4k"},
        ),
    ],
)
async def test_each_mode_has_its_path_and_its_fields(
    model: str, fields: Any, path: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    url, body = await KLING.send(tmp_path, model, **fields)

    assert url == f"{HERE}/{path}"
    assert {name: body.get(name) for name in expected} == expected


async def test_shots_have_prompts_of_their_own_that_add_up(tmp_path: Path) -> None:
    shots = (
        Shot(prompt="a fox", duration=2.6),
        Shot(prompt="a hare", duration=0.2),
        Shot(prompt="an owl", duration=2.2),
    )
    _, body = await KLING.send(tmp_path, "kling-v3", prompt=None, shots=shots)

    assert body["multi_shot"] is True
    assert body["shot_type"] == "customize"
    assert [each["prompt"] for each in body["multi_prompt"]] == ["a fox", "a hare", "an owl"]
    assert [each["index"] for each in body["multi_prompt"]] == [1, 2, 3]
    lengths = [each["duration"] for each in body["multi_prompt"]]
    assert lengths == ["3", "1", "1"]
    assert body["duration"] == "5"
    assert "prompt" not in body


async def test_an_image_goes_along_as_bare_base64_that_fits(tmp_path: Path) -> None:
    first = MediaInput(role=InputRole.FIRST_FRAME, data=make_png(400, 300, "WEBP"))
    _, body = await KLING.send(tmp_path, "kling-v2-6", inputs=(first,))

    assert base64.b64decode(body["image"], validate=True)[:3] in (b"\xff\xd8\xff", b"\x89PN")


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("kling-v2-6", {"audio": True, "resolution": ResolutionTier.P720}, "1080p only"),
        ("kling-v2-6", {"inputs": (SUBJECT,)}, "motion"),
        ("kling-v2-6", {"prompt": "a" * 2501}, "2500"),
        ("kling-v2-5-turbo", {"inputs": (LAST,)}, "first_frame"),
        ("kling-v1-6", {"inputs": (SUBJECT,) * 5}, "4"),
        ("kling-v3-omni", {"inputs": (*(SUBJECT,) * 5, MOTION)}, "4 images beside a video"),
        ("video-extend", {}, "video_id"),
        (
            "kling-v3",
            {"prompt": None, "shots": (Shot(prompt="a" * 513, duration=2), Shot(prompt="b"))},
            "513 characters",
        ),
        (
            "kling-v3",
            {
                "prompt": None,
                "shots": (Shot(prompt="a", duration=3), Shot(prompt="b", duration=2)),
                "inputs": (SUBJECT, MOTION),
            },
            "from text and images only",
        ),
        (
            "kling-v2-6",
            {"inputs": (MediaInput(role=InputRole.FIRST_FRAME, data=make_png(200, 400)),)},
            "at least 300",
        ),
        (
            "kling-v2-6",
            {"inputs": (MediaInput(role=InputRole.FIRST_FRAME, data=make_png(1000, 300)),)},
            "2.5",
        ),
    ],
)
async def test_what_a_model_cannot_do_is_said_before_anything_is_sent(
    model: str, fields: Any, said: str, tmp_path: Path
) -> None:
    talk = KLING.talk(tmp_path, "submitted")

    with pytest.raises((UnsupportedRequestError, InvalidRequestError), match=said):
        await talk.backend.submit(KLING.plan(model, **fields), key="job-1")

    assert talk.asked == []


async def test_the_documented_conversation_is_understood(tmp_path: Path) -> None:
    talk = KLING.talk(tmp_path, "submitted", "submitted", "processing", "succeed")

    events = await KLING.run(talk.backend, inputs=(FIRST,))
    end = events[-1]

    assert [each.type for each in events[:2]] == ["job.progressed", "job.started"]
    assert end.type == "job.completed"
    assert [each.uri for each in end.artifacts] == ["https://cdn.example/v-1.mp4"]
    assert end.artifacts[0].expires_at is not None
    assert end.cost is None
    assert any("v-1" in warning for warning in end.warnings)
    assert [str(each.url) for each in talk.asked[1:]] == [f"{HERE}/image2video/Cl6k"] * 3
    assert {each.headers["authorization"] for each in talk.asked} == {f"Bearer {KLING.key}"}


async def test_a_video_with_a_watermark_is_not_taken(tmp_path: Path) -> None:
    end = await KLING.talk(tmp_path, "submitted", "watermarked").end()

    assert end.type == "job.completed"
    assert [each.uri for each in end.artifacts] == ["https://cdn.example/v-1.mp4"]


async def test_units_cost_what_was_paid_for_them(tmp_path: Path) -> None:
    priced = Provider(SPEC, __file__, options={"usd_per_unit": 0.14})

    end = await priced.talk(tmp_path, "submitted", "succeed").end()

    assert end.type == "job.completed"
    assert end.cost is not None
    assert end.cost.usd == pytest.approx(0.49)


async def test_a_failure_says_why(tmp_path: Path) -> None:
    end = await KLING.talk(tmp_path, "submitted", "failed").end()

    assert end.type == "job.failed"
    assert end.error.code == "content_rejected"
    assert "risk control" in end.error.message


def test_other_failures_and_unknown_states_are_what_they_are() -> None:
    backend = KLING.make(Path())
    failed: JsonValue = {
        "data": {"task_id": "a", "task_status": "failed", "task_status_msg": "no GPU"}
    }
    unknown: JsonValue = {"code": 0, "data": {"task_id": "a", "task_status": "rendering-3d"}}

    error = backend.parse(failed).error
    assert error is not None
    assert error.code == "generation_failed"
    assert backend.parse(unknown).state is None
    assert backend.parse({"data": {"task_id": "a", "task_status": "succeeded"}}).state is State.DONE


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("moderated", ContentRejectedError),
        ("no_credit", BackendAuthenticationError),
        ("concurrency", BackendRateLimitError),
        ("not_found", InvalidRequestError),
    ],
)
@pytest.mark.parametrize("is_in_200", [False, True])
async def test_a_code_decides_whatever_the_status_of_http(
    reply: str, error: type[MediaAgentError], is_in_200: bool, tmp_path: Path
) -> None:
    said = KLING.replies.read(reply)
    talk = KLING.talk(tmp_path, {**said, "status": 200} if is_in_200 else said)

    with pytest.raises(error, match=f"{said['body']['code']}"):
        await talk.end()

    is_repeated = error is BackendRateLimitError and not is_in_200
    assert (len(talk.asked) > 1) == is_repeated


@pytest.mark.parametrize(
    ("code", "error"),
    [
        *((code, BackendAuthenticationError) for code in (1000, 1001, 1002, 1003, 1004)),
        *((code, BackendAuthenticationError) for code in (1100, 1101, 1102, 1103, 1304)),
        *((code, InvalidRequestError) for code in (1200, 1201, 1202, 1203)),
        *((code, ContentRejectedError) for code in (1300, 1301)),
        *((code, BackendRateLimitError) for code in (1302, 1303)),
        *((code, SubmitUncertainError) for code in (5000, 5001, 5002)),
    ],
)
async def test_every_code_of_the_table_has_its_error(
    code: int, error: type[MediaAgentError], tmp_path: Path
) -> None:
    reply = {"status": 200, "body": {"code": code, "message": "no", "request_id": "CjM1"}}

    with pytest.raises(error):
        await KLING.talk(tmp_path, reply).end()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1004, BackendAuthenticationError),
        (1302, BackendRateLimitError),
        (5001, BackendUnavailableError),
    ],
)
async def test_a_code_in_a_poll_says_nothing_of_the_task(
    code: int, error: type[MediaAgentError], tmp_path: Path
) -> None:
    trouble = {"status": 200, "body": {"code": code, "message": "no", "request_id": "CjM1"}}
    talk = KLING.talk(tmp_path, "submitted", trouble, "succeed")
    ref = await talk.backend.submit(KLING.plan(), key="job-1")

    with pytest.raises(error):
        await talk.backend.status(ref)

    assert (await talk.backend.status(ref)).type == "job.completed"


@pytest.mark.parametrize("by_list", [False, True])
async def test_work_whose_reply_was_lost_is_found_in_its_own_path(
    by_list: bool, tmp_path: Path
) -> None:
    replies = ("not_found", "listed") if by_list else ("processing",)
    talk = KLING.talk(tmp_path, *replies)

    ref = await talk.backend.find(KLING.plan(inputs=(FIRST,)), key="job-1", since=datetime.now(UTC))

    assert ref is not None
    assert ref.operation_id == "Cl6k"
    assert talk.backend.poll(ref).path == "/v1/videos/image2video/Cl6k"
    asked = [str(each.url).partition("?")[0] for each in talk.asked]
    assert asked == [f"{HERE}/image2video/job-1", f"{HERE}/image2video"][: len(replies)]
    assert {each.method for each in talk.asked} == {"GET"}


async def test_work_that_is_nowhere_is_not_found_and_other_work_is_not_ours(
    tmp_path: Path,
) -> None:
    talk = KLING.talk(tmp_path, "succeed", "listed")

    found = await talk.backend.find(KLING.plan(), key="job-2", since=datetime.now(UTC))

    assert found is None


async def test_a_submission_of_which_the_name_is_taken_is_never_paid_twice(tmp_path: Path) -> None:
    with KlingSimulator([Fault("submit", "close_after_accept")]) as simulator:
        request, since = KLING.plan(), datetime.now(UTC)
        for _ in range(2):  # the second as from a process that knows nothing of the first
            with pytest.raises(SubmitUncertainError):
                await KLING.make(tmp_path, simulator.url).submit(request, key="job-1")
        backend = KLING.make(tmp_path, simulator.url)
        ref = await backend.find(request, key="job-1", since=since)
        assert ref is not None
        end = (await events_of(backend, ref))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1


async def test_the_older_pair_signs_a_token_that_is_renewed_within_a_long_poll(
    tmp_path: Path,
) -> None:
    sent: list[str] = []
    now = [1_763_600_000.0]

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["authorization"])
        now[0] += 600
        name = "succeed" if len(sent) == 6 else "processing" if len(sent) > 1 else "submitted"
        said = KLING.replies.read(name)
        return httpx.Response(said["status"], json=said["body"])

    settings = BackendSettings(
        tmp_path, key=SecretStr("secret-0123456789"), options={"access_key": "AK1"}
    )
    backend = KlingBackend(
        settings, transport=httpx.MockTransport(answer), clock=lambda: now[0], sleep=no_sleep
    )

    end = (await KLING.run(backend))[-1]

    assert end.type == "job.completed"
    tokens = list(dict.fromkeys(sent))
    assert len(tokens) == 2
    claims = [_claims(each) for each in tokens]
    assert claims[0] == {"iss": "AK1", "exp": 1_763_601_800, "nbf": 1_763_599_995}
    assert claims[1]["exp"] > claims[0]["exp"]


async def test_a_token_that_is_not_yet_valid_is_signed_by_the_clock_of_kling(
    tmp_path: Path,
) -> None:
    sent: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(_claims(request.headers["authorization"]))
        if len(sent) == 1:
            headers = {"Date": "Thu, 20 Nov 2025 00:53:20 GMT"}
            body = {"code": 1003, "message": "Authorization is not yet valid", "request_id": "r"}
            return httpx.Response(401, json=body, headers=headers)
        return httpx.Response(200, json=KLING.replies.read("submitted")["body"])

    settings = BackendSettings(tmp_path, key=SecretStr("s3cret"), options={"access_key": "AK1"})
    backend = KlingBackend(
        settings,
        transport=httpx.MockTransport(answer),
        clock=lambda: 1_763_603_600.0,
        sleep=no_sleep,
    )

    await backend.submit(KLING.plan(), key="job-1")

    assert sent[1]["nbf"] == 1_763_600_000 - 5
    assert len(sent) == 2


def _claims(header: str) -> dict[str, Any]:
    """Return what a token says whose signature is right."""
    head, claims, signature = header.removeprefix("Bearer ").split(".")
    assert "=" not in header
    assert json.loads(_decoded(head)) == {"alg": "HS256", "typ": "JWT"}
    secrets = (b"secret-0123456789", b"s3cret")
    signed = f"{head}.{claims}".encode()
    right = [hmac.new(each, signed, hashlib.sha256).digest() for each in secrets]
    assert _decoded(signature) in right
    said: dict[str, Any] = json.loads(_decoded(claims))
    return said


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("singapore", "api-singapore.klingai.com"),
        ("beijing", "api-beijing.klingai.com"),
        ("global", "api.klingai.com"),
    ],
)
def test_each_region_has_its_host(region: str, host: str, tmp_path: Path) -> None:
    settings = BackendSettings(tmp_path, key=SecretStr("k"), options={"region": region})

    assert KlingBackend(settings).connection().base_url == f"https://{host}"
    assert KlingBackend(settings).capabilities().region == region
    there = replace(settings, base_url="http://127.0.0.1:1")
    assert KlingBackend(there).connection().base_url == "http://127.0.0.1:1"


async def test_a_key_is_asked_for_by_its_variable(tmp_path: Path) -> None:
    backend = KlingBackend(BackendSettings(tmp_path, options={"access_key": "AK1"}))

    with pytest.raises(BackendAuthenticationError, match="kling needs a key"):
        await backend.submit(KLING.plan(), key="job-1")


@pytest.mark.parametrize("model", ["kling-v2-6", "kling-v1", "kling-v3-omni"])
async def test_the_whole_way_of_a_video(model: str, tmp_path: Path) -> None:
    with KlingSimulator() as simulator:
        end = (await KLING.run(KLING.make(tmp_path, simulator.url), model))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1


def test_no_price_is_made_up() -> None:
    facts = Catalogue.load({"kling": SPEC}).facts("kling", "kling-v2-6")

    assert facts.estimate(KLING.plan()).cost_usd is None
    assert facts.licence == "proprietary"
