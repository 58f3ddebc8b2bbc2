"""What an answer means that names work and says no, or says no and names none."""

import json

import httpx
import pytest

from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendRefusedError,
    ContentRejectedError,
    MediaAgentError,
    SubmitUncertainError,
)
from tests.hosted.test_odd_replies import KINDS, Service, said

pytestmark = pytest.mark.anyio

NAMED = {"id": "v1", "task_id": "v1", "request_id": "v1"}


@pytest.mark.parametrize(
    "beside",
    [
        {"error": "N/A"},
        {"error": "no error"},
        {"error": "NO_ERROR"},
        {"error": "No errors found."},
        {"error": "false"},
        {"error": "-"},
        {"error": "nil"},
        {"error": {"code": None, "message": "No error"}},
        {"error": {"message": "ok"}},
        {"error": {"code": "0000", "message": "OK"}},
        {"error": {"type": "none", "message": "none"}},
        {"base_resp": {"status_code": "0000", "status_msg": ""}},
        {"errors": [{"severity": "warning", "message": "the image was resized"}]},
        {"errors": {"count": 0, "items": []}},
        {"success": 0},
        {"flagged": True},
        {"error": "the webhook could not be called"},
        {"status": "timeout", "message": "the queue answered too late"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_names_work_is_accepted_whatever_else_it_says(kind, beside, tmp_path):
    end = await Service(kind, tmp_path, accepts=NAMED | beside).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize("kind", KINDS)
async def test_work_that_is_named_and_failed_at_once_for_a_reason_is_refused(kind, tmp_path):
    failed = {"status": "failed", "error": {"code": "content_policy", "message": "unlucky"}}

    with pytest.raises(ContentRejectedError, match="unlucky"):
        await Service(kind, tmp_path, accepts=NAMED | failed).submitted()


ODD_POLLS = [
    {"status": "error", "code": 429, "message": "Too many requests"},
    {"status": "error", "message": "internal server error"},
    {"status": "timeout", "message": "upstream timed out"},
    {"status": "denied", "message": "invalid api key"},
    {"status": "expired", "message": "access token expired"},
    {"status": "failed", "error": {"code": "TokenExpired", "message": "sign in again"}},
]


@pytest.mark.parametrize("odd", ODD_POLLS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_that_may_be_of_the_poll_alone_is_asked_about_again(kind, odd, tmp_path):
    done = Service(kind, tmp_path).polls[0]

    end = await Service(kind, tmp_path, polls=[odd, done]).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize("odd", ODD_POLLS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_that_is_said_again_and_again_is_believed(kind, odd, tmp_path):
    service = Service(kind, tmp_path, polls=odd)

    end = await service.end()

    assert end.type == "job.failed"
    assert len(service.asked) > 8  # of a minute


@pytest.mark.parametrize(
    "failed",
    [NAMED | ODD_POLLS[1], {"status": "failed", "message": "the fox ran away"}],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_of_the_work_itself_is_believed_at_once(kind, failed, tmp_path):
    service = Service(kind, tmp_path, polls=failed)

    assert (await service.end()).type == "job.failed"
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    "error",
    [0, "none", "OK", "N/A", "false", "No error", {"code": 0, "message": "success"}, [], {}],
    ids=str,
)
async def test_an_error_that_means_none_leaves_it_to_fals_result(error, tmp_path):
    polls = {"status": "COMPLETED", "error": error}

    assert (await Service("fal", tmp_path, polls=polls).end()).type == "job.completed"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"isSuccess": False, "msg": "no credits"}, BackendAuthenticationError, "no credits"),
        (
            {"id": None, "task_id": None, "message": "flagged by our moderation system"},
            ContentRejectedError,
            "moderation",
        ),
        (
            {"data": {"task_id": "", "message": "insufficient credits"}},
            BackendAuthenticationError,
            "insufficient",
        ),
        ({"failure": "NSFW", "failureReason": "content"}, ContentRejectedError, "NSFW"),
        ({"failureReason": "unlucky"}, BackendRefusedError, "unlucky"),
        (
            {"fault": {"faultstring": "Rate limit exceeded", "detail": {"errorcode": "x"}}},
            BackendRateLimitError,
            "Rate limit",
        ),
        (
            {"ret": ["FAIL_SYS_TOKEN_EXPIRED::sign in"], "data": {}},
            BackendAuthenticationError,
            "TOKEN_EXPIRED",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_plain_no_needs_no_field_for_errors(kind, answer, error, words, tmp_path):
    with pytest.raises(error, match=words):
        await Service(kind, tmp_path, accepts=answer).submitted()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"resultado": "error", "mensaje": "saldo insuficiente"}, "saldo insuficiente"),
        ({"ret": ["SUCCESS::fine"], "data": {"taskRef": 7}}, "SUCCESS"),
        ({"task_id": None, "message": "it will be there soon"}, "there soon"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_in_words_that_are_not_known_is_shown_whole(kind, answer, words, tmp_path):
    with pytest.raises(SubmitUncertainError) as caught:
        await Service(kind, tmp_path, accepts=answer).submitted()

    assert words in caught.value.message


@pytest.mark.parametrize(
    ("status", "beside"),
    [
        (400, {"status": "queued"}),
        (409, {"status": "IN_PROGRESS", "message": "there is one already"}),
        (422, {"status": "IN_QUEUE"}),
        (500, {"status": "pending", "message": "the webhook could not be called"}),
        (503, {"state": "queued"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_work_that_is_named_and_continues_is_followed_whatever_the_status(
    kind, status, beside, tmp_path
):
    service = Service(kind, tmp_path, accepts=said(NAMED | beside, status))

    assert (await service.end()).type == "job.completed"


@pytest.mark.parametrize(
    ("status", "message"),
    [(409, "duplicate of a running task"), (500, "notify failed"), (502, "late")],
)
@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_a_name_of_work_is_followed_where_no_reason_speaks_against_it(
    kind, status, message, tmp_path
):
    service = Service(kind, tmp_path, accepts=said(NAMED | {"message": message}, status))

    assert (await service.end()).type == "job.completed"


@pytest.mark.parametrize(
    ("status", "beside"),
    [
        (401, {"status": "queued"}),
        (404, {"status": "queued"}),
        (413, {"status": "queued"}),
        (400, {"message": "unlucky"}),
        (409, {"error": "too many jobs of this account"}),
        (422, {"detail": [{"loc": ["body"], "msg": "unlucky"}]}),
        (422, {"status": "failed", "message": "unlucky"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["declared", "fal"])
async def test_a_plain_no_of_http_is_one_also_where_it_names_something(
    kind, status, beside, tmp_path
):
    service = Service(kind, tmp_path, accepts=said(NAMED | beside, status))

    with pytest.raises(MediaAgentError) as caught:
        await service.submitted()

    assert not isinstance(caught.value, SubmitUncertainError)


@pytest.mark.parametrize("status", [409, 500, 503])
@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_work_that_an_error_names_and_that_is_not_followed_stands_in_the_message(
    kind, status, tmp_path
):
    answer = {"task_id": "v-7", "error": {"message": "internal trouble"}}

    with pytest.raises(MediaAgentError, match="it names task_id 'v-7'"):
        await Service(kind, tmp_path, accepts=said(answer, status)).submitted()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_inside_of_json_within_json_is_found(kind, tmp_path):
    accepted = {"code": 0, "data": json.dumps(NAMED)}

    assert (await Service(kind, tmp_path, accepts=accepted).submitted()).operation_id == "v1"


@pytest.mark.parametrize("named", ["/videos/v1", "http://127.0.0.1:9/videos/v1", "videos/v1"])
async def test_an_answer_without_body_names_work_by_its_location(named, tmp_path):
    accepted = httpx.Response(202, headers={"location": named})

    ref = await Service("declared", tmp_path, accepts=accepted).submitted()

    assert ref.operation_id == "v1"


@pytest.mark.parametrize("named", ["/login", "/videos/", "/videos/v1?a=1", "https://a.example/v1"])
async def test_a_location_elsewhere_names_no_work(named, tmp_path):
    accepted = httpx.Response(202, headers={"location": named})

    with pytest.raises(SubmitUncertainError):
        await Service("declared", tmp_path, accepts=accepted).submitted()
