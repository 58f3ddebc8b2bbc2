"""xAI's simulator answers as the documents do: same fields, same types, same status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.xai.simulator import XaiSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-key"}
REQUEST = {"model": "grok-imagine-video-1.5", "prompt": "a fox runs", "duration": 6}


def submit(simulator: XaiSimulator, **more: Any) -> httpx.Response:
    url = f"{simulator.url}/v1/videos/generations"
    return httpx.post(url, **({"headers": HEADERS, "json": REQUEST} | more))


def polled(simulator: XaiSimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    url = f"{simulator.url}/v1/videos/{answers[0].json()['request_id']}"
    while len(answers) == 1 or answers[-1].status_code == 202:
        answers.append(httpx.get(url, headers=HEADERS))
    return answers


def test_every_answer_of_a_good_run_has_the_documented_shape() -> None:
    with XaiSimulator() as simulator:
        answers = polled(simulator)

    assert REPLIES.has_shape(answers[0], "submitted")
    assert REPLIES.has_shape(answers[1], "waiting")
    assert REPLIES.has_shape(answers[2], "pending")
    assert REPLIES.has_shape(answers[-1], "done")
    assert [each.json()["progress"] for each in answers[2:]] == [33, 66, 100]


@pytest.mark.parametrize("outcome", ["unsaid", "failed", "moderated", "expired"])
def test_every_other_end_has_the_documented_shape(outcome: str) -> None:
    with XaiSimulator(outcome=outcome) as simulator:
        assert REPLIES.has_shape(polled(simulator)[-1], outcome)


def test_a_key_is_wanted_and_an_unknown_video_is_not_found() -> None:
    with XaiSimulator() as simulator:
        keyless = submit(simulator, headers={})
        unknown = httpx.get(f"{simulator.url}/v1/videos/x", headers=HEADERS)

        assert (keyless.status_code, unknown.status_code) == (401, 404)
        assert simulator.accepted == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", None),
        ("prompt", None),
        ("duration", 16),
        ("duration", "6"),
        ("aspect_ratio", "21:9"),
        ("resolution", "4k"),
        ("image", "https://images.example/fox.png"),
        ("reference_images", [{}] * 8),
        ("video", {"url": "https://videos.example/fox.mp4"}),
    ],
)
def test_a_senseless_field_is_refused_by_name(field: str, value: object) -> None:
    with XaiSimulator() as simulator:
        refused = submit(simulator, json=REQUEST | {field: value})

        assert refused.status_code == 400
        assert field in refused.json()["error"]
        assert simulator.accepted == 0
