"""Kling's simulator answers as the documents do: same fields, same types, same status codes."""

from typing import Any

import httpx
import pytest

from media_agent_hosted.providers.kling.simulator import KlingSimulator
from tests.hosted.provider_kit import Replies

REPLIES = Replies(__file__)
HEADERS = {"Authorization": "Bearer some-key"}
REQUEST = {
    "model_name": "kling-v2-6",
    "prompt": "a fox runs",
    "duration": "5",
    "mode": "std",
    "external_task_id": "job-1",
}


def submit(simulator: KlingSimulator, kind: str = "text2video", **more: Any) -> httpx.Response:
    url = f"{simulator.url}/v1/videos/{kind}"
    return httpx.post(url, **({"headers": HEADERS, "json": REQUEST} | more))


def polled(simulator: KlingSimulator) -> list[httpx.Response]:
    """Submit, poll until it is over, and return all answers."""
    answers = [submit(simulator)]
    url = f"{simulator.url}/v1/videos/text2video/{answers[0].json()['data']['task_id']}"
    while answers[-1].json()["data"]["task_status"] in ("submitted", "processing"):
        answers.append(httpx.get(url, headers=HEADERS))
    return answers


def without_info(response: httpx.Response) -> httpx.Response:
    """Return an answer without what the documented ends leave out."""
    body = response.json()
    for name in ("task_info", "task_status_msg"):
        body["data"].pop(name, None)
    return httpx.Response(response.status_code, json=body)


def test_every_answer_of_a_good_run_has_the_documented_shape() -> None:
    with KlingSimulator() as simulator:
        answers = polled(simulator)

    assert REPLIES.has_shape(answers[0], "submitted")
    assert REPLIES.has_shape(answers[2], "processing")
    assert REPLIES.has_shape(without_info(answers[-1]), "succeed")


def test_every_other_end_has_the_documented_shape() -> None:
    with KlingSimulator(outcome="watermarked") as simulator:
        assert REPLIES.has_shape(without_info(polled(simulator)[-1]), "watermarked")
    with KlingSimulator(outcome="moderated") as simulator:
        said = polled(simulator)[-1].json()["data"]
        documented = REPLIES.read("failed")["body"]["data"]

    assert said.keys() - {"task_info"} == documented.keys()
    assert said["task_status_msg"] == documented["task_status_msg"]


@pytest.mark.parametrize(
    ("outcome", "name"),
    [("no_credit", "no_credit"), ("concurrency", "concurrency"), ("rejected", "moderated")],
)
def test_a_refusal_has_its_code(outcome: str, name: str) -> None:
    with KlingSimulator(outcome=outcome) as simulator:
        answer = submit(simulator)

        documented = REPLIES.read(name)
        assert (answer.status_code, answer.json()) == (documented["status"], documented["body"])
        assert simulator.accepted == 0


def test_a_task_is_found_by_our_name_and_in_the_list_of_its_path_only() -> None:
    with KlingSimulator() as simulator:
        task = submit(simulator).json()["data"]["task_id"]
        here = f"{simulator.url}/v1/videos"
        named = httpx.get(f"{here}/text2video/job-1", headers=HEADERS)
        listed = httpx.get(f"{here}/text2video?pageNum=1&pageSize=30", headers=HEADERS)
        elsewhere = httpx.get(f"{here}/image2video/{task}", headers=HEADERS)

    assert named.json()["data"]["task_id"] == task
    assert [each["task_id"] for each in listed.json()["data"]] == [task]
    assert REPLIES.has_shape(elsewhere, "not_found")


def test_a_name_is_taken_once() -> None:
    with KlingSimulator() as simulator:
        first, second = submit(simulator), submit(simulator)

        assert (first.status_code, second.status_code) == (200, 400)
        assert "external_task_id" in second.json()["message"]
        assert simulator.accepted == 1


def test_a_key_is_wanted() -> None:
    with KlingSimulator() as simulator:
        assert submit(simulator, headers={}).status_code == 401
        assert simulator.accepted == 0


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("text2video", "model_name", None),
        ("text2video", "prompt", None),
        ("text2video", "duration", 5),
        ("text2video", "duration", "16"),
        ("text2video", "mode", "720p"),
        ("text2video", "aspect_ratio", "21:9"),
        ("image2video", "image", "data:image/png;base64,AAAA"),
        ("image2video", "image", None),
        ("multi-image2video", "image_list", []),
        ("motion-control", "image_url", None),
        ("video-extend", "video_id", None),
        ("text2video", "multi_prompt", [{"index": 1, "prompt": "a", "duration": "4"}]),
    ],
)
def test_a_senseless_field_is_refused_by_name(kind: str, field: str, value: object) -> None:
    with KlingSimulator() as simulator:
        refused = submit(simulator, kind, json=REQUEST | {field: value})

        assert refused.status_code == 400
        assert field in refused.json()["message"]
        assert simulator.accepted == 0
