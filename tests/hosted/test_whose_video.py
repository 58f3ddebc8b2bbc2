"""Answers that name several pieces of work, or another one: nobody gets somebody else's video."""

import json

import pytest

from media_agent.errors import BackendResponseError
from media_agent_hosted.base.identity import answer_about
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.parsing.lenient import value_at
from media_agent_hosted.parsing.videos import address_in, sole_video_in

USED = ("items.0.status", "items.0.url")
DONE = {"status": "Success", "url": "/video.mp4"}
OTHER = {"task_id": "t2", **DONE}
OURS = {"task_id": "t1", "status": "running"}


def about(body, place="task_id", used=(), *, work="t1", usual=True):
    reply = Reply(200, {"content-type": "application/json"}, json.dumps(body).encode(), "a.example")
    places = dict(zip(("state", "result"), used, strict=False))
    return answer_about(reply, work, place, usual=usual, **places)


@pytest.mark.parametrize(
    "other",
    [
        {"taskId": "t2"},
        {"TaskID": "t2"},
        {"task-id": "t2"},
        {"id": "t2"},
        {"uuid": "t2"},
        {"jobId": "t2"},
        {"video_id": "t2"},
        {"generation_id": 2},
        {"name": "operations/t2"},
        {"operationName": "projects/p/operations/t2"},
        {"id": "t2", "account_id": "t1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["id", "task_id"])
@pytest.mark.parametrize(
    "wrap", [lambda it: it, lambda it: {"data": it}, lambda it: {"result": it}, lambda it: [it]]
)
def test_an_answer_that_names_only_other_work_however_spelled_is_not_ours(other, place, wrap):
    with pytest.raises(BackendResponseError, match="other work than t1"):
        about(wrap(other | DONE), place)


@pytest.mark.parametrize(
    "body",
    [
        {"task_id": "t2", "result": DONE},
        {"taskId": "t2", "data": {"id": "f1", "url": "/video.mp4"}, "status": "Success"},
        {"status": "Success", "data": {"task_id": "t2", "url": "/video.mp4"}},
        {"items": [OTHER]},
        {"items": [OTHER, {"task_id": "t3"}]},
        {"status": "Success", "items": [{"taskId": "t2", "url": "/video.mp4"}]},
    ],
    ids=lambda body: str(body)[:60],
)
def test_other_work_around_or_in_what_is_used_is_not_ours(body):
    with pytest.raises(BackendResponseError, match="other work"):
        about(body, used=USED)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", ["items", "data", "tasks"])
def test_of_a_list_of_several_pieces_of_work_only_ours_is_left(order, name):
    body = about({name: [OTHER, OURS][::order]}, used=(f"{name}.0.status", f"{name}.0.url"))

    assert value_at(body, f"{name}.0.status") == "running"
    assert value_at(body, f"{name}.0.url") is None


@pytest.mark.parametrize(
    "body",
    [
        DONE,
        {"task_id": "t1", "id": "f9", **DONE},
        {"id": "t1", "request_id": "r9", "trace_id": "x", **DONE},
        {"request_id": "r9", **DONE},
        {"account_id": "a", "user_id": "u", "model_id": "m", "name": "my/fox", **DONE},
        {"name": "fox", "operation": "text/video", **DONE},
        {"taskId": "t1", "videos": [{"id": "f1", "url": "/a.mp4"}, {"id": "f2", "url": "/b.mp4"}]},
        {"status": "Success", "result": {"id": "f1", "url": "/video.mp4"}},
        {"status": "Success", "output": {"video_id": "f1", "url": "/video.mp4"}},
        {"status": "Success", "data": [{"id": "f1", "url": "/a.mp4"}]},
        {"phase": "over", "result": {"id": "f1", "url": "/video.mp4"}},
        {"id": "envelope", "data": OURS},
        {**DONE, "related": [{"task_id": "t2", "status": "Success"}]},
        {"name": "projects/p/operations/t1", "done": True},
    ],
    ids=lambda body: str(body)[:60],
)
def test_what_names_our_work_or_none_is_ours_whatever_else_has_a_name(body):
    assert about(body, used=("phase", "url")) == body


def test_a_result_that_may_hold_anything_is_judged_by_the_name_that_is_due_alone():
    result = {"id": "of-the-model", "task_id": "x", "video": {"url": "/video.mp4"}}

    assert about(result, "request_id", usual=False) == result
    with pytest.raises(BackendResponseError):
        about(result | {"requestId": "r2"}, "request_id", usual=False)


URL = "https://a.example/v.mp4"


@pytest.mark.parametrize(
    "result",
    [
        {"clip": URL},
        {"final_cut": {"mp4": URL}},
        {"clips": [URL]},
        {"clip": URL, "featured": [{"url": "https://a.example/bob.mp4"}]},
        {"clip": URL, "related_videos": ["https://a.example/bob.mp4"]},
    ],
    ids=str,
)
def test_the_only_video_of_a_result_is_taken_whatever_its_name(result):
    assert [address for address, _ in sole_video_in(result)] == [URL]


@pytest.mark.parametrize(
    "result",
    [
        {"video": None, "featured": [{"user": "bob", "url": URL}]},
        {"featured": {"url": URL}},
        {"userGallery": [URL]},
        {"recommended_clips": {"clip": URL}},
        {"example": URL},
        {"feed": [{"user": "bob", "clip": URL}]},
        {"feed": {"items": [{"by": {"user": "bob", "clip": URL}}]}},
        {"first": URL, "second": "https://a.example/w.mp4"},
        {"video": None, "clip": URL},
    ],
    ids=str,
)
def test_a_video_that_may_be_of_others_is_no_result(result):
    assert [*sole_video_in(result)] == []


def test_at_a_declared_place_what_is_of_others_is_passed_over():
    value = {"featured": [{"clip": "https://a.example/bob.mp4"}], "clips": [{"mp4": URL}]}

    assert address_in(value) == URL
