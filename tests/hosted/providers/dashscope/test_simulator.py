"""The simulator of DashScope answers as documented: same fields, types and status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.dashscope.simulator import DashscopeSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-key", "X-DashScope-Async": "enable"}
PATH = "/api/v1/services/aigc/video-generation/video-synthesis"
PARAMETERS = {"resolution": "720P", "ratio": "16:9", "duration": 5, "seed": 42}
REQUEST: dict[str, Any] = {
    "model": "wan2.7-t2v",
    "input": {"prompt": "a fox runs through snow"},
    "parameters": PARAMETERS,
}


def submit(simulator: DashscopeSimulator, **more: Any) -> httpx.Response:
    return httpx.post(f"{simulator.url}{PATH}", **({"headers": HEADERS, "json": REQUEST} | more))


def polled(simulator: DashscopeSimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    name = answers[0].json()["output"]["task_id"]
    while len(answers) < 5:
        answers.append(httpx.get(f"{simulator.url}/api/v1/tasks/{name}", headers=HEADERS))
    return answers


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [
        ("completed", "succeeded"),
        ("failed", "failed"),
        ("moderated", "moderated"),
        ("lost", "lost"),
    ],
)
def test_every_answer_has_the_documented_shape(outcome: str, reply: str) -> None:
    with DashscopeSimulator(outcome=outcome) as simulator:
        answers = polled(simulator)

    assert REPLIES.has_shape(answers[0], "submitted")
    assert REPLIES.has_shape(answers[1], "pending")
    assert outcome == "lost" or REPLIES.has_shape(answers[2], "running")
    assert REPLIES.has_shape(answers[-1], reply)
    assert answers[-1].json()["output"].get("code") == REPLIES.read(reply)["body"]["output"].get(
        "code"
    )


def test_a_key_and_the_header_are_wanted_and_unknown_work_is_unknown() -> None:
    with DashscopeSimulator() as simulator:
        keyless = submit(simulator, headers={"X-DashScope-Async": "enable"})
        synchronous = submit(simulator, headers={"Authorization": "Bearer some-key"})
        unknown = httpx.get(f"{simulator.url}/api/v1/tasks/x", headers=HEADERS)

        assert REPLIES.has_shape(keyless, "invalid_key")
        assert synchronous.status_code == 403
        assert unknown.json()["output"] == {"task_id": "x", "task_status": "UNKNOWN"}
        assert simulator.accepted == 0


def test_only_a_task_that_waits_is_cancelled() -> None:
    with DashscopeSimulator(queued_polls=1) as simulator:
        names = [submit(simulator).json()["output"]["task_id"] for _ in range(2)]
        for _ in range(2):
            httpx.get(f"{simulator.url}/tasks/{names[0]}", headers=HEADERS)
        cancels = [
            httpx.post(f"{simulator.url}/tasks/{name}/cancel", headers=HEADERS) for name in names
        ]
        after = httpx.get(f"{simulator.url}/tasks/{names[1]}", headers=HEADERS)

    assert [each.status_code for each in cancels] == [400, 200]
    assert REPLIES.has_shape(after, "canceled")


@pytest.mark.parametrize(
    "body",
    [
        {**REQUEST, "input": {}},
        {**REQUEST, "parameters": {**PARAMETERS, "duration": "5"}},
        {**REQUEST, "parameters": {**PARAMETERS, "duration": 16}},
        {**REQUEST, "parameters": {**PARAMETERS, "resolution": "720p"}},
        {**REQUEST, "parameters": {"size": "1280x720"}},
    ],
)
def test_a_senseless_submission_is_refused(body: Any) -> None:
    with DashscopeSimulator() as simulator:
        assert REPLIES.has_shape(submit(simulator, json=body), "invalid")
        assert simulator.accepted == 0
