"""Replicate's simulator answers as the documents do: same fields, same types, same status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.replicate.simulator import ReplicateSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-key"}
FIELDS = {"prompt": "a fox", "resolution": "480p", "seed": 7}


def submit(simulator: ReplicateSimulator, body: object = None, **more: Any) -> httpx.Response:
    url = f"{simulator.url}/v1/models/wan-video/wan-2.2-t2v-fast/predictions"
    sent = {"input": FIELDS} if body is None else body
    return httpx.post(url, json=sent, **({"headers": HEADERS} | more))


def polled(simulator: ReplicateSimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    while answers[-1].json()["completed_at"] is None:
        answers.append(httpx.get(answers[0].json()["urls"]["get"], headers=HEADERS))
    return answers


def test_every_answer_of_a_good_run_has_the_documented_shape() -> None:
    with ReplicateSimulator() as simulator:
        answers = polled(simulator)

    assert [answer.json()["status"] for answer in answers] == [
        "starting",
        "starting",
        "processing",
        "processing",
        "succeeded",
    ]
    assert REPLIES.has_shape(answers[0], "submitted")
    assert REPLIES.has_shape(answers[2], "processing")
    assert REPLIES.has_shape(answers[-1], "succeeded")


@pytest.mark.parametrize("outcome", ["failed", "moderated", "removed"])
def test_every_other_end_has_the_documented_shape(outcome: str) -> None:
    with ReplicateSimulator(outcome=outcome) as simulator:
        assert REPLIES.has_shape(polled(simulator)[-1], outcome)


def test_a_model_may_answer_with_a_list() -> None:
    with ReplicateSimulator(outcome="listed") as simulator:
        output = polled(simulator)[-1].json()["output"]

    assert output == [f"{output[0]}"]


def test_a_key_and_an_input_are_wanted_and_an_unknown_prediction_is_not_found() -> None:
    with ReplicateSimulator() as simulator:
        keyless = submit(simulator, headers={})
        empty = submit(simulator, [])
        unknown = httpx.get(f"{simulator.url}/v1/predictions/x", headers=HEADERS)

        assert (keyless.status_code, empty.status_code, unknown.status_code) == (401, 422, 404)
        assert simulator.accepted == 0


def test_a_prediction_is_stopped_once_and_a_finished_one_is_not() -> None:
    with ReplicateSimulator() as simulator:
        stopped = httpx.post(submit(simulator).json()["urls"]["cancel"], headers=HEADERS)
        done = polled(simulator)[-1].json()
        late = httpx.post(done["urls"]["cancel"], headers=HEADERS)

    assert stopped.json()["status"] == "canceled"
    assert late.json()["status"] == "succeeded"


def test_versions_deployments_and_files_have_their_own_calls() -> None:
    with ReplicateSimulator() as simulator:

        def post(path: str, **body: Any) -> httpx.Response:
            return httpx.post(f"{simulator.url}/v1/{path}", headers=HEADERS, **body)

        version = post("predictions", json={"version": "5c7d", "input": {"prompt": "a fox"}})
        unnamed = post("predictions", json={"input": {"prompt": "a fox"}})
        deployed = post("deployments/acme/clips/predictions", json={"input": {"prompt": "a fox"}})
        file = post("files", files={"content": ("fox.png", b"fox", "image/png")})
        empty = post("files", files={"other": b"fox"})

        codes = [each.status_code for each in (version, unnamed, deployed, file, empty)]
        assert codes == [201, 422, 201, 201, 400]
        assert file.json()["urls"]["get"].startswith(f"{simulator.url}/v1/files/")
