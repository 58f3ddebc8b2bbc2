"""Replicate: what is built, what answers mean, and the whole way against its simulator."""

import io
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    InvalidRequestError,
    MediaAgentError,
    ModelRetiredError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import Fault, events_of
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.parsing.states import State
from media_agent_hosted.providers.replicate import SPEC
from media_agent_hosted.providers.replicate.backend import ReplicateBackend
from media_agent_hosted.providers.replicate.simulator import ReplicateSimulator
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.media import InputRole, MediaInput, ResolutionTier, Size
from media_agent_schemas.request import VideoRequest
from tests.hosted.provider_kit import Provider

pytestmark = pytest.mark.anyio

REPLICATE = Provider(SPEC, __file__, prompt="a fox")
WAN = "wan-video/wan-2.2-t2v-fast"
SEEDANCE = "bytedance/seedance-1-pro"
IMAGE = MediaInput(role=InputRole.FIRST_FRAME, url="https://images.example/fox.png")
LAST = MediaInput(role=InputRole.LAST_FRAME, url="https://images.example/den.png")
VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
HERE = "https://api.replicate.com/v1"


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    url, body = await REPLICATE.send(tmp_path, WAN, resolution=ResolutionTier.P480, seed=7)

    assert url == f"{HERE}/models/{WAN}/predictions"
    assert REPLICATE.replies.read("submitted")["body"]["input"].items() <= body["input"].items()
    assert body["input"]["num_frames"] == 81


async def test_one_model_makes_videos_of_text_and_of_an_image(tmp_path: Path) -> None:
    _, text = await REPLICATE.send(tmp_path, SEEDANCE, duration=4.0, audio=None)
    _, image = await REPLICATE.send(tmp_path, SEEDANCE, duration=4.0, inputs=(IMAGE,))

    assert "image" not in text["input"]
    assert image["input"]["image"] == IMAGE.url
    assert text["input"]["duration"] == image["input"]["duration"] == 4


async def test_a_model_that_is_not_mapped_gets_prompt_and_seed(tmp_path: Path) -> None:
    _, body = await REPLICATE.send(
        tmp_path, "acme/clips", options={"replicate": {"input": '{"steps": 4}'}}, seed=3
    )

    assert body == {"input": {"prompt": "a fox", "seed": 3, "steps": 4}}


@pytest.mark.parametrize("name", [f"acme/clips:{VERSION}", f"acme/clips/{VERSION}"])
async def test_a_version_goes_into_the_body(name: str, tmp_path: Path) -> None:
    url, body = await REPLICATE.send(tmp_path, name, seed=3)

    assert url == f"{HERE}/predictions"
    assert body == {"version": VERSION, "input": {"prompt": "a fox", "seed": 3}}


async def test_a_deployment_is_asked_by_its_own_path(tmp_path: Path) -> None:
    url, body = await REPLICATE.send(tmp_path, "deployments/acme/my-clips", seed=3)

    assert url == f"{HERE}/deployments/acme/my-clips/predictions"
    assert body == {"input": {"prompt": "a fox", "seed": 3}}


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        (
            "wan-video/wan-2.5-t2v",
            {"size": "1080x1920", "duration": 10.0, "negative_prompt": "blur"},
            {"size": "1080*1920", "duration": 10, "negative_prompt": "blur", "seed": 7},
        ),
        ("minimax/hailuo-2.3", {"resolution": "1080p"}, {"resolution": "1080p", "duration": 6}),
        ("minimax/hailuo-02-fast", {"inputs": (IMAGE,)}, {"first_frame_image": IMAGE.url}),
        (SEEDANCE, {"inputs": (IMAGE, LAST)}, {"image": IMAGE.url, "last_frame_image": LAST.url}),
        ("google/veo-3.1", {"audio": False}, {"generate_audio": False, "aspect_ratio": "16:9"}),
        ("genmoai/mochi-1", {}, {"prompt": "a fox", "seed": 7}),
    ],
)
async def test_each_family_gets_its_own_fields(
    model: str, fields: dict[str, Any], sent: dict[str, Any], tmp_path: Path
) -> None:
    fields = {**fields, **({"size": Size.parse(fields["size"])} if "size" in fields else {})}
    _, body = await REPLICATE.send(tmp_path, model, **fields)

    assert sent.items() <= body["input"].items()


async def test_hailuo_makes_ten_seconds_in_768p_only(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedRequestError, match="10 s in 768p only"):
        await REPLICATE.send(tmp_path, "minimax/hailuo-2.3", resolution="1080p", duration=10.0)


async def test_a_small_file_goes_along_and_a_large_one_is_uploaded_as_the_plan_says(
    tmp_path: Path,
) -> None:
    with ReplicateSimulator() as simulator:
        backend = REPLICATE.make(tmp_path, simulator.url)
        small, large = [await sent_image(backend, simulator, side) for side in (64, 320)]
        [upload] = simulator.calls("upload")

        assert small.startswith("data:image/png;base64,")
        assert large.startswith(f"{simulator.url}/v1/files/")
    assert upload.headers["authorization"] == f"Bearer {REPLICATE.key}"
    assert b'filename="first_frame.png"' in upload.body


async def sent_image(backend: HostedBackend, simulator: ReplicateSimulator, side: int) -> str:
    """Submit an image of noise, and return how it stands in the request."""
    noise = Image.frombytes("RGB", (side, side), Random(side).randbytes(side * side * 3))
    content = io.BytesIO()
    noise.save(content, "PNG")
    image = MediaInput(role=InputRole.FIRST_FRAME, data=content.getvalue())
    ref = await backend.submit(REPLICATE.plan(SEEDANCE, inputs=(image,)), key=f"job-{side}")
    fields = simulator.jobs[ref.operation_id].input["input"]
    assert isinstance(fields, dict)
    return str(fields["image"])


def test_the_plan_says_that_files_are_uploaded() -> None:
    image = MediaInput(role=InputRole.FIRST_FRAME, path="/pictures/fox.png")
    backend = REPLICATE.make(Path())
    request = VideoRequest(prompt="a fox", model=f"replicate/{SEEDANCE}", inputs=(image,))

    plan = negotiate(request, backend.capabilities(SEEDANCE), draw_seed=lambda: 7)

    said = next(each for each in plan.adjustments if each.used == "uploaded if it is large")
    assert "256 kB" in said.reason
    assert "24 hours" in said.reason


@pytest.mark.parametrize(
    "model", ["wan", "a/b/c", "a/../b", "/a", "a/b?c", "a/b:latest", "deployments/a/b/c"]
)
def test_an_id_has_an_owner_and_a_name(model: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="replicate has no model"):
        ReplicateBackend(BackendSettings(data_dir=tmp_path)).capabilities(model)


async def test_the_documented_conversation_is_understood(tmp_path: Path) -> None:
    talk = REPLICATE.talk(tmp_path, "submitted", "submitted", "processing", "succeeded")

    events = await REPLICATE.run(talk.backend, WAN)
    end = events[-1]

    assert [each.type for each in events] == [
        "job.progressed",
        "job.started",
        "job.progressed",
        "job.completed",
    ]
    assert events[2].type == "job.progressed"
    assert (events[2].phase, events[2].fraction) == ("processing", 0.4)
    assert end.type == "job.completed"
    assert end.artifacts[0].uri == "https://replicate.delivery/xezq/abc/output.mp4"
    assert end.artifacts[0].expires_at is not None
    assert (end.seed, end.timing.phases if end.timing else None) == (7, {"inference": 38.1})
    assert [str(each.url) for each in talk.asked[1:]] == [f"{HERE}/predictions/rrr4z55o"] * 3
    assert {each.headers["authorization"] for each in talk.asked} == {f"Bearer {REPLICATE.key}"}


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("failed", "generation_failed", "CUDA out of memory"),
        ("moderated", "content_rejected", "flagged as sensitive"),
    ],
)
async def test_a_failure_says_why(name: str, code: str, said: str, tmp_path: Path) -> None:
    end = await REPLICATE.talk(tmp_path, "submitted", name).end()

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message


async def test_a_prediction_that_somebody_stopped_is_cancelled(tmp_path: Path) -> None:
    assert (await REPLICATE.talk(tmp_path, "submitted", "canceled").end()).type == "job.cancelled"


async def test_an_aborted_prediction_is_cancelled_and_an_unknown_word_fails_nothing() -> None:
    backend = ReplicateBackend(BackendSettings(data_dir=Path()))

    assert backend.parse({"id": "a", "status": "aborted"}).state is State.CANCELLED
    assert backend.parse({"id": "a", "status": "booting"}).state is None


async def test_what_was_removed_after_an_hour_is_no_failure(tmp_path: Path) -> None:
    talk = REPLICATE.talk(tmp_path, "submitted", "removed")

    end = await talk.end()

    assert (end.type, len(talk.asked) > 3) == ("job.outcome_unknown", True)
    assert end.type == "job.outcome_unknown"
    assert "removed it" in end.error.message


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("invalid", InvalidRequestError, "resolution"),
        ("no_credit", BackendAuthenticationError, "credit"),
    ],
)
async def test_a_refused_submission_says_what_is_wrong(
    name: str, error: type[MediaAgentError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        await REPLICATE.talk(tmp_path, name).end()


@pytest.mark.parametrize(
    ("status", "error"), [(404, InvalidRequestError), (410, ModelRetiredError)]
)
async def test_a_model_that_is_not_there_is_named(
    status: int, error: type[MediaAgentError], tmp_path: Path
) -> None:
    with (
        ReplicateSimulator([Fault("submit", "status", status=status)]) as simulator,
        pytest.raises(error, match=r"wan-2\.2-t2v-fast"),
    ):
        await REPLICATE.run(REPLICATE.make(tmp_path, simulator.url), WAN)


@pytest.mark.parametrize("below", ["", "/v1"])
@pytest.mark.parametrize("outcome", ["completed", "listed"])
async def test_the_whole_way_of_a_video(outcome: str, below: str, tmp_path: Path) -> None:
    with ReplicateSimulator(outcome=outcome) as simulator:
        end = (await REPLICATE.run(REPLICATE.make(tmp_path, simulator.url + below), WAN))[-1]

    assert end.type == "job.completed"
    assert end.artifacts[0].uri == f"{simulator_address(end)}/files/replicate-00000000.mp4"
    assert simulator.accepted == 1


def simulator_address(end: BackendEvent) -> str:
    assert end.type == "job.completed"
    return str(end.artifacts[0].uri).partition("/files/")[0]


async def test_a_submission_whose_answer_is_lost_is_not_sent_again(tmp_path: Path) -> None:
    with ReplicateSimulator([Fault("submit", "close_after_accept")]) as simulator:
        with pytest.raises(SubmitUncertainError):
            await REPLICATE.make(tmp_path, simulator.url).submit(REPLICATE.plan(WAN), key="job-1")

        assert (simulator.accepted, len(simulator.calls("submit"))) == (1, 1)


async def test_work_can_be_stopped_and_what_is_over_is_left_alone(tmp_path: Path) -> None:
    with ReplicateSimulator(queued_polls=5) as simulator:
        backend = REPLICATE.make(tmp_path, simulator.url)
        ref = await backend.submit(REPLICATE.plan(WAN), key="job-1")
        await backend.cancel(ref)
        stopped = (await events_of(backend, ref))[-1]
        await backend.cancel_once(ref.model_copy(update={"operation_id": "unknown", "data": {}}))

    assert stopped.type == "job.cancelled"


def test_a_video_is_kept_for_an_hour() -> None:
    assert ReplicateBackend.keeps == timedelta(hours=1)
