"""The simulator of MiniMax answers as documented: same fields, types and status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.minimax.simulator import MiniMaxSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-key"}
TEXT: dict[str, Any] = {"type": "text", "text": "a fox runs"}
REQUEST: dict[str, Any] = {
    "model": "MiniMax-H3",
    "content": [TEXT],
    "resolution": "768P",
    "duration": 6,
    "ratio": "16:9",
}
OLDER: dict[str, Any] = {"model": "MiniMax-Hailuo-2.3", "prompt": "a fox runs", "duration": 6}


def frame(role: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}, "role": role}


def submit(simulator: MiniMaxSimulator, path: str = "/v2/video_generation", **more: Any) -> Any:
    body = OLDER if path.startswith("/v1") else REQUEST
    return httpx.post(f"{simulator.url}{path}", **({"headers": HEADERS, "json": body} | more))


def polled(simulator: MiniMaxSimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    url = f"{simulator.url}/v2/query/video_generation/{answers[0].json()['task_id']}"
    while len(answers) < 5:
        answers.append(httpx.get(url, headers=HEADERS))
    return answers


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [
        ("completed", "succeeded"),
        ("failed", "failed"),
        ("moderated", "moderated"),
        ("expired", "expired"),
    ],
)
def test_every_answer_has_the_documented_shape(outcome: str, reply: str) -> None:
    with MiniMaxSimulator(outcome=outcome) as simulator:
        answers = polled(simulator)

    shown = ("submitted", "queued", "running", "running", reply)
    assert all(map(REPLIES.has_shape, answers, shown))


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [("completed", "older_success"), ("failed", "older_failed"), ("moderated", "older_withheld")],
)
def test_every_answer_of_the_older_api_has_the_documented_shape(outcome: str, reply: str) -> None:
    with MiniMaxSimulator(outcome=outcome) as simulator:
        submitted = submit(simulator, "/v1/video_generation")
        query = {"task_id": submitted.json()["task_id"]}
        url = f"{simulator.url}/v1/query/video_generation"
        polls = [httpx.get(url, params=query, headers=HEADERS) for _ in range(4)]
        named = {"file_id": polls[-1].json()["file_id"]}
        file = httpx.get(f"{simulator.url}/v1/files/retrieve", params=named, headers=HEADERS)

    assert REPLIES.has_shape(submitted, "older_submitted")
    assert REPLIES.has_shape(polls[1], "older_processing")
    assert REPLIES.has_shape(polls[-1], reply)
    assert REPLIES.has_shape(file, "older_file") == (outcome == "completed")


@pytest.mark.parametrize("outcome", ["rejected", "no_credit", "limited"])
def test_a_refusal_has_its_code_in_either_version(outcome: str) -> None:
    with MiniMaxSimulator(outcome=outcome) as simulator:
        newer, older = submit(simulator), submit(simulator, "/v1/video_generation")

        assert REPLIES.has_shape(newer, outcome)
        assert newer.json()["error"]["message"] == REPLIES.read(outcome)["body"]["error"]["message"]
        assert REPLIES.has_shape(older, "older_rejected")
        assert str(older.json()["base_resp"]["status_code"]) in newer.json()["error"]["message"]
        assert simulator.accepted == 0


def test_a_task_is_cancelled_while_it_waits_deleted_when_over_and_else_neither() -> None:
    with MiniMaxSimulator() as simulator:
        waiting = submit(simulator).json()["task_id"]
        running, over = polled(simulator)[0].json()["task_id"], submit(simulator).json()["task_id"]
        simulator.jobs[running].polls, simulator.jobs[over].polls = 2, 9
        url = f"{simulator.url}/v2/video_generation"
        answers = [
            httpx.delete(f"{url}/{name}", headers=HEADERS) for name in (waiting, running, over)
        ]
        states = f"{simulator.url}/v2/query/video_generation/{waiting}"
        cancelled = httpx.get(states, headers=HEADERS)

        assert [each.status_code for each in answers] == [200, 400, 200]
        assert [answers[n].json()["status"] for n in (0, 2)] == ["cancelled", "deleted"]
        assert REPLIES.has_shape(answers[0], "deleted")
        assert REPLIES.has_shape(cancelled, "cancelled")
        assert over not in simulator.jobs


def test_tasks_are_listed_newest_first_page_by_page() -> None:
    with MiniMaxSimulator() as simulator:
        names = [submit(simulator).json()["task_id"] for _ in range(3)]
        url = f"{simulator.url}/v2/query/video_generation"
        pages = [
            httpx.get(url, params={"page_num": number, "page_size": 2}, headers=HEADERS)
            for number in (1, 2)
        ]

    listed = [[each["id"] for each in page.json()["items"]] for page in pages]
    assert listed == [[names[2], names[1]], [names[0]]]
    assert REPLIES.has_shape(pages[0], "listed")


def test_a_key_is_wanted_and_unknown_tasks_are_not_found() -> None:
    with MiniMaxSimulator() as simulator:
        url = f"{simulator.url}/v2/query/video_generation/x"
        keyless, unknown = submit(simulator, headers={}), httpx.get(url, headers=HEADERS)

        assert REPLIES.has_shape(keyless, "wrong_key")
        assert REPLIES.has_shape(unknown, "unknown")
        assert simulator.accepted == 0


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        ("/v2/video_generation", {"model": None}, "model"),
        ("/v2/video_generation", {"content": []}, "non-empty text"),
        ("/v2/video_generation", {"duration": "6"}, "duration"),
        ("/v2/video_generation", {"duration": 16}, "duration"),
        ("/v2/video_generation", {"resolution": "768p"}, "resolution"),
        ("/v2/video_generation", {"ratio": "2:1"}, "ratio"),
        ("/v2/video_generation", {"content": [TEXT, frame("last_frame")]}, "no first_frame"),
        ("/v2/video_generation", {"content": [TEXT, frame("subject")]}, "unknown role"),
        (
            "/v2/video_generation",
            {"content": [TEXT, frame("first_frame"), frame("reference_image")]},
            "mixes",
        ),
        (
            "/v2/video_generation",
            {"content": [TEXT, *[frame("reference_image")] * 10]},
            "too many",
        ),
        ("/v2/video_regeneration", {"source_task_id": "t_1"}, "either"),
        ("/v2/video_regeneration", {"resolution": "768P"}, "2K"),
        ("/v1/video_generation", {"prompt": "a" * 2001}, "2000"),
        ("/v1/video_generation", {"duration": 7}, "6 or 10"),
        ("/v1/video_generation", {"duration": 10, "resolution": "1080P"}, "6 s only"),
        ("/v1/video_generation", {"model": "I2V-01"}, "first_frame_image"),
    ],
)
def test_a_senseless_field_is_refused_by_name(path: str, change: Any, said: str) -> None:
    body = OLDER if path.startswith("/v1") else REQUEST
    with MiniMaxSimulator() as simulator:
        refused = submit(simulator, path, json=body | change)

        assert said in refused.text
        assert refused.status_code == (200 if path.startswith("/v1") else 400)
        assert simulator.accepted == 0
