"""The simulator of Vertex AI answers as documented: same fields, types and status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.vertex.simulator import VertexSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-token"}
PLACE = "/v1/projects/p/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
ASKED = {"sampleCount": 1, "durationSeconds": 8, "aspectRatio": "16:9", "resolution": "720p"}
REQUEST = {"instances": [{"prompt": "a fox runs"}], "parameters": ASKED}


def submit(simulator: VertexSimulator, **more: Any) -> httpx.Response:
    url = f"{simulator.url}{PLACE}:predictLongRunning"
    return httpx.post(url, **({"headers": HEADERS, "json": REQUEST} | more))


def polled(simulator: VertexSimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    body = {"operationName": answers[0].json()["name"]}
    while len(answers) < 5:
        url = f"{simulator.url}{PLACE}:fetchPredictOperation"
        answers.append(httpx.post(url, headers=HEADERS, json=body))
    return answers


@pytest.mark.parametrize(
    ("outcome", "reply"), [("bucket", "bucket"), ("failed", "failed"), ("filtered", "filtered")]
)
def test_every_answer_has_the_documented_shape(outcome: str, reply: str) -> None:
    with VertexSimulator(outcome=outcome) as simulator:
        answers = polled(simulator)

    assert REPLIES.has_shape(answers[0], "submitted")
    assert REPLIES.has_shape(answers[2], "running")
    assert REPLIES.has_shape(answers[-1], reply)


def test_a_key_is_wanted_and_unknown_work_is_not_found() -> None:
    with VertexSimulator() as simulator:
        keyless = submit(simulator, headers={})
        unknown = httpx.post(
            f"{simulator.url}{PLACE}:fetchPredictOperation",
            headers=HEADERS,
            json={"operationName": "x"},
        )

        assert (keyless.status_code, unknown.status_code) == (401, 404)
        assert simulator.accepted == 0


@pytest.mark.parametrize(
    "body",
    [
        {**REQUEST, "instances": []},
        {**REQUEST, "parameters": {**ASKED, "durationSeconds": 7}},
        {**REQUEST, "parameters": {**ASKED, "resolution": "8k"}},
    ],
)
def test_a_senseless_submission_is_refused(body: Any) -> None:
    with VertexSimulator() as simulator:
        assert submit(simulator, json=body).status_code == 400
        assert simulator.accepted == 0
