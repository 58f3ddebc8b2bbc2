"""DashScope: what is built, what answers mean, regions, and the whole way against its simulator."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.cli import main
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    ConfigurationError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.routing.catalogue import Catalogue
from media_agent.testing import events_of
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.providers.dashscope import SPEC
from media_agent_hosted.providers.dashscope.backend import DashscopeBackend
from media_agent_hosted.providers.dashscope.simulator import DashscopeSimulator
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier, Size
from media_agent_schemas.request import VideoMode
from tests.hosted.images import make_png
from tests.hosted.provider_kit import Provider

pytestmark = pytest.mark.anyio

DASHSCOPE = Provider(SPEC, __file__, prompt="a fox runs through snow")
HERE = "https://dashscope-intl.aliyuncs.com/api/v1"
USUAL = f"{HERE}/services/aigc/video-generation/video-synthesis"


def at(role: InputRole, name: str) -> MediaInput:
    return MediaInput(role=role, url=f"https://example.com/{name}")


FIRST = at(InputRole.FIRST_FRAME, "a.png")
LAST = at(InputRole.LAST_FRAME, "b.png")
SUBJECT = at(InputRole.SUBJECT, "s.png")
MOTION = at(InputRole.MOTION, "m.mp4")
SOURCE = at(InputRole.SOURCE_VIDEO, "v.mp4")


def option(**options: JsonValue) -> dict[str, Any]:
    return {"options": {"dashscope": options}}


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    url, body = await DASHSCOPE.send(
        tmp_path, duration=5.0, seed=42, **option(prompt_extend=False, watermark=False)
    )

    assert url == USUAL
    assert body == {
        "model": "wan2.7-t2v",
        "input": {"prompt": "a fox runs through snow"},
        "parameters": {
            "resolution": "720P",
            "ratio": "16:9",
            "duration": 5,
            "seed": 42,
            "prompt_extend": False,
            "watermark": False,
        },
    }


async def test_a_submission_asks_not_to_be_waited_for(tmp_path: Path) -> None:
    talk = DASHSCOPE.talk(tmp_path, "submitted")

    await talk.backend.submit(DASHSCOPE.plan(), key="job-1")

    assert talk.asked[0].headers["x-dashscope-async"] == "enable"
    assert talk.asked[0].headers["authorization"] == f"Bearer {DASHSCOPE.key}"
    assert "x-dashscope-ossresourceresolve" not in talk.asked[0].headers


@pytest.mark.parametrize(
    ("model", "fields", "inside", "parameters"),
    [
        (
            "wan2.7-t2v",
            {"negative_prompt": "blur", **option(audio_url="https://example.com/a.mp3")},
            {"negative_prompt": "blur", "audio_url": "https://example.com/a.mp3"},
            {"size": None},
        ),
        (
            "wan2.7-i2v",
            {"inputs": (FIRST, LAST), **option(driving_audio="https://example.com/a.mp3")},
            {
                "media": [
                    {"type": "first_frame", "url": FIRST.url},
                    {"type": "last_frame", "url": LAST.url},
                    {"type": "driving_audio", "url": "https://example.com/a.mp3"},
                ]
            },
            {"ratio": None, "resolution": "720P", "driving_audio": None},
        ),
        (
            "wan2.7-i2v",
            {"inputs": (SOURCE,)},
            {"media": [{"type": "first_clip", "url": SOURCE.url}]},
            {"duration": 5},
        ),
        (
            "wan2.7-r2v",
            {"inputs": (SUBJECT, MOTION), "aspect_ratio": "9:16"},
            {
                "media": [
                    {"type": "reference_image", "url": SUBJECT.url},
                    {"type": "reference_video", "url": MOTION.url},
                ]
            },
            {"ratio": "9:16"},
        ),
        (
            "wan2.7-videoedit",
            {
                "inputs": (SOURCE, SUBJECT),
                "mode": VideoMode.VIDEO_EDIT,
                **option(audio_setting="origin"),
            },
            {
                "media": [
                    {"type": "video", "url": SOURCE.url},
                    {"type": "reference_image", "url": SUBJECT.url},
                ]
            },
            {"duration": None, "audio_setting": "origin"},
        ),
        (
            "wan3.0-video",
            {"resolution": ResolutionTier.P480, "duration": 15, **option(smart_duration=True)},
            {"smart_duration": None},
            {"resolution": "480P", "duration": -1, "smart_duration": None},
        ),
        (
            "wan3.0-video-prime",
            {"inputs": (SOURCE,), "mode": VideoMode.VIDEO_EDIT},
            {"media": [{"type": "video", "url": SOURCE.url}]},
            {"duration": None},
        ),
        (
            "wan2.6-t2v",
            {"size": Size(width=720, height=1280), **option(shot_type="multi")},
            {"media": None},
            {"size": "720*1280", "resolution": None, "ratio": None, "shot_type": "multi"},
        ),
        (
            "wan2.6-i2v",
            {"inputs": (FIRST,), "audio": False},
            {"img_url": FIRST.url, "media": None},
            {"resolution": "720P", "audio": False},
        ),
        (
            "wan2.6-r2v-flash",
            {"inputs": (SUBJECT, SUBJECT, MOTION)},
            {"reference_urls": [SUBJECT.url, SUBJECT.url, MOTION.url]},
            {"size": "1280*720"},
        ),
        ("wan2.5-t2v-preview", {"duration": 10.0}, {}, {"size": "1280*720", "duration": 10}),
        (
            "happyhorse-1.1-i2v",
            {"inputs": (FIRST,)},
            {"media": [{"type": "first_frame", "url": FIRST.url}]},
            {"prompt_extend": None},
        ),
        (
            "vidu/q3",
            option(input='{"media": [{"type": "first_clip", "url": "https://e.com/a.mp4"}]}'),
            {"media": [{"type": "first_clip", "url": "https://e.com/a.mp4"}]},
            {"resolution": None},
        ),
    ],
)
async def test_each_generation_has_its_own_fields(
    model: str,
    fields: Any,
    inside: dict[str, Any],
    parameters: dict[str, Any],
    tmp_path: Path,
) -> None:
    url, body = await DASHSCOPE.send(tmp_path, model, **fields)

    assert url == USUAL
    assert set(body) == {"model", "input", "parameters"}
    assert {name: body["input"].get(name) for name in inside} == inside
    assert {name: body["parameters"].get(name) for name in parameters} == parameters


async def test_first_and_last_frames_of_wan_22_have_a_call_of_their_own(tmp_path: Path) -> None:
    url, body = await DASHSCOPE.send(tmp_path, "wan2.2-kf2v-flash", inputs=(FIRST, LAST))

    assert url == f"{HERE}/services/aigc/image2video/video-synthesis"
    assert body["input"]["first_frame_url"] == FIRST.url
    assert body["input"]["last_frame_url"] == LAST.url
    assert body["parameters"]["resolution"] == "720P"
    assert "duration" not in body["parameters"]


async def test_an_image_goes_along_as_a_data_uri_and_an_upload_of_theirs_has_a_header(
    tmp_path: Path,
) -> None:
    first = MediaInput(role=InputRole.FIRST_FRAME, data=make_png(400, 300))
    talk = DASHSCOPE.talk(tmp_path, "submitted")

    request = DASHSCOPE.plan(
        "wan2.6-i2v", inputs=(first,), **option(audio_url="oss://dashscope-instant/a.mp3")
    )
    await talk.backend.submit(request, key="job-1")

    assert b'"img_url":"data:image/png;base64,' in talk.asked[0].content.replace(b": ", b":")
    assert talk.asked[0].headers["x-dashscope-ossresourceresolve"] == "enable"


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("wan2.7-i2v", {}, "text_to_video|first_frame"),
        ("wan2.7-i2v", {"inputs": (LAST,)}, "first_frame"),
        ("wan2.7-r2v", {"inputs": (SUBJECT,) * 6}, "5"),
        ("wan2.6-r2v", {"inputs": (MOTION,) * 4}, "3"),
        ("wan2.2-kf2v-flash", {"inputs": (FIRST, FIRST, LAST)}, "first_frame"),
        ("wan2.7-t2v", {"prompt": "a" * 5001}, "5000"),
        ("wan2.7-t2v", {"negative_prompt": "a" * 501}, "500"),
        ("wan3.0-video", {"duration": 5.0, **option(smart_duration=True)}, "smart_duration"),
        ("wan2.7-t2v", option(audio_url="/home/me/a.mp3"), "https address"),
        ("wan2.7-t2v", option(input='{"parameters": {"duration": 15}}'), "duration"),
        (
            "wan2.7-videoedit",
            {
                "mode": VideoMode.VIDEO_EDIT,
                "inputs": (
                    MediaInput(
                        role=InputRole.SOURCE_VIDEO, data=make_video(Video(24, 24.0, 64, 36, 90))
                    ),
                ),
            },
            "by their address only",
        ),
    ],
)
async def test_what_a_model_cannot_do_is_said_before_anything_is_sent(
    model: str, fields: Any, said: str, tmp_path: Path
) -> None:
    talk = DASHSCOPE.talk(tmp_path, "submitted")

    with pytest.raises((UnsupportedRequestError, InvalidRequestError)) as caught:
        await talk.backend.submit(DASHSCOPE.plan(model, **fields), key="job-1")

    mismatches = getattr(caught.value, "mismatches", ())
    words = " ".join([caught.value.message, str(caught.value.hint), *map(str, mismatches)])
    assert any(each in words for each in said.split("|"))
    assert talk.asked == []


async def test_the_documented_conversation_is_understood(tmp_path: Path) -> None:
    talk = DASHSCOPE.talk(tmp_path, "submitted", "pending", "suspended", "running", "succeeded")

    events = await DASHSCOPE.run(talk.backend)
    end = events[-1]

    phases = [each.phase for each in events if each.type == "job.progressed"]
    assert phases == ["queued", "RUNNING"]
    assert end.type == "job.completed"
    assert end.artifacts[0].uri == "https://dashscope-result.example/x.mp4?Expires=1763700000"
    assert end.artifacts[0].expires_at is not None
    assert {str(each.url) for each in talk.asked[1:]} == {f"{HERE}/tasks/0385dc79-5ff8"}


async def test_billed_seconds_are_priced_as_planned_videos_that_went_in_among_them(
    tmp_path: Path,
) -> None:
    said = DASHSCOPE.replies.read("succeeded")
    said["body"]["usage"] |= {"duration": 9, "input_video_duration": 4}
    end = await DASHSCOPE.talk(tmp_path, "submitted", said).end()
    planned = DASHSCOPE.plan("wan2.7-videoedit", mode=VideoMode.VIDEO_EDIT, inputs=(SOURCE,))
    facts = Catalogue.load({"dashscope": SPEC}).facts("dashscope", "wan2.7-videoedit")
    estimate = facts.estimate(planned, "beijing")

    assert end.type == "job.completed"
    assert end.cost is not None
    assert (end.cost.usd, end.cost.seconds) == (None, 9)
    assert estimate.cost_usd is None
    assert end.cost.at(estimate.usd_per_second).usd == pytest.approx(0.774)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("failed", "generation_failed", "The model failed"),
        ("moderated", "content_rejected", "inappropriate content"),
    ],
)
async def test_a_failure_says_why(name: str, code: str, said: str, tmp_path: Path) -> None:
    end = await DASHSCOPE.talk(tmp_path, "submitted", "running", name).end()

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message


async def test_a_canceled_task_ends(tmp_path: Path) -> None:
    assert (await DASHSCOPE.talk(tmp_path, "submitted", "canceled").end()).type == "job.cancelled"


async def test_unknown_is_lost_and_never_waited_for(tmp_path: Path) -> None:
    talk = DASHSCOPE.talk(tmp_path, "submitted", "running", "lost")

    with pytest.raises(OperationNotFoundError, match="expired, or never was"):
        await talk.end()

    assert len(talk.asked) == 3


async def test_a_word_that_nobody_documented_is_progress(tmp_path: Path) -> None:
    said = DASHSCOPE.replies.read("running")
    said["body"]["output"]["task_status"] = "REVIEWING"

    end = await DASHSCOPE.talk(tmp_path, "submitted", said, "succeeded").end()

    assert end.type == "job.completed"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("rejected", ContentRejectedError),
        ("invalid", InvalidRequestError),
        ("invalid_key", BackendAuthenticationError),
        ("throttled", BackendRateLimitError),
    ],
)
@pytest.mark.parametrize("is_in_200", [False, True])
async def test_a_code_decides_whatever_the_status_of_http(
    reply: str, error: type[MediaAgentError], is_in_200: bool, tmp_path: Path
) -> None:
    said = DASHSCOPE.replies.read(reply)
    talk = DASHSCOPE.talk(tmp_path, {**said, "status": 200} if is_in_200 else said)

    with pytest.raises(error) as caught:
        await talk.end()

    assert type(caught.value) is error
    is_repeated = error is BackendRateLimitError and not is_in_200
    assert (len(talk.asked) > 1) == is_repeated


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (200, "InternalError", SubmitUncertainError),
        (500, "InternalError", SubmitUncertainError),
        (400, "IPInfringementSuspect", ContentRejectedError),
        (403, "AccessDenied", BackendAuthenticationError),
        (404, "ModelNotFound", InvalidRequestError),
        (400, "SomethingNew", InvalidRequestError),
    ],
)
async def test_other_refusals_are_what_they_are(
    status: int, code: str, error: type[MediaAgentError], tmp_path: Path
) -> None:
    reply = {"status": status, "body": {"code": code, "message": "no", "request_id": "c1"}}

    with pytest.raises(error):
        await DASHSCOPE.talk(tmp_path, reply).end()


@pytest.mark.parametrize("status", [200, 429])
async def test_trouble_with_a_poll_says_nothing_of_the_task(status: int, tmp_path: Path) -> None:
    trouble = {**DASHSCOPE.replies.read("throttled"), "status": status}

    talk = DASHSCOPE.talk(tmp_path, "submitted", trouble, "succeeded")
    ref = await talk.backend.submit(DASHSCOPE.plan(), key="job-1")

    end = (await events_of(talk.backend, ref))[-1]
    assert end.type == "job.completed"


async def test_a_wrong_key_for_a_poll_names_the_region(tmp_path: Path) -> None:
    talk = DASHSCOPE.talk(tmp_path, "submitted", "invalid_key")
    ref = await talk.backend.submit(DASHSCOPE.plan(), key="job-1")

    with pytest.raises(BackendAuthenticationError, match="singapore") as caught:
        await talk.backend.status(ref)

    assert "beijing" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("options", "base_url", "expected"),
    [
        ({}, None, HERE),
        ({"region": "beijing"}, None, "https://dashscope.aliyuncs.com/api/v1"),
        ({"workspace": "ws-1"}, None, "https://ws-1.ap-southeast-1.maas.aliyuncs.com/api/v1"),
        (
            {"workspace": "ws-1", "region": "beijing"},
            None,
            "https://ws-1.cn-beijing.maas.aliyuncs.com/api/v1",
        ),
        ({"region": "beijing"}, "http://127.0.0.1:1", "http://127.0.0.1:1"),
    ],
)
def test_each_region_and_each_workspace_has_its_host(
    options: dict[str, JsonValue], base_url: str | None, expected: str, tmp_path: Path
) -> None:
    settings = BackendSettings(tmp_path, key=SecretStr("k"), options=options, base_url=base_url)

    assert DashscopeBackend(settings).connection().base_url == expected


def test_a_region_follows_from_an_address_and_must_fit_it(tmp_path: Path) -> None:
    there = BackendSettings(
        tmp_path, key=SecretStr("k"), base_url="https://w1.cn-beijing.maas.aliyuncs.com/api/v1"
    )

    assert DashscopeBackend(there).capabilities().region == "beijing"
    with pytest.raises(ConfigurationError, match="set to singapore, and its base_url is in beij"):
        DashscopeBackend(replace(there, options={"region": "singapore"}))


async def test_work_of_the_other_region_is_not_asked_for(tmp_path: Path) -> None:
    talk = DASHSCOPE.talk(tmp_path, "submitted")
    ref = await talk.backend.submit(DASHSCOPE.plan(), key="job-1")
    beijing = Provider(SPEC, __file__, options={"region": "beijing"})

    with pytest.raises(ConfigurationError, match="in singapore"):
        await beijing.make(tmp_path).status(ref)


@pytest.mark.parametrize(
    ("model", "fields", "region", "usd"),
    [
        ("wan2.7-t2v", {}, "singapore", 0.5),
        ("wan2.7-t2v", {"resolution": ResolutionTier.P1080}, "beijing", 0.715),
        ("wan2.7-t2v-2026-06-12", {}, "beijing", 0.43),
        ("wan3.0-video", {"resolution": ResolutionTier.P480}, "singapore", 0.25),
        ("wan3.0-video-prime", {}, "beijing", 0.635),
        ("wan3.0-video", {"inputs": (FIRST, LAST)}, "singapore", 0.5),
        ("wan3.0-video", {"inputs": (SOURCE,)}, "singapore", None),
        ("wan2.7-r2v", {"inputs": (SUBJECT, MOTION)}, "singapore", None),
        ("happyhorse-1.0-t2v", {}, "singapore", 0.7),
        ("happyhorse-1.0-t2v", {}, "beijing", None),
        ("wan2.6-t2v", {}, "singapore", None),
    ],
)
def test_prices_are_those_of_the_table(
    model: str, fields: Any, region: str, usd: float | None
) -> None:
    facts = Catalogue.load({"dashscope": SPEC}).facts("dashscope", model)

    cost = facts.estimate(DASHSCOPE.plan(model, duration=5.0, **fields), region).cost_usd

    assert cost == (None if usd is None else pytest.approx(usd))


def test_the_list_shows_the_price_of_a_model_that_needs_an_image(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["backends", "dashscope"]) == 0

    rows = capsys.readouterr().out.splitlines()
    assert "$0.10/s" in next(each for each in rows if "wan2.7-i2v" in each)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("wan2.7-t2v", {}),
        ("wan2.6-t2v", {"size": Size(width=720, height=1280)}),
        ("wan2.2-kf2v-flash", {"inputs": (FIRST, LAST)}),
        ("happyhorse-1.1-r2v", {"inputs": (SUBJECT,)}),
    ],
)
async def test_the_whole_way_of_a_video(model: str, fields: Any, tmp_path: Path) -> None:
    with DashscopeSimulator() as simulator:
        backend = DASHSCOPE.make(tmp_path, simulator.url)
        end = (await DASHSCOPE.run(backend, model, **fields))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1


async def test_a_task_that_waits_is_stopped(tmp_path: Path) -> None:
    with DashscopeSimulator(queued_polls=99) as simulator:
        backend = DASHSCOPE.make(tmp_path, simulator.url)
        ref = await backend.submit(DASHSCOPE.plan(), key="job-1")
        await backend.cancel(ref)
        end = (await events_of(backend, ref))[-1]

    assert end.type == "job.cancelled"
    assert end.warnings == ()


async def test_a_task_that_runs_may_finish_in_spite_of_a_cancel(tmp_path: Path) -> None:
    with DashscopeSimulator(queued_polls=0, running_polls=99) as simulator:
        backend = DASHSCOPE.make(tmp_path, simulator.url)
        ref = await backend.submit(DASHSCOPE.plan(), key="job-1")
        assert (await backend.status(ref)).type == "job.progressed"
        await backend.cancel(ref)
        end = (await events_of(backend, ref))[-1]

    assert end.type == "job.cancelled"
    assert end.cancellation is not None
    assert end.cancellation.stopped == "unknown"
    assert "may still finish" in end.cancellation.said


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ("rejected", ContentRejectedError),
        ("rejected_in_200", InvalidRequestError),
        ("throttled", BackendRateLimitError),
        ("other_region", BackendAuthenticationError),
        ("lost", OperationNotFoundError),
    ],
)
async def test_each_way_to_end_without_a_video(
    outcome: str, error: type[MediaAgentError], tmp_path: Path
) -> None:
    with DashscopeSimulator(outcome=outcome) as simulator:
        with pytest.raises(error):
            await DASHSCOPE.run(DASHSCOPE.make(tmp_path, simulator.url))

        assert simulator.accepted == (outcome == "lost")


def test_a_mode_asked_for_by_name_takes_its_own_inputs_alone() -> None:
    text = VideoMode.TEXT_TO_VIDEO

    with pytest.raises(UnsupportedRequestError, match="accepts no inputs"):
        DASHSCOPE.plan("wan3.0-video", mode=text, inputs=(FIRST,))

    assert DASHSCOPE.plan("wan3.0-video", mode=text).inputs == ()
