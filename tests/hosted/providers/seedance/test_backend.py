"""Seedance: what is built, what answers mean, its two regions, and the whole way of a video."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import JsonValue, SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendResponseError,
    ConfigurationError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.routing.catalogue import Catalogue
from media_agent.testing import Fault, events_of
from media_agent_hosted.providers.seedance import SPEC
from media_agent_hosted.providers.seedance.backend import SeedanceBackend
from media_agent_hosted.providers.seedance.billing import billed
from media_agent_hosted.providers.seedance.simulator import SeedanceSimulator
from media_agent_schemas.media import CameraMove, InputRole, MediaInput, ResolutionTier
from media_agent_schemas.request import Shot, VideoMode
from tests.hosted.images import make_png
from tests.hosted.provider_kit import Provider

pytestmark = pytest.mark.anyio

SEEDANCE = Provider(SPEC, __file__, prompt="A fox runs through snow")
MAINLAND = Provider(SPEC, __file__, options={"region": "mainland"})
TASKS = "https://ark.ap-southeast.bytepluses.com/api/v3/contents/generations/tasks"
DEFAULT = "dreamina-seedance-2-0-260128"
DONE_AT = 1763600090.0
TEXT: dict[str, JsonValue] = {"type": "text", "text": "A fox runs through snow"}


def at(role: InputRole, name: str) -> MediaInput:
    return MediaInput(role=role, url=f"https://example.com/{name}")


FIRST = at(InputRole.FIRST_FRAME, "f.png")
LAST = at(InputRole.LAST_FRAME, "l.png")
SUBJECT = at(InputRole.SUBJECT, "s.png")
MOTION = at(InputRole.MOTION, "m.mp4")
SOURCE = at(InputRole.SOURCE_VIDEO, "v.mp4")


def image(medium: MediaInput, role: str) -> dict[str, JsonValue]:
    return {"type": "image_url", "image_url": {"url": medium.url}, "role": role}


def video(medium: MediaInput) -> dict[str, JsonValue]:
    return {"type": "video_url", "video_url": {"url": medium.url}, "role": "reference_video"}


def option(**options: JsonValue) -> dict[str, Any]:
    return {"options": {"seedance": options}}


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    first = MediaInput(role=InputRole.FIRST_FRAME, url="https://example.com/f.png")
    url, body = await SEEDANCE.send(
        tmp_path,
        inputs=(first,),
        aspect_ratio="16:9",
        duration=5.0,
        audio=True,
        seed=7,
        **option(watermark=False),
    )

    assert url == TASKS
    assert body == {
        "model": DEFAULT,
        "content": [TEXT, image(first, "first_frame")],
        "resolution": "720p",
        "ratio": "16:9",
        "duration": 5,
        "generate_audio": True,
        "watermark": False,
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("model", "fields", "content", "expected"),
    [
        (DEFAULT, {"audio": False}, [TEXT], {"generate_audio": False, "ratio": "16:9"}),
        (
            DEFAULT,
            {"inputs": (FIRST, LAST)},
            [TEXT, image(FIRST, "first_frame"), image(LAST, "last_frame")],
            {"ratio": "adaptive"},
        ),
        (
            DEFAULT,
            {
                "inputs": (SUBJECT, MOTION),
                "aspect_ratio": "21:9",
                **option(reference_audio="https://example.com/a.mp3"),
            },
            [
                TEXT,
                image(SUBJECT, "reference_image"),
                video(MOTION),
                {
                    "type": "audio_url",
                    "audio_url": {"url": "https://example.com/a.mp3"},
                    "role": "reference_audio",
                },
            ],
            {"ratio": "21:9", "reference_audio": None},
        ),
        (
            DEFAULT,
            {"inputs": (SOURCE, SUBJECT), "mode": VideoMode.VIDEO_EDIT},
            [TEXT, video(SOURCE), image(SUBJECT, "reference_image")],
            {"ratio": "adaptive", "duration": 5},
        ),
        (DEFAULT, {"inputs": (SOURCE,)}, [TEXT, video(SOURCE)], {"ratio": "adaptive"}),
        (
            DEFAULT,
            {"duration": 15, **option(smart_duration=True, adaptive_ratio=True)},
            [TEXT],
            {"duration": -1, "ratio": "adaptive", "smart_duration": None, "adaptive_ratio": None},
        ),
        (
            DEFAULT,
            option(service_tier="flex", execution_expires_after=86400),
            [TEXT],
            {"service_tier": "flex", "execution_expires_after": 86400},
        ),
        (
            "dreamina-seedance-2-5-260628",
            {"duration": 30.0, **option(output_format="mov", reference_audio="https://e.com/a")},
            [
                TEXT,
                {
                    "type": "audio_url",
                    "audio_url": {"url": "https://e.com/a"},
                    "role": "reference_audio",
                },
            ],
            {"duration": 30, "output_format": "mov"},
        ),
        (
            "seedance-1-0-pro-250528",
            {"camera": CameraMove.STATIC, "resolution": ResolutionTier.P1080},
            [TEXT],
            {"camera_fixed": True, "resolution": "1080p", "generate_audio": None},
        ),
        ("ep-20261120-abc", option(input='{"priority": 1}'), [TEXT], {"priority": 1}),
    ],
)
async def test_each_mode_has_its_content(
    model: str,
    fields: Any,
    content: list[JsonValue],
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    url, body = await SEEDANCE.send(tmp_path, model, **fields)

    assert url == TASKS
    assert body["content"] == content
    assert {name: body.get(name) for name in expected} == expected


async def test_an_image_goes_along_as_a_data_uri(tmp_path: Path) -> None:
    first = MediaInput(role=InputRole.FIRST_FRAME, data=make_png(400, 300))

    _, body = await SEEDANCE.send(tmp_path, inputs=(first,))

    assert body["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("a fox --ratio 1:1 --dur 12", "a fox —ratio 1:1 —dur 12"),
        ("--resolution 1080p", "—resolution 1080p"),
        ("a fox ---seed 1", "a fox —seed 1"),
        ("a fox －－ratio 1:1", "a fox —ratio 1:1"),
        ("a well-known fox - in snow", "a well-known fox - in snow"),
    ],
)
@pytest.mark.parametrize("is_shot", [False, True])
async def test_a_prompt_sets_no_parameters_and_the_end_says_what_was_changed(
    prompt: str, sent: str, is_shot: bool, tmp_path: Path
) -> None:
    words = {"prompt": None, "shots": (Shot(prompt=prompt),)} if is_shot else {"prompt": prompt}
    with SeedanceSimulator() as simulator:
        backend = SEEDANCE.make(tmp_path, simulator.url)
        end = (await SEEDANCE.run(backend, "seedance-1-0-pro-250528", **words))[-1]
        [call] = simulator.calls("submit")

    assert end.type == "job.completed"
    assert call.json()["content"] == [{"type": "text", "text": sent}]
    said = any("in place of each --" in warning for warning in end.warnings)
    assert said == (prompt != sent)


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        (DEFAULT, {"inputs": (LAST,)}, "first_frame"),
        (DEFAULT, {"inputs": (SUBJECT,) * 10}, "9"),
        (DEFAULT, {"inputs": (FIRST, FIRST)}, "first_frame"),
        ("seedance-1-0-lite-t2v-250428", {"inputs": (FIRST,)}, "no inputs"),
        ("seedance-1-0-lite-i2v-250428", {}, "first_frame"),
        (DEFAULT, option(reference_audio="https://example.com/a.mp3"), "reference_audio"),
        (
            DEFAULT,
            {"inputs": (SUBJECT,), **option(reference_audio="/home/me/a.mp3")},
            "https address",
        ),
        (DEFAULT, {"duration": 5.0, **option(smart_duration=True)}, "smart_duration"),
        (DEFAULT, option(execution_expires_after=60), "3600"),
        (DEFAULT, option(input='{"duration": -1}'), "duration"),
        ("doubao-seedance-2-0-260128", {}, "Volcengine Ark (mainland)"),
        ("doubao-seedance-9-9-290101", {}, "Volcengine Ark (mainland)"),
    ],
)
async def test_what_a_model_cannot_do_is_said_before_anything_is_sent(
    model: str, fields: Any, said: str, tmp_path: Path
) -> None:
    talk = SEEDANCE.talk(tmp_path, "submitted")

    with pytest.raises((UnsupportedRequestError, InvalidRequestError)) as caught:
        await talk.backend.submit(SEEDANCE.plan(model, **fields), key="job-1")

    mismatches = getattr(caught.value, "mismatches", ())
    words = " ".join([caught.value.message, str(caught.value.hint), *map(str, mismatches)])
    assert said in words
    assert talk.asked == []


async def test_the_documented_conversation_is_understood(tmp_path: Path) -> None:
    talk = SEEDANCE.talk(tmp_path, "submitted", "queued", "running", "succeeded")

    events = await SEEDANCE.run(talk.backend, inputs=(FIRST,), seed=7)
    end = events[-1]

    phases = [each.phase for each in events if each.type == "job.progressed"]
    assert phases == ["queued", "running"]
    assert end.type == "job.completed"
    assert end.artifacts[0].uri == "https://ark-content.example/x.mp4?sig=1"
    assert end.seed == 7
    assert end.cost is not None
    assert end.cost.usd is None
    assert end.cost.seconds == pytest.approx(5.0)
    assert {str(each.url) for each in talk.asked[1:]} == {f"{TASKS}/cgt-20261120-abc"}


@pytest.mark.parametrize(
    ("model", "resolution", "seconds", "usd"),
    [
        ("doubao-seedance-2-0-260128", "480p", 5, 0.33),
        ("doubao-seedance-2-0-260128", "720p", 5, 0.71),
        ("doubao-seedance-2-0-260128", "1080p", 4, 1.416),
        ("doubao-seedance-2-0-260128", "4k", 4, 2.888),
        ("doubao-seedance-2-0-fast-260128", "480p", 5, 0.265),
        ("doubao-seedance-2-0-mini-260615", "720p", 5, 0.355),
        ("doubao-seedance-2-5-260628", "480p", 5, 0.48),
        ("doubao-seedance-2-5-260628", "1080p", 5, 2.675),
    ],
)
def test_prices_are_those_of_the_table_before_and_after(
    model: str, resolution: str, seconds: int, usd: float
) -> None:
    facts = Catalogue.load({"seedance": SPEC}).facts("seedance", model)
    request = MAINLAND.plan(model, duration=float(seconds), resolution=resolution)
    width, height = {
        "480p": (854, 480) if "2-5" in model else (864, 496),
        "720p": (1280, 720),
        "1080p": (1920, 1080),
        "4k": (3840, 2160),
    }[resolution]
    tokens = width * height * 24 * seconds / 1024
    task: dict[str, JsonValue] = {
        "model": model,
        "resolution": resolution,
        "usage": {"completion_tokens": tokens},
    }

    estimate, cost = facts.estimate(request, "mainland"), billed(task)

    assert estimate.cost_usd == pytest.approx(usd)
    assert cost is not None
    assert cost.at(estimate.usd_per_second).usd == pytest.approx(usd)
    assert billed({**task, "service_tier": "flex"}, 7) is None
    assert billed({**task, "resolution": "2k"}) is None


async def test_tokens_cost_what_the_settings_say(tmp_path: Path) -> None:
    priced = Provider(SPEC, __file__, options={"usd_per_million_tokens": 7})

    end = await priced.talk(tmp_path, "submitted", "succeeded").end()

    assert end.type == "job.completed"
    assert end.cost is not None
    assert end.cost.usd == pytest.approx(0.756)


@pytest.mark.parametrize(
    ("model", "fields", "region"),
    [
        (DEFAULT, {}, "international"),
        ("doubao-seedance-2-0-260128", {"inputs": (SUBJECT, MOTION)}, "mainland"),
        ("doubao-seedance-2-0-260128", {"inputs": (SOURCE,)}, "mainland"),
    ],
)
def test_no_price_is_made_up(model: str, fields: Any, region: str) -> None:
    facts = Catalogue.load({"seedance": SPEC}).facts("seedance", model)
    provider = MAINLAND if region == "mainland" else SEEDANCE

    estimate = facts.estimate(provider.plan(model, **fields), region)

    assert (estimate.cost_usd, estimate.usd_per_second) == (None, None)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("failed", "generation_failed", "an internal error"),
        ("moderated", "content_rejected", "may contain sensitive information"),
        ("expired", "generation_failed", "let the task expire"),
        ("cleared", "generation_failed", "keeps videos for 24 h"),
    ],
)
async def test_a_failure_says_why_and_tells_no_id_of_a_request(
    name: str, code: str, said: str, tmp_path: Path
) -> None:
    end = await SEEDANCE.talk(tmp_path, "submitted", "running", name).end()

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message
    assert "0217" not in end.model_dump_json()


async def test_a_video_that_is_only_late_is_waited_for(tmp_path: Path) -> None:
    replies = iter(["submitted", "cleared", "cleared", "succeeded"])

    def answer(request: httpx.Request) -> httpx.Response:
        said = SEEDANCE.replies.read(next(replies, "succeeded"))
        return httpx.Response(said["status"], json=said["body"])

    backend = SEEDANCE.make(
        tmp_path, transport=httpx.MockTransport(answer), clock=lambda: DONE_AT + 60
    )

    assert (await SEEDANCE.run(backend))[-1].type == "job.completed"


async def test_a_cancelled_task_ends(tmp_path: Path) -> None:
    end = await SEEDANCE.talk(tmp_path, "submitted", "cancelled").end()

    assert end.type == "job.cancelled"


def say(status: int, code: str) -> dict[str, JsonValue]:
    error = {"code": code, "message": "No. Request id: 0217abc", "param": "", "type": "BadRequest"}
    return {"status": status, "body": {"error": {**error}}}


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (say(400, "InputTextSensitiveContentDetected"), ContentRejectedError),
        (say(400, "InvalidParameter"), InvalidRequestError),
        (say(401, "AuthenticationError"), BackendAuthenticationError),
        (say(403, "AccessDenied"), BackendAuthenticationError),
        (say(404, "InvalidEndpointOrModel.NotFound"), InvalidRequestError),
        (say(429, "QuotaExceeded"), BackendRateLimitError),
        (say(429, "RateLimitExceeded.EndpointRPMExceeded"), BackendRateLimitError),
        (say(429, "ServerOverloaded"), BackendRateLimitError),
        (say(200, "QuotaExceeded"), BackendRateLimitError),
        (say(200, "InputTextSensitiveContentDetected"), ContentRejectedError),
        (say(500, "InternalServiceError"), SubmitUncertainError),
    ],
)
async def test_a_refusal_is_what_its_code_says_without_the_id_of_a_request(
    reply: dict[str, JsonValue], error: type[MediaAgentError], tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        await SEEDANCE.talk(tmp_path, reply).end()

    assert type(caught.value) is error
    assert "0217abc" not in f"{caught.value} {caught.value.hint}"


async def test_a_real_person_in_an_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContentRejectedError, match="real person") as caught:
        await SEEDANCE.talk(tmp_path, "person").end(inputs=(FIRST,))

    assert caught.value.hint == "use images that show no real person"


@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_no_to_a_poll_is_not_the_end_and_tells_no_id_of_a_request(
    status: int, tmp_path: Path
) -> None:
    talk = SEEDANCE.talk(tmp_path, "submitted", say(status, "Trouble"))
    ref = await talk.backend.submit(SEEDANCE.plan(), key="job-1")

    with pytest.raises(MediaAgentError) as caught:
        await talk.backend.status(ref)

    assert isinstance(caught.value, OperationNotFoundError) == (status == 404)
    assert "0217abc" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("options", "base_url", "expected", "model"),
    [
        ({}, None, TASKS.removesuffix("/contents/generations/tasks"), DEFAULT),
        (
            {"region": "mainland"},
            None,
            "https://ark.cn-beijing.volces.com/api/v3",
            "doubao-seedance-2-0-260128",
        ),
        (
            {"region": "mainland"},
            "http://127.0.0.1:1",
            "http://127.0.0.1:1",
            "doubao-seedance-2-0-260128",
        ),
    ],
)
def test_each_region_has_its_host_and_its_models(
    options: dict[str, JsonValue],
    base_url: str | None,
    expected: str,
    model: str,
    tmp_path: Path,
) -> None:
    settings = BackendSettings(tmp_path, key=SecretStr("k"), options=options, base_url=base_url)
    backend = SeedanceBackend(settings)

    assert backend.connection().base_url == expected
    listed = backend.capabilities().models
    assert listed[0] == backend.capabilities().model == model
    assert {each.startswith("doubao-") for each in listed} == {"mainland" in options.values()}


def test_an_id_and_an_address_of_the_other_region_are_named(tmp_path: Path) -> None:
    there = BackendSettings(
        tmp_path, key=SecretStr("k"), base_url="https://ark.cn-beijing.volces.com/api/v3"
    )

    backend = SeedanceBackend(there)
    assert backend.capabilities().region == "mainland"
    with pytest.raises(InvalidRequestError, match="BytePlus ModelArk") as caught:
        backend.capabilities("seedance-1-5-pro-251215")
    assert "doubao-seedance-2-0-260128" in str(caught.value.hint)
    assert 'region = "international"' in str(caught.value.hint)
    with pytest.raises(ConfigurationError, match="set to international"):
        SeedanceBackend(replace(there, options={"region": "international"}))


@pytest.mark.parametrize("ahead", [-3600, 0, 3600])  # by so much is its clock
async def test_work_whose_reply_was_lost_is_only_named(ahead: int, tmp_path: Path) -> None:
    now = datetime.now(UTC) + timedelta(seconds=ahead)
    headers = {"Date": format_datetime(now, usegmt=True)}
    talk = SEEDANCE.talk(tmp_path, {**SEEDANCE.replies.read("listed"), "headers": headers})
    since = datetime.fromtimestamp(1763600000 - ahead, UTC)

    with pytest.raises(BackendResponseError, match="may be cgt-20261120-abc: look"):
        await talk.backend.find(SEEDANCE.plan(seed=7), key="job-1", since=since)

    [asked] = talk.asked
    assert asked.method == "GET"
    assert dict(asked.url.params) == {
        "page_num": "1",
        "page_size": "100",
        "filter.model": DEFAULT,
    }


async def test_a_list_without_anything_like_it_says_so(tmp_path: Path) -> None:
    talk = SEEDANCE.talk(tmp_path, "listed")
    since = datetime.fromtimestamp(1763600000, UTC)

    assert await talk.backend.find(SEEDANCE.plan(seed=9), key="job-1", since=since) is None


async def test_a_lost_reply_is_never_paid_twice(tmp_path: Path) -> None:
    with SeedanceSimulator([Fault("submit", "close_after_accept")]) as simulator:
        request, since = SEEDANCE.plan(), datetime.now(UTC)
        with pytest.raises(SubmitUncertainError):
            await SEEDANCE.make(tmp_path, simulator.url).submit(request, key="job-1")
        with pytest.raises(BackendResponseError, match="seedance-00000000"):
            await SEEDANCE.make(tmp_path, simulator.url).find(request, key="job-1", since=since)

        assert simulator.accepted == 1


@pytest.mark.parametrize(
    ("queued", "running", "is_stopped"), [(99, 0, True), (0, 99, False), (0, 0, False)]
)
async def test_what_waits_is_stopped_and_what_is_over_is_kept(
    queued: int, running: int, is_stopped: bool, tmp_path: Path
) -> None:
    with SeedanceSimulator(queued_polls=queued, running_polls=running) as simulator:
        backend = SEEDANCE.make(tmp_path, simulator.url)
        ref = await backend.submit(SEEDANCE.plan(), key="job-1")
        await backend.status(ref)
        await backend.cancel(ref)
        end = (await events_of(backend, ref))[-1]
        stopped = [job.is_cancelled for job in simulator.jobs.values()]

    assert stopped == [is_stopped]
    assert end.type == ("job.completed" if queued == running == 0 else "job.cancelled")


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (DEFAULT, {"aspect_ratio": "9:16"}),
        ("dreamina-seedance-2-5-260628", {"inputs": (SUBJECT,)}),
        ("seedance-1-5-pro-251215", {"inputs": (FIRST, LAST)}),
    ],
)
async def test_the_whole_way_of_a_video(model: str, fields: Any, tmp_path: Path) -> None:
    with SeedanceSimulator() as simulator:
        backend = SEEDANCE.make(tmp_path, simulator.url)
        end = (await SEEDANCE.run(backend, model, **fields))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1


async def test_the_whole_way_on_the_mainland(tmp_path: Path) -> None:
    with SeedanceSimulator() as simulator:
        end = (await MAINLAND.run(MAINLAND.make(tmp_path, simulator.url)))[-1]
        [call] = simulator.calls("submit")

    assert end.type == "job.completed"
    assert call.json()["model"] == "doubao-seedance-2-0-260128"
