"""The simulator of Runway answers as documented: same fields, types and status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.runway.simulator import RunwaySimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-key", "X-Runway-Version": "2024-11-06"}
REQUEST = {"model": "gen4.5", "promptText": "a fox runs", "ratio": "1280:720", "duration": 5}


def submit(simulator: RunwaySimulator, **more: Any) -> httpx.Response:
    url = f"{simulator.url}/v1/text_to_video"
    return httpx.post(url, **({"headers": HEADERS, "json": REQUEST} | more))


def polled(simulator: RunwaySimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    url = f"{simulator.url}/v1/tasks/{answers[0].json()['id']}"
    while len(answers) < 5:
        answers.append(httpx.get(url, headers=HEADERS))
    return answers


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [("completed", "succeeded"), ("failed", "failed"), ("moderated", "moderated")],
)
def test_every_answer_has_the_documented_shape(outcome: str, reply: str) -> None:
    with RunwaySimulator(outcome=outcome) as simulator:
        answers = polled(simulator)

    assert REPLIES.has_shape(answers[0], "submitted")
    assert REPLIES.has_shape(answers[2], "running")
    assert REPLIES.has_shape(answers[-1], reply)


def test_a_key_is_wanted_and_unknown_work_is_not_found() -> None:
    with RunwaySimulator() as simulator:
        keyless = submit(simulator, headers={})
        unknown = httpx.get(f"{simulator.url}/v1/tasks/x", headers=HEADERS)

        assert (keyless.status_code, unknown.status_code) == (401, 404)
        assert simulator.accepted == 0


@pytest.mark.parametrize(
    "body",
    [
        {**REQUEST, "duration": 16},
        {**REQUEST, "duration": "5"},
        {**REQUEST, "promptText": ""},
        {**REQUEST, "ratio": "wide"},
    ],
)
def test_a_senseless_submission_is_refused(body: Any) -> None:
    with RunwaySimulator() as simulator:
        assert submit(simulator, json=body).status_code == 400
        assert simulator.accepted == 0
