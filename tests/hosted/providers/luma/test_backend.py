"""Luma: what is built, what answers mean, and the whole way against its simulator."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.negotiation.negotiate import negotiate
from media_agent.routing.catalogue import Catalogue
from media_agent.testing import Fault, Route, SimulatedJob
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.providers.luma import SPEC
from media_agent_hosted.providers.luma.simulator import LumaSimulator
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier
from media_agent_schemas.request import VideoMode, VideoRequest
from tests.hosted.images import make_png
from tests.hosted.provider_kit import Provider, no_sleep

pytestmark = pytest.mark.anyio

LUMA = Provider(SPEC, __file__)
HERE = "https://agents.lumalabs.ai/v1"
RAY, REFRAME = "ray-3.2", "ray-3.2-reframe"


def at(role: InputRole, name: str, seconds: float | None = None) -> MediaInput:
    return MediaInput(role=role, url=f"https://example.com/{name}", at=seconds)


FIRST = at(InputRole.FIRST_FRAME, "f.jpg")
LAST = at(InputRole.LAST_FRAME, "l.jpg")
SOURCE = at(InputRole.SOURCE_VIDEO, "v.mp4")
EDIT = {"mode": VideoMode.VIDEO_EDIT, "inputs": (SOURCE,)}


def key(name: str, seconds: float) -> MediaInput:
    return at(InputRole.KEYFRAME, name, seconds)


def options(**given: JsonValue) -> dict[str, Any]:
    return {"options": {"luma": given}}


def url(medium: MediaInput) -> JsonValue:
    return {"url": medium.url}


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    address, body = await LUMA.send(
        tmp_path, prompt="a fox runs through snow", aspect_ratio="16:9", inputs=(FIRST,)
    )

    assert address == f"{HERE}/generations"
    assert body == {
        "model": RAY,
        "type": "video",
        "prompt": "a fox runs through snow",
        "aspect_ratio": "16:9",
        "video": {"resolution": "720p", "duration": "5s", "start_frame": url(FIRST)},
    }


@pytest.mark.parametrize(
    ("model", "fields", "kind", "video"),
    [
        (RAY, {"duration": 10.0}, "video", {"duration": "10s", "resolution": "720p"}),
        (RAY, {"resolution": ResolutionTier.P360}, "video", {"resolution": "360p"}),
        (
            RAY,
            {"inputs": (FIRST, LAST)},
            "video",
            {"start_frame": url(FIRST), "end_frame": url(LAST), "keyframes": None},
        ),
        (RAY, {"inputs": (LAST,)}, "video", {"end_frame": url(LAST), "start_frame": None}),
        (
            RAY,
            {"inputs": (LAST, FIRST), "duration": 10.0},
            "video",
            {
                "keyframes": [url(FIRST), url(LAST)],
                "keyframe_indexes": [0, 240],
                "start_frame": None,
                "end_frame": None,
            },
        ),
        (
            RAY,
            {"inputs": (FIRST,), **options(hdr=True, exr_export=True)},
            "video",
            {
                "keyframes": [url(FIRST)],
                "keyframe_indexes": [0],
                "hdr": True,
                "exr_export": True,
                "start_frame": None,
            },
        ),
        (
            RAY,
            {"inputs": (key("b.jpg", 2.51), FIRST, key("a.jpg", 1.0)), "duration": 5.0},
            "video",
            {
                "keyframes": [url(FIRST), url(key("a.jpg", 1)), url(key("b.jpg", 1))],
                "keyframe_indexes": [0, 24, 60],
            },
        ),
        (
            RAY,
            options(generation_id="3b1f", loop=True),
            "video",
            {"start_frame": {"generation_id": "3b1f"}, "loop": True, "generation_id": None},
        ),
        (
            RAY,
            {"inputs": (FIRST,), **options(generation_id="3b1f", direction="backward")},
            "video",
            {"start_frame": url(FIRST), "end_frame": {"generation_id": "3b1f"}},
        ),
        (RAY, EDIT, "video_edit", {"edit": {"auto_controls": True}, "duration": None}),
        (
            RAY,
            {**EDIT, **options(strength="flex_2", controls='{"pose": {"enabled": true}}')},
            "video_edit",
            {"edit": {"strength": "flex_2", "controls": {"pose": {"enabled": True}}}},
        ),
        (
            RAY,
            {"mode": VideoMode.VIDEO_EDIT, "inputs": (SOURCE, FIRST)},
            "video_edit",
            {"start_frame": url(FIRST), "edit": {"auto_controls": True}},
        ),
        (
            REFRAME,
            {**EDIT, "aspect_ratio": "21:9", **options(source_position="0.25,0,0.5,1")},
            "video_reframe",
            {
                "resolution": "720p",
                "source_position": {"x_norm": 0.25, "y_norm": 0, "w_norm": 0.5, "h_norm": 1},
            },
        ),
    ],
)
async def test_each_kind_of_video_has_its_fields(
    model: str, fields: Any, kind: str, video: dict[str, Any], tmp_path: Path
) -> None:
    _, body = await LUMA.send(tmp_path, model, **fields)

    assert (body["model"], body["type"]) == (RAY, kind)
    assert {name: body["video"].get(name) for name in video} == video
    source = {"url": SOURCE.url, "media_type": "video/mp4"}
    assert body.get("source") == (None if kind == "video" else source)
    assert not body.keys() & {"generation_id", "direction", "strength", "source_position"}


async def test_a_model_that_is_not_known_here_gets_fields_of_its_own(tmp_path: Path) -> None:
    raw = '{"user_id": "u1", "video": {"loop": true}}'
    _, body = await LUMA.send(tmp_path, "ray-4", **options(input=raw))

    assert body == {
        "model": "ray-4",
        "type": "video",
        "prompt": "a fox runs",
        "user_id": "u1",
        "video": {"loop": True},
    }


async def test_a_small_file_goes_along_as_base64_with_its_media_type(tmp_path: Path) -> None:
    first = MediaInput(role=InputRole.FIRST_FRAME, data=make_png(64, 64))
    _, body = await LUMA.send(tmp_path, inputs=(first,))

    frame = body["video"]["start_frame"]
    assert frame["media_type"] == "image/png"
    assert base64.b64decode(frame["data"], validate=True) == make_png(64, 64)


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("uni-1", {}, "makes images"),
        ("ray-flash-2", {}, "Dream Machine"),
        (RAY, {"prompt": "a" * 6001}, "6000"),
        (RAY, {"prompt": None, "inputs": (FIRST,)}, "prompt"),
        (RAY, {"inputs": (key("a.jpg", 1.0), key("b.jpg", 1.01))}, "two frames are at 1 s"),
        (RAY, {"inputs": (FIRST, key("a.jpg", 0.01))}, "two frames"),
        (RAY, {"inputs": (key("a.jpg", 5.5),), "duration": 5.0}, "behind the end, at 5 s"),
        (RAY, {"inputs": (key("a.jpg", 1.0),) * 65}, "64"),
        (RAY, {"duration": 10.0, **options(loop=True)}, "loops"),
        (RAY, {"inputs": (LAST,), **options(loop=True)}, "loops"),
        (RAY, {"inputs": (key("a.jpg", 1),), **options(loop=True)}, "loops"),
        (RAY, options(loop=True, hdr=True), "loops"),
        (RAY, {"resolution": ResolutionTier.P360, **options(hdr=True)}, "360p"),
        (RAY, options(exr_export=True), "hdr"),
        (RAY, options(direction="backward"), "direction"),
        (RAY, {"duration": 10.0, **options(generation_id="g")}, "5 s"),
        (RAY, options(generation_id="g", hdr=True), "HDR"),
        (RAY, {"inputs": (FIRST,), **options(generation_id="g")}, "generation_id"),
        (RAY, {"inputs": (LAST,), "duration": 10.0, **options(generation_id="g")}, "5 s"),
        (RAY, {"inputs": (key("a.jpg", 1),), **options(generation_id="g")}, "generation_id"),
        (RAY, options(strength="flex_1"), "strength"),
        (RAY, {**EDIT, **options(loop=True)}, "loop"),
        (RAY, {**EDIT, **options(controls="[1]")}, "no JSON object"),
        (RAY, {**EDIT, **options(controls="{")}, "no JSON object"),
        (RAY, {**EDIT, **options(strength="strong")}, "strength"),
        (REFRAME, {**EDIT, "aspect_ratio": "1:1", **options(source_position="1,2")}, "0.25"),
        (
            REFRAME,
            {**EDIT, "aspect_ratio": "1:1", **options(source_position="0.6,0,0.5,1")},
            "0 to",
        ),
        (REFRAME, {"aspect_ratio": "1:1"}, "source_video"),
    ],
)
async def test_what_it_cannot_do_is_said_before_anything_is_sent(
    model: str, fields: Any, said: str, tmp_path: Path
) -> None:
    talk = LUMA.talk(tmp_path, "submitted")

    with pytest.raises((UnsupportedRequestError, InvalidRequestError)) as caught:
        await talk.backend.submit(LUMA.plan(model, **fields), key="job-1")

    assert said in f"{caught.value.message} {caught.value.hint}"
    assert talk.asked == []


@pytest.mark.parametrize(("seconds", "most"), [(5.0, 120), (10.0, 240)])
async def test_every_place_of_a_keyframe_is_on_the_grid_of_24_frames_a_second(
    seconds: float, most: int, tmp_path: Path
) -> None:
    inputs = tuple(key(f"{n}.jpg", n / 24) for n in (most, most - 1, 1, 0))
    _, body = await LUMA.send(tmp_path, inputs=inputs, duration=seconds)

    assert body["video"]["keyframe_indexes"] == [0, 1, most - 1, most]


async def test_the_documented_conversation_is_understood(tmp_path: Path) -> None:
    talk = LUMA.talk(tmp_path, "submitted", "queued", "processing", "completed")

    events = await LUMA.run(talk.backend)
    end = events[-1]

    assert [each.type for each in events[:2]] == ["job.progressed", "job.started"]
    assert end.type == "job.completed"
    assert [each.uri for each in end.artifacts] == [
        "https://cdn.example/3b1f.mp4?X-Amz-Expires=3600"
    ]
    expires = end.artifacts[0].expires_at
    assert expires is not None
    assert 3500 < (expires - datetime.now(UTC)).total_seconds() < 3700
    assert any("3b1f" in warning for warning in end.warnings)
    assert [str(each.url) for each in talk.asked[1:]] == [f"{HERE}/generations/3b1f"] * 3


async def test_what_is_put_out_beside_the_video_is_not_taken_for_one(tmp_path: Path) -> None:
    done = LUMA.replies.read("completed")
    done["body"]["output"].insert(0, {"type": "exr", "url": "https://cdn.example/3b1f.zip"})

    end = await LUMA.talk(tmp_path, "submitted", done).end()

    assert end.type == "job.completed"
    assert len(end.artifacts) == 1


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("failed", "generation_failed", "Generation failed (generation_failed)"),
        ("moderated", "content_rejected", "Prompt was rejected"),
        ("exhausted", "backend_authentication", "Credits ran out"),
        ("corrupt", "invalid_request", "could not be read"),
    ],
)
async def test_a_failure_says_why(name: str, code: str, said: str, tmp_path: Path) -> None:
    end = await LUMA.talk(tmp_path, "submitted", name).end()

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("output_not_found", "generation_failed"),
        ("rate_limited", "generation_failed"),
        ("something_new", "generation_failed"),
        ("image_too_large", "invalid_request"),
        ("unsupported_format", "invalid_request"),
        ("invalid_request", "invalid_request"),
    ],
)
def test_every_code_of_a_failure_has_its_error(code: str, error: str) -> None:
    said: JsonValue = {"id": "3b1f", "state": "failed", "failure_code": code}

    found = LUMA.make(Path()).parse(said).error
    assert found is not None
    assert (found.code, code in found.message) == (error, True)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("invalid", InvalidRequestError),
        ("wrong_key", BackendAuthenticationError),
        ("no_credit", BackendAuthenticationError),
        ("limited", BackendRateLimitError),
        ({"status": 422, "body": {"detail": "Bad image data"}}, InvalidRequestError),
        ({"status": 413, "body": {"detail": "Image exceeds 50 MB"}}, InvalidRequestError),
        ({"status": 502, "body": {"detail": "Upstream unavailable"}}, SubmitUncertainError),
        (
            {"status": 400, "body": {"detail": "the prompt violates our content policy"}},
            ContentRejectedError,
        ),
    ],
)
async def test_a_no_to_a_submission_is_what_its_status_says(
    reply: Any, error: type[MediaAgentError], tmp_path: Path
) -> None:
    with pytest.raises(error):
        await LUMA.talk(tmp_path, reply).end()


async def test_an_unknown_generation_is_lost(tmp_path: Path) -> None:
    with pytest.raises(OperationNotFoundError, match="not found"):
        await LUMA.talk(tmp_path, "submitted", "not_found").end()


async def test_a_large_file_is_uploaded_looked_at_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video(Video(48, 24.0, 64, 36, 90))
    source = MediaInput(role=InputRole.SOURCE_VIDEO, data=video)
    fields: dict[str, Any] = {"mode": VideoMode.VIDEO_EDIT, "inputs": (source,)}
    with LumaSimulator() as simulator:
        backend = LUMA.make(tmp_path, simulator.url)
        monkeypatch.setattr(type(backend), "largest_input", 1000)
        end = (await LUMA.run(backend, **fields))[-1]
        [asked], [stored] = simulator.calls("upload"), simulator.calls("storage")
        [complete], [sent] = simulator.calls("complete"), simulator.calls("submit")
        checks = simulator.calls("check")

    assert end.type == "job.completed"
    assert asked.json()["size_bytes"] == len(video)
    assert (stored.method, stored.body, stored.headers["content-type"]) == (
        "PUT",
        video,
        "video/mp4",
    )
    assert "authorization" not in stored.headers
    assert complete.path.endswith("/files/file-0/complete")
    assert len(checks) == 2  # it is looked at first
    assert sent.json()["source"] == {"file_id": "file-0"}
    request = VideoRequest.model_validate({"prompt": "a fox", "model": f"luma/{RAY}", **fields})
    plan = negotiate(request, backend.capabilities(RAY), draw_seed=lambda: 7)
    [said] = [each for each in plan.adjustments if each.field == "inputs[0]"]
    assert said.used == "uploaded if it is large"
    assert "a day" in said.reason


def test_the_documented_answer_to_an_upload_names_every_step() -> None:
    backend = LUMA.make(Path())
    found = backend.uploaded(LUMA.replies.read("upload")["body"], _file())

    assert found is not None
    assert found.then is not None
    assert (found.then.path, found.then.is_keyless) == (
        "https://bucket.example/f1?X-Amz-Signature=s",
        True,
    )
    assert found.then.headers == {"Content-Type": "video/mp4"}
    assert [each.path for each in (found.last, found.check) if each] == [
        "/files/f1/complete",
        "/files/f1",
    ]
    assert backend.uploaded({"id": "f1"}, _file()) is None


def _file() -> Any:
    from media_agent_hosted.http.inputs import InputFile

    return InputFile(InputRole.SOURCE_VIDEO, b"x" * 2048, "video/mp4")


class Expiring(LumaSimulator):
    """Names an address that has ended first, and a good one when it is asked again."""

    told = 0

    def routes(self) -> Any:
        gone = Route("GET", r"/old/.*", "old", self._gone, needs_key=False)
        return (*super().routes(), gone)

    def video_url(self, job: SimulatedJob) -> str:
        self.told += 1
        good = super().video_url(job)
        return good if self.told > 1 else good.replace("/files/", "/old/")

    def _gone(self, call: Call) -> Answer:
        return Answer(403, b"<Error><Code>AccessDenied</Code></Error>")


async def test_an_address_that_ended_after_its_hour_is_asked_for_again(tmp_path: Path) -> None:
    with Expiring(queued_polls=0, running_polls=0) as simulator:
        section = {"base_url": simulator.url, "key": "a-key-0123456789"}
        settings = Settings.model_validate({"data_dir": tmp_path, "backends": {"luma": section}})
        async with VideoClient(settings=settings, sleep=no_sleep) as client:
            job = await client.generate(
                VideoRequest(prompt="a fox", model=f"luma/{RAY}", duration=5),
                out=str(tmp_path / "fox.mp4"),
            )

    assert job.status == "completed"
    assert simulator.accepted == 1


async def test_a_lost_reply_is_paid_once(tmp_path: Path) -> None:
    with LumaSimulator([Fault("submit", "close_after_accept")]) as simulator:
        backend = LUMA.make(tmp_path, simulator.url)
        with pytest.raises(SubmitUncertainError):
            await backend.submit(LUMA.plan(), key="job-1")

    assert simulator.accepted == 1


ENDS = {
    "completed": "job.completed",
    "failed": "generation_failed",
    "moderated": "content_rejected",
    "exhausted": "backend_authentication",
    "corrupt": "invalid_request",
    "no_credit": "backend_authentication",
    "limited": "backend_rate_limit",
}


async def end_of(tmp_path: Path, url: str, model: str) -> str:
    """Return how a video ends: completed, or the code of its error."""
    try:
        end = (await LUMA.run(LUMA.make(tmp_path, url), model))[-1]
    except MediaAgentError as error:
        return error.code
    return end.error.code if end.type == "job.failed" else end.type


@pytest.mark.parametrize("model", [RAY])
async def test_every_outcome_of_the_simulator_has_its_end(model: str, tmp_path: Path) -> None:
    ends = {}
    for outcome in LumaSimulator.outcomes:
        with LumaSimulator(outcome=outcome) as simulator:
            ends[outcome] = await end_of(tmp_path / outcome, simulator.url, model)

    assert ends == ENDS


async def test_one_job_continues_another_by_its_id(tmp_path: Path) -> None:
    with LumaSimulator() as simulator:
        backend = LUMA.make(tmp_path, simulator.url)
        first = (await LUMA.run(backend))[-1]
        [name] = simulator.jobs
        ref = await backend.submit(LUMA.plan(**options(generation_id=name)), key="job-2")

        assert simulator.jobs[ref.operation_id].input["video"] == {
            "duration": "5s",
            "resolution": "720p",
            "start_frame": {"generation_id": name},
        }
    assert first.type == "job.completed"
    assert any(name in warning for warning in first.warnings)


def test_no_price_is_made_up() -> None:
    facts = Catalogue.load({"luma": SPEC}).facts("luma", RAY)

    assert facts.estimate(LUMA.plan()).cost_usd is None
    assert (facts.licence, facts.image_model) == ("proprietary", RAY)
