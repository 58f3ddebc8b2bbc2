"""Vertex AI: what is built, what answers mean, and the whole way against its simulator."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendRateLimitError,
    ConfigurationError,
    ContentRejectedError,
    ModelRetiredError,
    UnsupportedRequestError,
)
from media_agent.routing.catalogue import Catalogue
from media_agent.testing import events_of
from media_agent.testing.simulator.videos import Video, make_video
from media_agent_hosted.providers.vertex import SPEC
from media_agent_hosted.providers.vertex.backend import VertexBackend
from media_agent_hosted.providers.vertex.simulator import VertexSimulator
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoMode
from tests.hosted.images import make_png
from tests.hosted.provider_kit import Provider, no_sleep

pytestmark = pytest.mark.anyio

VERTEX = Provider(SPEC, __file__, options={"project": "p"})
MODEL = "veo-3.1-generate-001"
HERE = (
    "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
    f"/publishers/google/models/{MODEL}"
)
PNG = make_png(320, 180)
BYTES = {"bytesBase64Encoded": base64.b64encode(PNG).decode(), "mimeType": "image/png"}
VIDEO = make_video(Video(9, 8.0, 64, 48, 90))


def image(role: InputRole) -> MediaInput:
    return MediaInput(role=role, data=PNG)


async def test_the_documented_request_is_built(tmp_path: Path) -> None:
    url, body = await VERTEX.send(
        tmp_path, duration=8.0, seed=7, audio=True, negative_prompt="blur"
    )

    assert url == f"{HERE}:predictLongRunning"
    assert body == {
        "instances": [{"prompt": "a fox runs"}],
        "parameters": {
            "sampleCount": 1,
            "durationSeconds": 8,
            "aspectRatio": "16:9",
            "resolution": "720p",
            "seed": 7,
            "generateAudio": True,
            "negativePrompt": "blur",
        },
    }


async def test_each_input_goes_to_its_place_as_bytes(tmp_path: Path) -> None:
    first, last = image(InputRole.FIRST_FRAME), image(InputRole.LAST_FRAME)
    _, both = await VERTEX.send(tmp_path, inputs=(first, last))
    _, named = await VERTEX.send(tmp_path, inputs=(image(InputRole.SUBJECT),) * 3)
    video = MediaInput(role=InputRole.SOURCE_VIDEO, data=VIDEO)
    _, continued = await VERTEX.send(tmp_path, inputs=(video,))
    _, changed = await VERTEX.send(
        tmp_path,
        inputs=(video, image(InputRole.MASK)),
        options={"vertex": {"mask_mode": "REMOVE"}},
    )

    assert both["instances"][0]["image"] == both["instances"][0]["lastFrame"] == BYTES
    asset = {"image": BYTES, "referenceType": "ASSET"}
    assert named["instances"][0]["referenceImages"] == [asset] * 3
    assert continued["instances"][0]["video"]["mimeType"] == "video/mp4"
    assert continued["parameters"]["durationSeconds"] == 7
    assert changed["instances"][0]["mask"] == {**BYTES, "maskMode": "REMOVE"}
    assert "mask_mode" not in changed["parameters"]


@pytest.mark.parametrize(
    "fields",
    [
        {"inputs": (image(InputRole.SUBJECT),) * 4},
        {"inputs": (image(InputRole.FIRST_FRAME), image(InputRole.SUBJECT))},
        {"inputs": (MediaInput(role=InputRole.FIRST_FRAME, url="https://a.example/a.png"),)},
        {"duration": 60.0},
    ],
)
def test_what_veo_cannot_do_is_said_before_anything_is_sent(fields: Any) -> None:
    with pytest.raises(UnsupportedRequestError):
        VERTEX.plan(**fields)


async def test_subjects_and_a_style_are_not_sent_together(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedRequestError, match="not both"):
        await VERTEX.send(tmp_path, inputs=(image(InputRole.SUBJECT), image(InputRole.STYLE)))


def test_a_seed_stays_within_32_bits() -> None:
    assert VERTEX.plan(seed=2**32 + 5).seed == 5


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("failed", "generation_failed", "Internal error"),
        ("filtered", "content_rejected", "Support codes: 15236754"),
    ],
)
async def test_a_failure_says_why(name: str, code: str, said: str, tmp_path: Path) -> None:
    end = await VERTEX.talk(tmp_path, "submitted", "running", name).end()

    assert end.type == "job.failed"
    assert end.error.code == code
    assert said in end.error.message


async def test_a_video_in_a_bucket_is_named(tmp_path: Path) -> None:
    talk = VERTEX.talk(tmp_path, "submitted", "running", "bucket")

    end = await talk.end()

    assert end.type == "job.completed"
    assert end.artifacts[0].uri == "gs://bucket/out/1/sample_0.mp4"
    assert str(talk.asked[1].url) == f"{HERE}:fetchPredictOperation"
    assert json.loads(talk.asked[1].content)["operationName"].endswith("/operations/5a1c")


@pytest.mark.parametrize(
    ("reply", "error"),
    [("refused", ContentRejectedError), ("gone", ModelRetiredError)],
)
async def test_a_refused_submission_says_what_is_wrong(
    reply: str, error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error):
        await VERTEX.talk(tmp_path, reply).end()


async def test_a_limit_says_how_long_to_wait(tmp_path: Path) -> None:
    with pytest.raises(BackendRateLimitError) as caught:
        await VERTEX.talk(tmp_path, "limited").end()

    assert caught.value.retry_after == 12


async def test_work_of_another_region_is_not_asked_for_here(tmp_path: Path) -> None:
    name = f"projects/p/locations/europe-west4/publishers/google/models/{MODEL}/operations/1"
    ref = OperationRef(backend="vertex", model=MODEL, operation_id=name, data={})

    with pytest.raises(ConfigurationError, match="europe-west4"):
        VERTEX.make(tmp_path).poll(ref)


@pytest.mark.parametrize(("outcome", "n"), [("completed", 1), ("completed", 2), ("some", 1)])
async def test_the_whole_way_of_a_video(outcome: str, n: int, tmp_path: Path) -> None:
    with VertexSimulator(outcome=outcome) as simulator:
        end = (await VERTEX.run(VERTEX.make(tmp_path, simulator.url), n=n, duration=4.0))[-1]

    assert end.type == "job.completed"
    assert len(end.artifacts) == n
    assert any("withholds" in each for each in end.warnings) == (outcome == "some")


async def test_a_token_is_fetched_again_when_it_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "print_token.py"
    program.write_text(
        f"import pathlib\npath = pathlib.Path({str(tmp_path / 'runs')!r})\n"
        "runs = path.read_text() if path.exists() else ''\n"
        "path.write_text(runs + 'x')\nprint(f'token-{len(runs)}')\n"
    )
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        if asked[-1] == "Bearer token-0":
            return httpx.Response(401, json={"error": {"code": 401, "message": "expired"}})
        return httpx.Response(200, json={"name": "projects/p/operations/1", "done": False})

    command = [sys.executable, str(program)]
    settings = BackendSettings(tmp_path, options={"project": "p", "token_command": command})
    backend = VertexBackend(settings, transport=httpx.MockTransport(answer), sleep=no_sleep)
    assert backend.capabilities().missing is None

    await backend.submit(VERTEX.plan(), key="job-1")

    assert asked == ["Bearer token-0", "Bearer token-1"]


def test_what_is_retired_says_since_when_and_what_instead() -> None:
    facts = Catalogue.load({"vertex": SPEC}).facts("vertex", "veo-3.0-generate-001")

    assert (facts.status, str(facts.status_since)) == ("retired", "2026-06-30")
    assert facts.successor == f"vertex/{MODEL}"


def test_without_a_project_it_says_so(tmp_path: Path) -> None:
    backend = VertexBackend(BackendSettings(tmp_path))

    assert "project" in str(backend.capabilities().missing)


async def test_the_mode_is_the_one_that_the_inputs_say() -> None:
    assert VERTEX.plan(inputs=(image(InputRole.STYLE),)).mode is VideoMode.REFERENCE_TO_VIDEO


async def test_events_of_a_job_begin_with_its_start(tmp_path: Path) -> None:
    with VertexSimulator() as simulator:
        backend = VERTEX.make(tmp_path, simulator.url)
        ref = await backend.submit(VERTEX.plan(), key="job-1")
        events = await events_of(backend, ref)

    assert events[0].type == "job.started"
