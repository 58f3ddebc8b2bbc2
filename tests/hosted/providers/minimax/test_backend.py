"""MiniMax: what is built, what answers mean, and the whole way against its simulator."""

from datetime import UTC, datetime, timedelta
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
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.minimax import SPEC
from media_agent_hosted.providers.minimax.backend import MiniMaxBackend
from media_agent_hosted.providers.minimax.simulator import MiniMaxSimulator
from media_agent_schemas.media import CameraMove, InputRole, MediaInput, ResolutionTier
from media_agent_schemas.request import VideoMode
from tests.hosted.images import make_png
from tests.hosted.provider_kit import Provider

pytestmark = pytest.mark.anyio

MINIMAX = Provider(SPEC, __file__)
HERE = "https://api.minimax.io"
NEWER, OLDER = f"{HERE}/v2/video_generation", f"{HERE}/v1/video_generation"
HAILUO = "MiniMax-Hailuo-2.3"
AUDIO = "https://example.com/a.mp3"


def at(role: InputRole, name: str) -> MediaInput:
    return MediaInput(role=role, url=f"https://example.com/{name}")


FIRST = at(InputRole.FIRST_FRAME, "a.png")
LAST = at(InputRole.LAST_FRAME, "b.png")
SUBJECT = at(InputRole.SUBJECT, "s.png")
MOTION = at(InputRole.MOTION, "m.mp4")
SOURCE = at(InputRole.SOURCE_VIDEO, "v.mp4")
TEXT: JsonValue = {"type": "text", "text": "a fox runs"}


def item(medium: MediaInput, role: str, kind: str = "image_url") -> JsonValue:
    return {"type": kind, kind: {"url": medium.url}, "role": role}


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    url, body = await MINIMAX.send(tmp_path, prompt="a lighthouse in a storm", duration=6.0)

    assert url == NEWER
    assert body == {
        "model": "MiniMax-H3",
        "content": [{"type": "text", "text": "a lighthouse in a storm"}],
        "resolution": "768P",
        "duration": 6,
        "ratio": "16:9",
    }


@pytest.mark.parametrize(
    ("model", "fields", "url", "expected"),
    [
        (
            "MiniMax-H3",
            {"inputs": (FIRST,), "resolution": ResolutionTier.K2},
            NEWER,
            {"content": [TEXT, item(FIRST, "first_frame")], "ratio": None, "resolution": "2K"},
        ),
        (
            "MiniMax-H3",
            {"inputs": (FIRST, LAST)},
            NEWER,
            {"content": [TEXT, item(FIRST, "first_frame"), item(LAST, "last_frame")]},
        ),
        (
            "MiniMax-H3",
            {
                "inputs": (SUBJECT, MOTION),
                "aspect_ratio": "9:16",
                "options": {"minimax": {"reference_audio": AUDIO, "aigc_watermark": True}},
            },
            NEWER,
            {
                "content": [
                    TEXT,
                    item(SUBJECT, "reference_image"),
                    item(MOTION, "reference_video", "video_url"),
                    {
                        "type": "audio_url",
                        "audio_url": {"url": AUDIO},
                        "role": "reference_audio",
                    },
                ],
                "ratio": "9:16",
                "reference_audio": None,
                "aigc_watermark": True,
            },
        ),
        (
            "MiniMax-H3-Max",
            {"resolution": ResolutionTier.P480},
            NEWER,
            {"model": "MiniMax-H3-Max", "resolution": "480P", "duration": 5},
        ),
        (
            "video-regeneration",
            {"mode": VideoMode.VIDEO_EDIT, "inputs": (SOURCE, FIRST)},
            f"{HERE}/v2/video_regeneration",
            {
                "model": "MiniMax-H3",
                "content": [
                    TEXT,
                    item(SOURCE, "base_video", "video_url"),
                    item(FIRST, "first_frame"),
                ],
                "resolution": "2K",
                "duration": None,
                "ratio": None,
            },
        ),
        (
            "video-regeneration",
            {"options": {"minimax": {"source_task_id": "t_1"}}},
            f"{HERE}/v2/video_regeneration",
            {"model": "MiniMax-H3", "source_task_id": "t_1", "content": None},
        ),
        (
            HAILUO,
            {"duration": 10.0, "options": {"minimax": {"prompt_optimizer": False}}},
            OLDER,
            {
                "prompt": "a fox runs",
                "duration": 10,
                "resolution": "768P",
                "prompt_optimizer": False,
                "content": None,
            },
        ),
        (
            "T2V-01-Director",
            {"camera": CameraMove.DOLLY_IN},
            OLDER,
            {"prompt": "a fox runs [Push in]", "camera": None, "resolution": "720P"},
        ),
        (
            "MiniMax-Hailuo-02",
            {"inputs": (FIRST, LAST), "resolution": ResolutionTier.P1080, "duration": 6.0},
            OLDER,
            {
                "first_frame_image": FIRST.url,
                "last_frame_image": LAST.url,
                "resolution": "1080P",
                "duration": 6,
            },
        ),
        (
            "S2V-01",
            {"inputs": (SUBJECT,)},
            OLDER,
            {"subject_reference": [{"type": "character", "image": [SUBJECT.url]}]},
        ),
        (
            "MiniMax-H4",
            {"options": {"minimax": {"input": '{"style": "ink"}'}}},
            NEWER,
            {"model": "MiniMax-H4", "content": [TEXT], "style": "ink"},
        ),
    ],
)
async def test_each_mode_has_its_path_and_its_fields(
    model: str, fields: Any, url: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    sent_to, body = await MINIMAX.send(tmp_path, model, **fields)

    assert sent_to == url
    assert {name: body.get(name) for name in expected} == expected


async def test_a_file_goes_along_as_a_data_uri(tmp_path: Path) -> None:
    first = MediaInput(role=InputRole.FIRST_FRAME, data=make_png(300, 300))

    _, newer = await MINIMAX.send(tmp_path, inputs=(first,))
    _, older = await MINIMAX.send(tmp_path, HAILUO, inputs=(first,))

    for address in (newer["content"][1]["image_url"]["url"], older["first_frame_image"]):
        assert address.startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("MiniMax-H3", {"inputs": (LAST,)}, "first_frame"),
        ("MiniMax-H3", {"inputs": (FIRST, SUBJECT)}, "subject"),
        ("MiniMax-H3", {"inputs": (SUBJECT,) * 10}, "9"),
        ("MiniMax-H3", {"inputs": (MOTION,) * 4}, "3"),
        ("MiniMax-H3", {"prompt": "a" * 7001}, "7000"),
        ("MiniMax-H3", {"prompt": None, "inputs": (FIRST,)}, "prompt"),
        ("MiniMax-H3", {"options": {"minimax": {"reference_audio": AUDIO}}}, "beside an image"),
        (
            "MiniMax-H3",
            {
                "inputs": (SUBJECT,),
                "options": {"minimax": {"reference_audio": " ".join([AUDIO] * 4)}},
            },
            "there are 4",
        ),
        (
            "MiniMax-H3",
            {"inputs": (SUBJECT,), "options": {"minimax": {"reference_audio": "a.mp3"}}},
            "https",
        ),
        ("MiniMax-H3-Max", {"options": {"minimax": {"aigc_watermark": True}}}, "aigc_watermark"),
        ("video-regeneration", {}, "source_task_id"),
        (
            "video-regeneration",
            {
                "mode": VideoMode.VIDEO_EDIT,
                "inputs": (SOURCE,),
                "options": {"minimax": {"source_task_id": "t_1"}},
            },
            "either the video",
        ),
        (
            "video-regeneration",
            {"mode": VideoMode.VIDEO_EDIT, "inputs": (SOURCE, FIRST, SUBJECT)},
            "not both",
        ),
        (
            "video-regeneration",
            {"mode": VideoMode.VIDEO_EDIT, "inputs": (SOURCE, LAST)},
            "first_frame",
        ),
        (HAILUO, {"duration": 10.0, "resolution": ResolutionTier.P1080}, "6 s in 1080p, not 10"),
        (HAILUO, {"prompt": "a" * 1995, "camera": CameraMove.PAN_LEFT}, "2000"),
        (HAILUO, {"inputs": (FIRST, LAST)}, "last_frame"),
        ("MiniMax-Hailuo-2.3-Fast", {}, "first_frame"),
        (
            "MiniMax-H3",
            {"inputs": (MediaInput(role=InputRole.FIRST_FRAME, data=make_png(200, 300)),)},
            "at least 256",
        ),
    ],
)
async def test_what_a_model_cannot_do_is_said_before_anything_is_sent(
    model: str, fields: Any, said: str, tmp_path: Path
) -> None:
    talk = MINIMAX.talk(tmp_path, "submitted")

    with pytest.raises((UnsupportedRequestError, InvalidRequestError)) as caught:
        await talk.backend.submit(MINIMAX.plan(model, **fields), key="job-1")

    assert said in f"{caught.value.message} {caught.value.hint}"
    assert talk.asked == []


async def test_the_documented_conversation_is_understood(tmp_path: Path) -> None:
    talk = MINIMAX.talk(tmp_path, "submitted", "queued", "running", "succeeded")

    events = await MINIMAX.run(talk.backend)
    end = events[-1]

    assert [each.type for each in events[:2]] == ["job.progressed", "job.started"]
    assert end.type == "job.completed"
    assert [each.uri for each in end.artifacts] == ["https://cdn.example/t_1.mp4"]
    assert [str(each.url) for each in talk.asked[1:]] == [
        f"{HERE}/v2/query/video_generation/t_1"
    ] * 3
    assert {each.headers["authorization"] for each in talk.asked} == {f"Bearer {MINIMAX.key}"}


async def test_an_older_model_names_a_file_whose_address_is_asked_for(tmp_path: Path) -> None:
    replies = ("older_submitted", "older_processing", "older_success", "older_file")
    talk = MINIMAX.talk(tmp_path, *replies)

    end = await talk.end(HAILUO)

    assert end.type == "job.completed"
    assert [each.uri for each in end.artifacts] == ["https://cdn.example/output_aigc.mp4"]
    asked = [(each.url.path, dict(each.url.params)) for each in talk.asked[1:]]
    poll = ("/v1/query/video_generation", {"task_id": "106916112212032"})
    assert asked == [poll, poll, ("/v1/files/retrieve", {"file_id": "176844028768320"})]


@pytest.mark.parametrize(
    ("model", "name", "code", "said"),
    [
        ("MiniMax-H3", "failed", "generation_failed", "internal error"),
        ("MiniMax-H3", "moderated", "content_rejected", "input content is sensitive"),
        ("MiniMax-H3", "expired", "generation_failed", "expired"),
        (HAILUO, "older_failed", "generation_failed", "Fail, and not why"),
        (HAILUO, "older_withheld", "content_rejected", "output content is sensitive (1027)"),
    ],
)
async def test_a_failure_says_why(
    model: str, name: str, code: str, said: str, tmp_path: Path
) -> None:
    first = "older_submitted" if model == HAILUO else "submitted"
    end = await MINIMAX.talk(tmp_path, first, name).end(model)

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message


def test_both_readings_of_rejected_content_and_an_unknown_word_are_taken() -> None:
    backend = MINIMAX.make(Path())
    by_words: JsonValue = {
        "task": {
            "id": "t_1",
            "status": "failed",
            "error": {"code": "content_blocked", "message": "sensitive content (1026)"},
        }
    }
    unknown: JsonValue = {"task": {"id": "t_1", "status": "polishing"}}

    assert isinstance(backend.parse(by_words).error, ContentRejectedError)
    assert backend.parse(unknown).state is None
    assert backend.parse({"task": {"id": "t_1", "status": "cancelled"}}).state is State.CANCELLED


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("bad_request", InvalidRequestError),
        ("wrong_key", BackendAuthenticationError),
        ("no_credit", BackendAuthenticationError),
        ("rejected", ContentRejectedError),
        ("limited", BackendRateLimitError),
        ("broken", SubmitUncertainError),
    ],
)
@pytest.mark.parametrize("is_in_200", [False, True])
async def test_a_code_decides_whatever_the_status_of_http(
    reply: str, error: type[MediaAgentError], is_in_200: bool, tmp_path: Path
) -> None:
    said = MINIMAX.replies.read(reply)
    talk = MINIMAX.talk(tmp_path, {**said, "status": 200} if is_in_200 else said)

    with pytest.raises(error):
        await talk.end()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1000, SubmitUncertainError),
        (1002, BackendRateLimitError),
        (1004, BackendAuthenticationError),
        (2049, BackendAuthenticationError),
        (1008, BackendAuthenticationError),
        (1026, ContentRejectedError),
        (1027, ContentRejectedError),
        (2013, InvalidRequestError),
    ],
)
async def test_every_code_of_the_older_api_has_its_error_though_http_says_200(
    code: int, error: type[MediaAgentError], tmp_path: Path
) -> None:
    body = {"task_id": "", "base_resp": {"status_code": code, "status_msg": "no"}}

    with pytest.raises(error, match=str(code)):
        await MINIMAX.talk(tmp_path, {"status": 200, "body": body}).end(HAILUO)


async def test_the_documented_rejection_of_the_older_api(tmp_path: Path) -> None:
    with pytest.raises(ContentRejectedError, match="contains sensitive content"):
        await MINIMAX.talk(tmp_path, "older_rejected").end(HAILUO)


@pytest.mark.parametrize(
    ("code", "error"), [(1004, BackendAuthenticationError), (1002, BackendRateLimitError)]
)
async def test_a_code_in_a_poll_says_nothing_of_the_task(
    code: int, error: type[MediaAgentError], tmp_path: Path
) -> None:
    trouble = {"base_resp": {"status_code": code, "status_msg": "no"}}
    replies = ("older_submitted", {"status": 200, "body": trouble}, "older_success", "older_file")
    talk = MINIMAX.talk(tmp_path, *replies)
    ref = await talk.backend.submit(MINIMAX.plan(HAILUO), key="job-1")

    with pytest.raises(error):
        await talk.backend.status(ref)

    assert (await talk.backend.status(ref)).type == "job.completed"


@pytest.mark.parametrize("status", [200, 400, 404])
async def test_an_unknown_task_is_lost_whatever_the_status_of_http(
    status: int, tmp_path: Path
) -> None:
    said = {**MINIMAX.replies.read("unknown"), "status": status}

    with pytest.raises(OperationNotFoundError, match="record not found"):
        await MINIMAX.talk(tmp_path, "submitted", said).end()


async def test_content_that_a_poll_rejects_with_an_http_error_ends_the_task(
    tmp_path: Path,
) -> None:
    end = await MINIMAX.talk(tmp_path, "submitted", "running", "rejected").end()

    assert end.type == "job.failed"
    assert end.error.code == "content_rejected"


def listed(*tasks: dict[str, Any], date: str) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        body = {"items": list(tasks), "total": len(tasks)}
        return httpx.Response(200, json=body, headers={"Date": date})

    return httpx.MockTransport(answer)


NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DATE = "Fri, 20 Nov 2026 12:00:10 GMT"


def task(name: str, seconds: int = 5, prompt: str | None = None, **more: Any) -> dict[str, Any]:
    made = {"id": name, "model": "MiniMax-H3", "created_at": int(NOON.timestamp()) + seconds}
    return {**made, **({} if prompt is None else {"content": {"prompt": prompt}}), **more}


async def find(tmp_path: Path, *tasks: dict[str, Any]) -> Any:
    now = (NOON + timedelta(seconds=10)).timestamp()
    transport = listed(*tasks, date=DATE)
    backend = MINIMAX.make(tmp_path, transport=transport, clock=lambda: now)
    return await backend.find(MINIMAX.plan(), key="job-1", since=NOON)


async def test_a_task_that_repeats_the_prompt_may_be_of_another_program(tmp_path: Path) -> None:
    others = [task("other", prompt="a hare"), task("old", -900, "a fox runs")]

    with pytest.raises(BackendResponseError, match="may be same: look whether"):
        await find(tmp_path, task("same", prompt="a  fox runs"), *others)


@pytest.mark.parametrize(
    "tasks",
    [
        [task("one")],
        [task("one"), task("two")],
        [task("one", prompt="a fox runs"), task("two", prompt="a fox runs")],
        [task("one", -30, "a fox runs")],  # perhaps that of another job, a moment before
    ],
)
async def test_a_list_that_proves_nothing_names_what_may_be_it(
    tasks: list[dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(BackendResponseError) as caught:
        await find(tmp_path, *tasks)

    assert all(each["id"] in caught.value.message for each in tasks)


@pytest.mark.parametrize(
    "other",
    [
        task("old", -900),
        task("larger", resolution="2K"),
        task("longer", duration=9),
        task("of another model", model="MiniMax-H3-Max"),
    ],
)
async def test_what_cannot_be_ours_is_not_found(other: dict[str, Any], tmp_path: Path) -> None:
    assert await find(tmp_path, other) is None


async def test_a_list_is_read_page_by_page(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["page_num"])
        full = [task(f"t{number}", prompt="a hare") for number in range(50)]
        page = full if len(asked) < 3 else [task("perhaps", prompt="a fox runs")]
        return httpx.Response(200, json={"items": page}, headers={"Date": DATE})

    now = (NOON + timedelta(seconds=10)).timestamp()
    backend = MINIMAX.make(tmp_path, transport=httpx.MockTransport(answer), clock=lambda: now)
    with pytest.raises(BackendResponseError, match="may be perhaps: look"):
        await backend.find(MINIMAX.plan(), key="job-1", since=NOON)

    assert asked == ["1", "2", "3"]


async def test_an_older_task_is_looked_for_nowhere(tmp_path: Path) -> None:
    talk = MINIMAX.talk(tmp_path, "listed")

    assert await talk.backend.find(MINIMAX.plan(HAILUO), key="job-1", since=NOON) is None
    assert talk.asked == []
    assert talk.backend.capabilities(HAILUO).lookup == "none"
    assert talk.backend.capabilities(HAILUO).cancels is False
    assert talk.backend.capabilities().lookup == "candidates"


@pytest.mark.parametrize("model", ["MiniMax-H3", HAILUO])
async def test_a_lost_reply_is_paid_once(model: str, tmp_path: Path) -> None:
    with MiniMaxSimulator([Fault("submit", "close_after_accept")]) as simulator:
        backend = MINIMAX.make(tmp_path, simulator.url)
        with pytest.raises(SubmitUncertainError):
            await backend.submit(MINIMAX.plan(model), key="job-1")

    assert simulator.accepted == 1


async def test_a_task_is_stopped_while_it_waits_and_one_that_is_over_is_kept(
    tmp_path: Path,
) -> None:
    with MiniMaxSimulator(queued_polls=9) as simulator:
        backend = MINIMAX.make(tmp_path, simulator.url)
        ref = await backend.submit(MINIMAX.plan(), key="job-1")
        await backend.cancel(ref)
        end = (await events_of(backend, ref))[-1]
    with MiniMaxSimulator(queued_polls=0, running_polls=0) as finished:
        other = MINIMAX.make(tmp_path, finished.url)
        over = await other.submit(MINIMAX.plan(), key="job-2")
        await other.cancel(over)

        assert finished.calls("cancel") == []
    assert end.type == "job.cancelled"


async def test_a_task_that_is_gone_by_the_words_of_a_reply_is_left_alone(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        body = {"task_id": "t-1"} if request.method == "POST" else {"message": "record not found"}
        return httpx.Response(200, json=body)

    backend = MINIMAX.make(tmp_path, transport=httpx.MockTransport(answer))
    await backend.cancel(await backend.submit(MINIMAX.plan(), key="job-1"))

    assert asked == ["POST", "GET"]


@pytest.mark.parametrize(
    ("region", "host"), [("global", "api.minimax.io"), ("mainland", "api.minimaxi.com")]
)
def test_each_region_has_its_host(region: str, host: str, tmp_path: Path) -> None:
    settings = BackendSettings(tmp_path, key=SecretStr("k"), options={"region": region})
    elsewhere = BackendSettings(tmp_path, base_url="http://127.0.0.1:1", options={"region": region})

    assert MiniMaxBackend(settings).connection().base_url == f"https://{host}"
    assert MiniMaxBackend(elsewhere).connection().base_url == "http://127.0.0.1:1"
    by_address = BackendSettings(tmp_path, base_url=f"https://{host}", key=SecretStr("k"))
    assert MiniMaxBackend(by_address).region == region


ENDS = {
    "completed": "job.completed",
    "expired": "generation_failed",
    "failed": "generation_failed",
    "moderated": "content_rejected",
    "rejected": "content_rejected",
    "no_credit": "backend_authentication",
    "limited": "backend_rate_limit",
}


async def end_of(tmp_path: Path, url: str, model: str) -> str:
    """Return how a video ends: completed, or the code of its error."""
    try:
        end = (await MINIMAX.run(MINIMAX.make(tmp_path, url), model))[-1]
    except MediaAgentError as error:
        return error.code
    return end.error.code if end.type == "job.failed" else end.type


@pytest.mark.parametrize("model", ["MiniMax-H3", HAILUO])
async def test_every_outcome_of_the_simulator_has_its_end(model: str, tmp_path: Path) -> None:
    ends = {}
    for outcome in MiniMaxSimulator.outcomes:
        with MiniMaxSimulator(outcome=outcome) as simulator:
            ends[outcome] = await end_of(tmp_path / outcome, simulator.url, model)

    assert ends == ENDS


@pytest.mark.parametrize("model", ["MiniMax-H3-Max", "T2V-01-Director"])
async def test_the_whole_way_of_a_video(model: str, tmp_path: Path) -> None:
    with MiniMaxSimulator() as simulator:
        end = (await MINIMAX.run(MINIMAX.make(tmp_path, simulator.url), model))[-1]

    assert end.type == "job.completed"
    assert simulator.accepted == 1


@pytest.mark.parametrize(
    ("model", "fields", "usd"),
    [
        ("MiniMax-H3", {"duration": 5.0}, 0.4),
        ("MiniMax-H3", {"duration": 10.0, "resolution": ResolutionTier.K2}, 1.3),
        ("MiniMax-H3", {"duration": 5.0, "inputs": (FIRST,)}, 0.4),
        ("MiniMax-H3", {"duration": 5.0, "inputs": (SUBJECT,) * 5}, 0.4),
        ("MiniMax-H3", {"duration": 5.0, "inputs": (SUBJECT,) * 7}, 0.48),
        ("MiniMax-H3", {"duration": 5.0, "inputs": (SUBJECT, MOTION)}, 1.6),
        ("MiniMax-H3-Max", {"duration": 5.0, "resolution": ResolutionTier.P480}, 0.25),
        ("MiniMax-H3-Max", {"duration": 5.0}, 0.4),
        ("MiniMax-H3-Max", {"duration": 5.0, "inputs": (SUBJECT,) * 3}, 0.474),
        (
            "MiniMax-H3",
            {"inputs": (SUBJECT,), "options": {"minimax": {"reference_audio": AUDIO}}},
            None,
        ),
        (HAILUO, {}, None),
        ("video-regeneration", {"options": {"minimax": {"source_task_id": "t"}}}, None),
    ],
)
def test_prices_are_those_of_the_table_and_never_too_low(
    model: str, fields: Any, usd: float | None
) -> None:
    facts = Catalogue.load({"minimax": SPEC}).facts("minimax", model)

    cost = facts.estimate(MINIMAX.plan(model, **fields), "global").cost_usd
    assert facts.estimate(MINIMAX.plan(model, **fields), "mainland").cost_usd is None
    assert cost == (None if usd is None else pytest.approx(usd))


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        ({"total_seconds": 6, "input_seconds": 0, "output_seconds": 6}, 6),
        ({"total_seconds": 21, "input_seconds": 15, "input_image_count": 2}, 21),
        ({"total_seconds": 6, "input_image_count": 3}, None),  # an image of H3 Max may be charged
        ({"total_seconds": 6, "input_audio_seconds": 4}, None),
        ({"output_seconds": 6}, None),
        ({"total_seconds": "n/a"}, None),
    ],
)
def test_billed_seconds_are_reported_where_nothing_else_is_billed(
    usage: dict[str, JsonValue], seconds: float | None
) -> None:
    done = MINIMAX.replies.read("succeeded")["body"]
    done["task"]["usage"] = usage

    cost = MINIMAX.make(Path()).parse(done).cost

    assert (None if cost is None else cost.seconds) == seconds


async def test_work_is_not_looked_for_in_another_region(tmp_path: Path) -> None:
    ref = await MINIMAX.talk(tmp_path, "submitted").backend.submit(MINIMAX.plan(), key="job-1")
    mainland = Provider(SPEC, __file__, options={"region": "mainland"}).make(tmp_path)

    assert ref.data["region"] == "global"
    with pytest.raises(ConfigurationError, match="accepted t_1 in global"):
        await mainland.status(ref)


def test_older_models_are_used_only_when_named() -> None:
    catalogue = Catalogue.load({"minimax": SPEC})

    for model in MINIMAX.make(Path()).models.by_id.values():
        facts = catalogue.facts("minimax", model.id)
        assert (facts.only_named is None) == model.id.startswith("MiniMax-H3")
        assert facts.licence == "proprietary"
        continues = facts.image_model
        assert (
            continues is None or "first_frame" in MINIMAX.make(Path()).models.by_id[continues].roles
        )
