"""xAI: what is built, what answers mean, and the whole way against its simulator."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRefusedError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
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
from tests.hosted.provider_kit import Provider

pytestmark = pytest.mark.anyio

XAI = Provider(SPEC, __file__)
IMAGINE = "grok-imagine-video-1.5"
IMAGE = MediaInput(role=InputRole.FIRST_FRAME, url="https://images.example/fox.png")
LAST = MediaInput(role=InputRole.LAST_FRAME, url="https://images.example/den.png")
HERE = "https://api.x.ai/v1"


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


async def test_a_shape_that_was_asked_for_is_sent_with_an_image(tmp_path: Path) -> None:
    _, body = await XAI.send(tmp_path, aspect_ratio="9:16", inputs=(IMAGE,))

    assert body["aspect_ratio"] == "9:16"


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


@pytest.mark.parametrize("fields", [{"duration": 16.0}, {"inputs": (LAST,)}])
def test_what_a_model_cannot_do_is_said_before_anything_is_sent(fields: Any) -> None:
    with pytest.raises(UnsupportedRequestError):
        XAI.plan(**fields)


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
        ("grok-imagine-video-1.5-lite", "1080p", 0.14, 0.0),
        ("grok-imagine-video", "480p", 0.05, 0.002),
        ("grok-imagine-video", "720p", 0.07, 0.002),
    ],
)
def test_a_price_covers_seconds_and_an_image(
    model: str, tier: str, usd: float, image: float
) -> None:
    facts = Catalogue.load({"xai": SPEC}).facts("xai", model)

    cost = facts.estimate(XAI.plan(model, duration=6.0, resolution=tier)).cost_usd

    assert cost is not None
    assert 6 * usd + image <= cost + 1e-9
    assert cost < 6 * usd + 1.5 * image + 0.001


def test_a_video_is_kept_for_a_day() -> None:
    assert XaiBackend.keeps == timedelta(hours=24)
