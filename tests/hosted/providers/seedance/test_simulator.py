"""The simulator of Ark answers as documented: same fields, types and status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.seedance.simulator import SeedanceSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-key"}
TASKS = "/api/v3/contents/generations/tasks"
REQUEST: dict[str, Any] = {
    "model": "dreamina-seedance-2-0-260128",
    "content": [{"type": "text", "text": "A fox runs through snow"}],
    "resolution": "720p",
    "ratio": "16:9",
    "duration": 5,
    "seed": 7,
}


def submit(simulator: SeedanceSimulator, **more: Any) -> httpx.Response:
    return httpx.post(f"{simulator.url}{TASKS}", **({"headers": HEADERS, "json": REQUEST} | more))


def polled(simulator: SeedanceSimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    url = f"{simulator.url}{TASKS}/{answers[0].json()['id']}"
    while len(answers) < 5:
        answers.append(httpx.get(url, headers=HEADERS))
    return answers


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [
        ("completed", "succeeded"),
        ("cleared", "cleared"),
        ("failed", "failed"),
        ("moderated", "moderated"),
        ("expired", "expired"),
    ],
)
def test_every_answer_has_the_documented_shape(outcome: str, reply: str) -> None:
    with SeedanceSimulator(outcome=outcome) as simulator:
        answers = polled(simulator)

    assert REPLIES.has_shape(answers[0], "submitted")
    assert REPLIES.has_shape(answers[1], "queued")
    assert REPLIES.has_shape(answers[2], "running")
    assert REPLIES.has_shape(answers[-1], reply)
    assert answers[-1].json()["status"] == REPLIES.read(reply)["body"]["status"]


def test_a_person_in_an_image_is_refused_at_once() -> None:
    with SeedanceSimulator(outcome="rejected") as simulator:
        assert REPLIES.has_shape(submit(simulator), "person")
        assert simulator.accepted == 0


def test_a_key_is_wanted_and_unknown_work_is_not_found() -> None:
    with SeedanceSimulator() as simulator:
        keyless = submit(simulator, headers={})
        unknown = httpx.get(f"{simulator.url}{TASKS}/x", headers=HEADERS)

        assert (keyless.status_code, unknown.status_code) == (401, 404)
        assert simulator.accepted == 0


def test_the_list_holds_the_tasks_of_a_model() -> None:
    with SeedanceSimulator() as simulator:
        made = submit(simulator).json()["id"]
        listed = [
            httpx.get(f"{simulator.url}{TASKS}", headers=HEADERS, params={"filter.model": model})
            for model in (REQUEST["model"], "another")
        ]

    assert [len(each.json()["items"]) for each in listed] == [1, 0]
    assert listed[0].json()["items"][0]["id"] == made


def test_only_a_task_that_waits_is_cancelled_and_one_that_is_over_is_deleted() -> None:
    with SeedanceSimulator() as simulator:
        urls = [f"{simulator.url}{TASKS}/{submit(simulator).json()['id']}" for _ in range(3)]
        for url, polls in zip(urls, (0, 2, 4), strict=True):
            for _ in range(polls):
                httpx.get(url, headers=HEADERS)
        cancels = [httpx.delete(url, headers=HEADERS) for url in urls]
        after = [httpx.get(url, headers=HEADERS) for url in urls]

    assert [each.status_code for each in cancels] == [200, 409, 200]
    assert REPLIES.has_shape(after[0], "cancelled")
    assert [each.status_code for each in after] == [200, 200, 404]


@pytest.mark.parametrize(
    "body",
    [
        {**REQUEST, "content": []},
        {**REQUEST, "content": [{"type": "text", "text": "a fox --ratio 1:1"}]},
        {**REQUEST, "duration": "5"},
        {**REQUEST, "duration": 31},
        {**REQUEST, "resolution": "720P"},
        {**REQUEST, "ratio": "2:1"},
    ],
)
def test_a_senseless_submission_is_refused(body: Any) -> None:
    with SeedanceSimulator() as simulator:
        assert REPLIES.has_shape(submit(simulator, json=body), "invalid")
        assert simulator.accepted == 0
