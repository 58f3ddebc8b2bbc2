"""The simulator of the Gemini API answers as documented: same fields, types and status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.google.simulator import GoogleSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"x-goog-api-key": "some-key"}
FORM = {"type": "video", "duration": "6s", "delivery": "uri"}
REQUEST = {
    "model": "gemini-omni-1.2-flash",
    "input": "a fox runs",
    "background": True,
    "response_format": FORM,
}


def submit(simulator: GoogleSimulator, **more: Any) -> httpx.Response:
    url = f"{simulator.url}/v1beta/interactions"
    return httpx.post(url, **({"headers": HEADERS, "json": REQUEST} | more))


def polled(simulator: GoogleSimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    url = f"{simulator.url}/v1beta/interactions/{answers[0].json()['id']}"
    while len(answers) < 5:
        answers.append(httpx.get(url, headers=HEADERS))
    return answers


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [
        ("completed", "completed"),
        ("failed", "failed"),
        ("blocked", "blocked"),
        ("incomplete", "incomplete"),
    ],
)
def test_every_answer_has_the_documented_shape(outcome: str, reply: str) -> None:
    with GoogleSimulator(outcome=outcome) as simulator:
        answers = polled(simulator)

    assert REPLIES.has_shape(answers[0], "submitted")
    assert REPLIES.has_shape(answers[2], "in_progress")
    assert REPLIES.has_shape(answers[-1], reply)


def test_a_key_is_wanted_and_unknown_work_is_not_found() -> None:
    with GoogleSimulator() as simulator:
        keyless = submit(simulator, headers={})
        unknown = httpx.get(f"{simulator.url}/v1beta/interactions/x", headers=HEADERS)

        assert (keyless.status_code, unknown.status_code) == (403, 404)
        assert simulator.accepted == 0


@pytest.mark.parametrize(
    "body",
    [
        {**REQUEST, "background": False},
        {**REQUEST, "input": ""},
        {**REQUEST, "response_format": {**FORM, "duration": 6}},
        {**REQUEST, "response_format": {**FORM, "resolution": "8k"}},
    ],
)
def test_a_senseless_submission_is_refused(body: Any) -> None:
    with GoogleSimulator() as simulator:
        assert submit(simulator, json=body).status_code == 400
        assert simulator.accepted == 0
