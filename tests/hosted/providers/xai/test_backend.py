"""xAI: what is built, what answers mean, and the whole way against its simulator."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.cli import main
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRefusedError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    RequestError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.routing.catalogue import Catalogue
from media_agent.testing import Fault
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.xai import SPEC
from media_agent_hosted.providers.xai.backend import XaiBackend
from media_agent_hosted.providers.xai.simulator import XaiSimulator
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier
from media_agent_schemas.request import VideoMode, VideoRequest
from tests.hosted.provider_kit import Provider

pytestmark = pytest.mark.anyio

XAI = Provider(SPEC, __file__)
IMAGINE = "grok-imagine-video-1.5"
CLASSIC, LITE = "grok-imagine-video", f"{IMAGINE}-lite"
IMAGE = MediaInput(role=InputRole.FIRST_FRAME, url="https://images.example/fox.png")
LAST = MediaInput(role=InputRole.LAST_FRAME, url="https://images.example/den.png")
VIDEO = MediaInput(role=InputRole.SOURCE_VIDEO, url="https://videos.example/fox.mp4")
STYLE = MediaInput(role=InputRole.STYLE, url="https://images.example/style.png")
REFERENCES = tuple(
    MediaInput(role=InputRole.SUBJECT, url=f"https://images.example/{number}.png")
    for number in range(7)
)
HERE = "https://api.x.ai/v1"


def keyframe(at: float) -> MediaInput:
    return MediaInput(role=InputRole.KEYFRAME, url="https://images.example/at.png", at=at)


def price_of(model: str, request: VideoRequest) -> float | None:
    return Catalogue.load({"xai": SPEC}).facts("xai", model).estimate(request).cost_usd


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    fields = {"aspect_ratio": "16:9", "resolution": ResolutionTier.P720}
    url, body = await XAI.send(tmp_path, duration=6.0, **fields)

    assert url == f"{HERE}/videos/generations"
    assert body == {"model": IMAGINE, "prompt": "a fox runs", "duration": 6, **fields}


async def test_an_image_goes_in_as_an_object(tmp_path: Path) -> None:
    _, body = await XAI.send(tmp_path, duration=6.0, inputs=(IMAGE,))

    assert body["image"] == {"url": IMAGE.url}
    assert "aspect_ratio" not in body  # the frames have the shape of the image
    assert body["resolution"] == "720p"


def test_a_shape_beside_an_image_is_left_out_as_xai_ignores_it() -> None:
    request = XAI.plan(aspect_ratio="9:16", inputs=(IMAGE,))

    assert request.aspect_ratio is None


@pytest.mark.parametrize("name", ["preview", "2026-05-30"])
async def test_other_names_of_a_model_are_sent_as_they_are(name: str, tmp_path: Path) -> None:
    _, body = await XAI.send(tmp_path, f"{IMAGINE}-{name}", audio=False)

    assert (body["model"], body["generate_audio"]) == (f"{IMAGINE}-{name}", False)


async def test_frames_are_pinned_at_their_times(tmp_path: Path) -> None:
    inputs = (IMAGE, keyframe(2.0), keyframe(4.5), LAST, *REFERENCES[:2])
    url, body = await XAI.send(tmp_path, prompt=None, duration=6.0, inputs=inputs)

    assert url == f"{HERE}/videos/generations"
    assert (body["image"], body["last_frame"]) == ({"url": IMAGE.url}, {"url": LAST.url})
    assert body["keyframes"] == [
        {"image": {"url": "https://images.example/at.png"}, "timestamp_s": at} for at in (2.0, 4.5)
    ]
    assert len(body["reference_images"]) == 2
    assert "prompt" not in body


@pytest.mark.parametrize("times", [(0.0,), (6.0,), (7.0,), (2.0, 2.3), (2.0, 2.0)])
async def test_keyframes_outside_the_video_or_too_close_are_refused(
    times: tuple[float, ...], tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequestError, match="keyframe"):
        await XAI.send(tmp_path, duration=6.0, inputs=tuple(map(keyframe, times)))


async def test_keyframes_a_third_of_a_second_apart_are_taken(tmp_path: Path) -> None:
    times = 0.4, 0.4 + 1 / 3, 5.9, 2.0
    _, body = await XAI.send(tmp_path, duration=6.0, inputs=tuple(map(keyframe, times)))

    assert [each["timestamp_s"] for each in body["keyframes"]] == list(times)


async def test_references_and_voices_go_into_lists(tmp_path: Path) -> None:
    options = {"xai": {"reference_voices": "eve, leo"}}
    _, body = await XAI.send(tmp_path, inputs=REFERENCES, options=options)

    assert body["reference_images"] == [{"url": each.url} for each in REFERENCES]
    assert body["reference_audios"] == [{"voice_id": "eve"}, {"voice_id": "leo"}]
    assert (body["resolution"], body["aspect_ratio"]) == ("720p", "16:9")
    assert "reference_voices" not in body


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"options": {"xai": {"reference_voices": "a, b, c, d"}}}, "4 voices"),
        ({"options": {"xai": {"reference_voices": "a"}}, "resolution": "1080p"}, "720p at most"),
        ({"inputs": 7, "style": 1}, "8 references"),
        ({"inputs": 1, "first": True, "resolution": "1080p"}, "720p at most"),
    ],
)
async def test_what_does_not_go_together_is_refused_before_it_is_sent(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    inputs = REFERENCES[: fields.pop("inputs", 0)]
    inputs += (STYLE,) * fields.pop("style", 0) + (IMAGE,) * fields.pop("first", False)

    with pytest.raises(UnsupportedRequestError, match=said):
        await XAI.send(tmp_path, inputs=inputs, **fields)


async def test_a_video_is_changed_by_a_call_of_its_own(tmp_path: Path) -> None:
    url, body = await XAI.send(tmp_path, CLASSIC, mode=VideoMode.VIDEO_EDIT, inputs=(VIDEO,))

    assert url == f"{HERE}/videos/edits"
    assert body == {"model": CLASSIC, "prompt": "a fox runs", "video": {"url": VIDEO.url}}


async def test_a_video_is_continued_by_a_call_of_its_own(tmp_path: Path) -> None:
    url, body = await XAI.send(tmp_path, CLASSIC, duration=10.0, inputs=(VIDEO,))

    assert url == f"{HERE}/videos/extensions"
    assert body == {
        "model": CLASSIC,
        "prompt": "a fox runs",
        "duration": 10,
        "video": {"url": VIDEO.url},
    }


async def test_an_option_without_a_field_in_a_mode_is_refused(tmp_path: Path) -> None:
    for option in ("user", "reference_voices"):
        with pytest.raises(UnsupportedRequestError, match=option):
            await XAI.send(tmp_path, CLASSIC, inputs=(VIDEO,), options={"xai": {option: "eve"}})


async def test_a_model_that_is_not_mapped_gets_what_the_option_says(
    tmp_path: Path,
) -> None:
    url, body = await XAI.send(
        tmp_path, "grok-imagine-2", options={"xai": {"input": '{"duration": 4}'}}
    )

    assert url == f"{HERE}/videos/generations"
    assert body == {"model": "grok-imagine-2", "prompt": "a fox runs", "duration": 4}


@pytest.mark.parametrize("audio", [True, False])
async def test_sound_is_switched_only_when_asked(audio: bool, tmp_path: Path) -> None:
    _, asked = await XAI.send(tmp_path, audio=audio)
    _, unsaid = await XAI.send(tmp_path)

    assert asked["generate_audio"] is audio
    assert "generate_audio" not in unsaid


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (IMAGINE, {"duration": 16.0}),
        (IMAGINE, {"inputs": (VIDEO,)}),
        (IMAGINE, {"inputs": tuple(map(keyframe, range(1, 6)))}),
        (LITE, {"inputs": REFERENCES[:1]}),
        (LITE, {"inputs": (LAST,)}),
        (CLASSIC, {"inputs": (LAST,)}),
        (CLASSIC, {"inputs": (keyframe(1.0),)}),
        (CLASSIC, {"inputs": (IMAGE, REFERENCES[0])}),
        (CLASSIC, {"inputs": REFERENCES, "duration": 11.0}),
        (CLASSIC, {"inputs": (VIDEO,), "duration": 11.0}),
        (CLASSIC, {"inputs": (*REFERENCES, REFERENCES[0])}),
    ],
)
async def test_what_a_model_cannot_do_is_said_before_anything_is_sent(
    model: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RequestError):
        await XAI.send(tmp_path, model, **fields)


@pytest.mark.parametrize(
    ("model", "inputs", "used"),
    [
        (IMAGINE, (), "1080p"),
        (LITE, (), "1080p"),
        (IMAGINE, REFERENCES, "720p"),
        (IMAGINE, (IMAGE, LAST), "720p"),
        (CLASSIC, (), "720p"),
    ],
)
async def test_1080p_is_made_where_xai_makes_it(
    model: str, inputs: tuple[MediaInput, ...], used: str, tmp_path: Path
) -> None:
    _, body = await XAI.send(tmp_path, model, resolution="1080p", inputs=inputs)

    assert body["resolution"] == used


async def test_the_documented_conversation_is_understood(tmp_path: Path) -> None:
    talk = XAI.talk(tmp_path, "submitted", "waiting", "pending", "done")

    events = await XAI.run(talk.backend)
    end = events[-1]

    fractions = [each.fraction for each in events if each.type == "job.progressed"]
    assert fractions[-1] == 0.35
    assert end.type == "job.completed"
    assert end.artifacts[0].uri == "https://vidgen.example/9a1c.mp4"
    assert end.artifacts[0].expires_at is not None
    assert end.cost is not None
    assert end.cost.usd == pytest.approx(0.84)
    assert [str(each.url) for each in talk.asked[1:]] == [f"{HERE}/videos/9a1c"] * 3
    assert {each.headers["authorization"] for each in talk.asked} == {f"Bearer {XAI.key}"}


async def test_a_video_without_a_state_is_done_at_once(tmp_path: Path) -> None:
    talk = XAI.talk(tmp_path, "submitted", "unsaid")

    assert ((await talk.end()).type, len(talk.asked)) == ("job.completed", 2)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("failed", "generation_failed", "generation failed"),
        ("moderated", "content_rejected", "withholds the video"),
        ("expired", "generation_failed", "expired"),
    ],
)
async def test_a_failure_says_why(name: str, code: str, said: str, tmp_path: Path) -> None:
    end = await XAI.talk(tmp_path, "submitted", name).end()

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message


def test_only_a_withheld_video_is_one_that_moderation_objects_to() -> None:
    backend = XaiBackend(BackendSettings(data_dir=Path()))
    video = {"url": "https://vidgen.example/9a1c.mp4", "respect_moderation": False}

    assert backend.parse({"status": "done", "video": video}).state is State.DONE
    assert backend.parse({"status": "done", "video": "odd"}).state is State.DONE
    assert backend.parse({"status": "pending", "video": {"url": ""}}).state is State.QUEUED
    assert backend.parse({"status": "polishing", "video": video}).state is None


@pytest.mark.parametrize("ticks", [-1, "n/a", None, True])
def test_a_senseless_cost_is_none(ticks: Any) -> None:
    backend = XaiBackend(BackendSettings(data_dir=Path()))

    assert backend.parse({"usage": {"cost_in_usd_ticks": ticks}}).cost is None


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "invalid-argument", InvalidRequestError),
        (400, "content_moderated", ContentRejectedError),
        (500, "content_moderated", SubmitUncertainError),
        (401, "unauthenticated", BackendAuthenticationError),
        (404, "not-found", BackendRefusedError),
    ],
)
async def test_a_refused_submission_says_what_is_wrong(
    status: int, code: str, error: type[MediaAgentError], tmp_path: Path
) -> None:
    body = {"error": "this cannot be made", "code": code}

    with pytest.raises(error, match="this cannot be made"):
        await XAI.talk(tmp_path, {"status": status, "body": body}).end()


@pytest.mark.parametrize("below", ["", "/v1"])
@pytest.mark.parametrize("outcome", ["completed", "unsaid"])
async def test_the_whole_way_of_a_video(outcome: str, below: str, tmp_path: Path) -> None:
    with XaiSimulator(outcome=outcome) as simulator:
        end = (await XAI.run(XAI.make(tmp_path, simulator.url + below), duration=6.0))[-1]
        video = f"{simulator.url}/files/xai-00000000.mp4"

    assert end.type == "job.completed"
    assert end.artifacts[0].uri == video
    assert end.cost is not None
    assert end.cost.usd == pytest.approx(0.84)
    assert simulator.accepted == 1


async def test_a_submission_whose_answer_is_lost_is_not_sent_again(tmp_path: Path) -> None:
    with XaiSimulator([Fault("submit", "close_after_accept")]) as simulator:
        with pytest.raises(SubmitUncertainError):
            await XAI.make(tmp_path, simulator.url).submit(XAI.plan(), key="job-1")

        assert (simulator.accepted, len(simulator.calls("submit"))) == (1, 1)


@pytest.mark.parametrize(
    ("model", "tier", "usd", "image"),
    [
        (IMAGINE, "480p", 0.08, 0.01),
        (IMAGINE, "720p", 0.14, 0.01),
        (IMAGINE, "1080p", 0.25, 0.01),
        (f"{IMAGINE}-preview", "720p", 0.14, 0.01),
        (f"{IMAGINE}-2026-05-30", "720p", 0.14, 0.01),
        (LITE, "1080p", 0.14, 0.01),
        (CLASSIC, "480p", 0.05, 0.002),
        (CLASSIC, "720p", 0.07, 0.002),
    ],
)
def test_a_price_covers_seconds_and_each_image(
    model: str, tier: str, usd: float, image: float
) -> None:
    text = XAI.plan(model, duration=6.0, resolution=tier)
    from_image = XAI.plan(model, duration=6.0, resolution=tier, inputs=(IMAGE,))

    assert price_of(model, text) == pytest.approx(6 * usd)
    assert price_of(model, from_image) == pytest.approx(6 * usd + image)


def test_each_reference_and_pinned_frame_is_paid_for() -> None:
    referred = XAI.plan(duration=6.0, inputs=REFERENCES)
    pinned = XAI.plan(duration=6.0, inputs=(IMAGE, keyframe(1.0), LAST))

    assert price_of(IMAGINE, referred) == pytest.approx(6 * 0.14 + 0.07)
    assert price_of(IMAGINE, pinned) == pytest.approx(6 * 0.14 + 0.03)


def test_what_is_charged_for_a_video_that_goes_in_is_unknown() -> None:
    assert price_of(CLASSIC, XAI.plan(CLASSIC, inputs=(VIDEO,))) is None
    edit = XAI.plan(CLASSIC, inputs=(VIDEO,), mode=VideoMode.VIDEO_EDIT)
    assert price_of(CLASSIC, edit) is None


@pytest.mark.parametrize("mode", [VideoMode.VIDEO_EDIT, VideoMode.VIDEO_EXTEND])
async def test_the_whole_way_of_a_video_that_goes_in(mode: VideoMode, tmp_path: Path) -> None:
    with XaiSimulator() as simulator:
        backend = XAI.make(tmp_path, simulator.url)
        end = (await XAI.run(backend, CLASSIC, mode=mode, inputs=(VIDEO,)))[-1]
        frames = {VideoMode.VIDEO_EDIT: 96, VideoMode.VIDEO_EXTEND: 96 + 6 * 24}[mode]

        assert end.type == "job.completed"
        assert simulator.video(simulator.jobs["xai-00000000"]).frames == frames


@pytest.mark.parametrize("model", [CLASSIC, IMAGINE])
def test_long_videos_go_on_from_last_frames(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XAI_API_KEY", "k")
    assert main(["plan", "--duration", "60", "--backend", f"xai/{model}", "--json", "a fox"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert {each["method"] for each in report["data"]} == {"chain"}


def test_a_video_is_kept_for_a_day() -> None:
    assert XaiBackend.keeps == timedelta(hours=24)
