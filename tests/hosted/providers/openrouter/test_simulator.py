"""OpenRouter's simulator answers as the documents do: same fields, same types, same statuses."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.openrouter.simulator import OpenRouterSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-key"}
REQUEST = {"model": "bytedance/seedance-2.0", "prompt": "a fox", "duration": 4}


def submit(simulator: OpenRouterSimulator, **more: Any) -> httpx.Response:
    url = f"{simulator.url}/api/v1/videos"
    return httpx.post(url, **({"headers": HEADERS, "json": REQUEST} | more))


def polled(simulator: OpenRouterSimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    url = answers[0].json()["polling_url"]
    while answers[-1].json().get("status") in ("pending", "in_progress"):
        answers.append(httpx.get(url, headers=HEADERS))
    return answers


def test_every_answer_of_a_good_run_has_the_documented_shape() -> None:
    with OpenRouterSimulator() as simulator:
        answers = polled(simulator)

    names = ("submitted", "pending", "in_progress", "in_progress", "completed")
    assert all(REPLIES.has_shape(each, name) for each, name in zip(answers, names, strict=True))


@pytest.mark.parametrize(
    ("outcome", "name"),
    [(each, each) for each in ("failed", "blocked", "cancelled", "expired")]
    + [("own_key", "completed")],
)
def test_every_other_end_has_the_documented_shape(outcome: str, name: str) -> None:
    with OpenRouterSimulator(outcome=outcome, queued_polls=0, running_polls=0) as simulator:
        assert REPLIES.has_shape(polled(simulator)[-1], name)


@pytest.mark.parametrize(("outcome", "name"), [("flagged", "flagged"), ("no_credit", "no_credit")])
def test_a_no_to_a_submission_has_the_documented_shape(outcome: str, name: str) -> None:
    with OpenRouterSimulator(outcome=outcome) as simulator:
        assert REPLIES.has_shape(submit(simulator), name)
        assert simulator.accepted == 0


def test_the_list_of_models_has_the_documented_fields() -> None:
    documented = REPLIES.read("models")["body"]["data"][0]
    with OpenRouterSimulator() as simulator:
        listed = httpx.get(f"{simulator.url}/api/v1/videos/models", headers=HEADERS).json()

    assert set(listed["data"][0]) == set(documented)


def test_a_key_is_wanted_and_an_unknown_job_is_not_found() -> None:
    with OpenRouterSimulator() as simulator:
        keyless = submit(simulator, headers={})
        unknown = httpx.get(f"{simulator.url}/api/v1/videos/x", headers=HEADERS)

    assert (keyless.status_code, unknown.status_code) == (401, 404)


@pytest.mark.parametrize(("field", "value"), [("model", None), ("prompt", None), ("duration", "5")])
def test_a_senseless_field_is_refused_by_name(field: str, value: object) -> None:
    with OpenRouterSimulator() as simulator:
        refused = submit(simulator, json=REQUEST | {field: value})

    assert refused.status_code == 400
    assert field in refused.json()["error"]["message"]
