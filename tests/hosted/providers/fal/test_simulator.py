"""fal's simulator answers as the documents do: same fields, same types, same status codes."""

import httpx
import pytest

from media_agent.testing import Fault
from media_agent_hosted.providers.fal.simulator import FalSimulator
from tests.hosted.provider_kit import Replies, shape_of

REPLIES = Replies(__file__)
SOURCE = "https://videos.example/fox.mp4"
HEADERS = {"Authorization": "Key some-key"}
MODEL = "bytedance/seedance-2.0/text-to-video"
INPUT = {"prompt": "a fox", "duration": "5", "aspect_ratio": "16:9"}


def submit(simulator, **more):
    return httpx.post(f"{simulator.url}/{MODEL}", json=INPUT, headers=HEADERS, **more)


def polls(simulator, url):
    """Poll until it is over and return all answers."""
    answers = [httpx.get(url, params={"logs": "1"}, headers=HEADERS)]
    while answers[-1].status_code == 202:
        answers.append(httpx.get(url, params={"logs": "1"}, headers=HEADERS))
    return answers


def test_every_answer_of_a_good_run_has_the_documented_shape():
    with FalSimulator() as simulator:
        submitted = submit(simulator)
        answers = polls(simulator, submitted.json()["status_url"])
        result = httpx.get(submitted.json()["response_url"], headers=HEADERS)

    assert REPLIES.has_shape(submitted, "submitted")
    assert REPLIES.has_shape(answers[1], "in_progress")
    assert REPLIES.has_shape(answers[-1], "completed")
    assert REPLIES.has_shape(result, "result")
    assert [answer.json()["status"] for answer in answers] == [
        "IN_QUEUE",
        "IN_PROGRESS",
        "IN_PROGRESS",
        "COMPLETED",
    ]
    assert answers[0].status_code == 202
    assert "queue_position" in answers[0].json()


def test_addresses_name_the_app_and_not_what_is_below_it():
    with FalSimulator() as simulator:
        told = submit(simulator).json()
        name = told["request_id"]

        assert told["response_url"] == f"{simulator.url}/bytedance/seedance-2.0/requests/{name}"
        assert told["status_url"] == f"{told['response_url']}/status"
        assert told["cancel_url"] == f"{told['response_url']}/cancel"


def test_a_failed_run_has_the_documented_shape():
    with FalSimulator(outcome="failed", queued_polls=0, running_polls=0) as simulator:
        told = submit(simulator).json()
        status = polls(simulator, told["status_url"])[-1]
        result = httpx.get(told["response_url"], headers=HEADERS)

    expected = REPLIES.read("failed_status")["body"]
    assert status.status_code == 200
    assert shape_of(expected).items() <= shape_of(status.json()).items()
    assert REPLIES.has_shape(result, "failed_result")
    assert result.json() == REPLIES.read("failed_result")["body"]


def test_a_refused_prompt_has_the_documented_shape():
    with FalSimulator(outcome="moderated", queued_polls=0, running_polls=0) as simulator:
        told = submit(simulator).json()
        polls(simulator, told["status_url"])
        result = httpx.get(told["response_url"], headers=HEADERS)

    assert REPLIES.has_shape(result, "moderated_result")
    said, expected = (
        result.json()["detail"][0],
        REPLIES.read("moderated_result")["body"]["detail"][0],
    )
    assert (said["type"], said["msg"]) == (expected["type"], expected["msg"])


@pytest.mark.parametrize("header", [None, "Bearer some-key", "Key", "Key a b", "some-key"])
def test_only_the_documented_form_of_a_key_is_taken(header):
    with FalSimulator() as simulator:
        headers = {} if header is None else {"Authorization": header}
        refused = httpx.post(f"{simulator.url}/{MODEL}", json=INPUT, headers=headers)

    assert refused.status_code == 401
    assert simulator.accepted == 0


def test_a_result_asked_for_too_early_is_refused():
    with FalSimulator() as simulator:
        early = httpx.get(submit(simulator).json()["response_url"], headers=HEADERS)

    assert (early.status_code, early.json()) == (400, {"detail": "Request is still in progress"})


def test_a_cancel_is_answered_by_how_far_the_work_is():
    with FalSimulator(queued_polls=1, running_polls=0) as simulator:
        waiting, done = submit(simulator).json(), submit(simulator).json()
        polls(simulator, done["status_url"])
        answers = [
            httpx.put(url, headers=HEADERS)
            for url in (
                waiting["cancel_url"],
                done["cancel_url"],
                f"{simulator.url}/bytedance/seedance-2.0/requests/none/cancel",
            )
        ]

    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [
        (202, "CANCELLATION_REQUESTED"),
        (400, "ALREADY_COMPLETED"),
        (404, "NOT_FOUND"),
    ]


def test_logs_come_only_when_asked_for():
    with FalSimulator(queued_polls=0) as simulator:
        told = submit(simulator).json()
        quiet = httpx.get(told["status_url"], headers=HEADERS)

    assert quiet.json()["logs"] is None


def test_a_body_that_is_no_object_is_refused_and_not_counted():
    with FalSimulator() as simulator:
        refused = httpx.post(f"{simulator.url}/{MODEL}", content=b"no", headers=HEADERS)

    assert refused.status_code == 422
    assert simulator.accepted == 0


def test_a_workflow_keeps_three_parts_of_its_name():
    with FalSimulator() as simulator:
        url = f"{simulator.url}/workflows/me/video"
        told = httpx.post(url, json=INPUT, headers=HEADERS).json()

        assert told["response_url"].startswith(f"{url}/requests/")
        assert httpx.get(told["status_url"], headers=HEADERS).status_code == 202


@pytest.mark.parametrize(
    ("model", "fields", "frames"),
    [
        ("fal-ai/veo3.1", {"duration": "4s"}, 4 * 24),
        ("fal-ai/veo3.1/extend-video", {"duration": "7s", "video_url": SOURCE}, 96 + 7 * 24),
        ("fal-ai/ltx-2.3/retake-video", {"duration": 5, "video_url": SOURCE}, 96),
        ("fal-ai/wan/v2.2-a14b/video-to-video", {"num_frames": 81, "video_url": SOURCE}, 81),
        ("fal-ai/ltxv-13b-098-distilled", {"num_frames": 60, "frame_rate": 30}, 60),
        ("fal-ai/magi-distilled/extend-video", {"num_frames": 128, "video_url": SOURCE}, 192),
    ],
)
def test_a_video_has_the_length_that_was_asked_or_that_of_its_source(model, fields, frames):
    with FalSimulator() as simulator:
        job = simulator.accept(model, {"prompt": "a fox", **fields})

        assert simulator.video(job).frames == frames


def listed(simulator, **query):
    """Return a page of the list, as text in a query says it."""
    url = f"{simulator.url}/v1/models/requests/by-endpoint"
    return httpx.get(url, params={"endpoint_id": MODEL, **query}, headers=HEADERS)


def names(simulator, **query):
    return [item["request_id"] for item in listed(simulator, **query).json()["items"]]


def test_the_list_has_the_documented_shape():
    with FalSimulator(queued_polls=0, running_polls=0) as simulator:
        submit(simulator)
        submit(simulator)
        whole = listed(simulator, expand="payloads", limit="1")
        short = listed(simulator)

    documented = REPLIES.read("listed")["body"]
    said, expected = whole.json(), documented["items"][0]
    assert whole.status_code == 200
    assert shape_of({**said, "items": []}) == shape_of({**documented, "items": []})
    assert said["items"][0].keys() == expected.keys()
    assert all(
        type(said["items"][0][name]) is type(value)
        for name, value in expected.items()
        if not name.startswith("json_")
    )
    assert said["next_cursor"] == documented["next_cursor"]
    assert said["items"][0]["json_input"] == INPUT
    assert short.json()["items"][0].keys() == expected.keys() - {"json_input", "json_output"}


def test_work_is_listed_once_it_has_ended_which_looking_brings_about():
    with FalSimulator(queued_polls=1, running_polls=1) as simulator:
        submit(simulator)
        looks = [names(simulator) for _ in range(3)]
    with FalSimulator(lists_unended=True) as simulator:
        submit(simulator)
        (at_work,) = listed(simulator).json()["items"]

    assert looks == [[], [], ["fal-00000000"]]
    assert at_work.keys() == {"request_id", "endpoint_id", "started_at", "sent_at"}


def test_a_further_page_moves_no_work_on():
    with FalSimulator(queued_polls=0, running_polls=0) as simulator:
        for _ in range(5):
            submit(simulator)
        first = listed(simulator, limit="2").json()
        second = listed(simulator, limit="2", cursor=first["next_cursor"]).json()
        third = listed(simulator, limit="2", cursor=second["next_cursor"]).json()

    found = [item["request_id"] for page in (first, second, third) for item in page["items"]]
    assert sorted(found) == [f"fal-0000000{number}" for number in range(5)]
    assert (third["has_more"], third["next_cursor"]) == (False, None)
    assert {job.polls for job in simulator.jobs.values()} == {1}


def test_the_list_is_filtered_as_documented():
    with FalSimulator(outcome="failed", queued_polls=0, running_polls=0) as simulator:
        submit(simulator)
        submit(simulator)
        whole = names(simulator)

        assert names(simulator, status="error") == whole
        assert names(simulator, status="success") == names(simulator, status="user_error") == []
        assert names(simulator, request_id="fal-00000001") == ["fal-00000001"]
        assert names(simulator, start="2100-01-01T00:00:00Z") == []
        assert names(simulator, end="2020-01-01") == []
        assert names(simulator, endpoint_id="fal-ai/magi") == []
        assert names(simulator, endpoint_id=f"fal-ai/magi,{MODEL}") == whole
        assert sorted(names(simulator, sort_by="duration")) == sorted(whole)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"endpoint_id": ""},
        {"status": "good"},
        {"start": "yesterday"},
        {"cursor": "2"},
        {"sort_by": "name"},
    ],
    ids=str,
)
def test_a_senseless_question_to_the_list_is_refused(query):
    with FalSimulator() as simulator:
        assert listed(simulator, **query).status_code == 400


def test_the_list_needs_a_key_and_can_go_wrong():
    with FalSimulator([Fault("list", "status", status=503)]) as simulator:
        url = f"{simulator.url}/v1/models/requests/by-endpoint"

        assert listed(simulator).status_code == 503
        assert httpx.get(url, params={"endpoint_id": MODEL}).status_code == 401
