"""Answers in forms that nobody documented: paid work is found all the same, and a no is a no."""

import asyncio
import base64
import json

import httpx
import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendRefusedError,
    BackendUnavailableError,
    ContentRejectedError,
    InvalidRequestError,
    SubmitUncertainError,
)
from media_agent.testing import Video, events_of
from media_agent.testing.simulator.videos import make_video
from media_agent_hosted.declared.backend import HttpBackend
from media_agent_hosted.parsing.causes import Cause, cause_of
from media_agent_hosted.parsing.lenient import unwrap
from media_agent_hosted.parsing.states import State, state_of, state_said
from media_agent_hosted.parsing.videos import marks_in, videos_in
from media_agent_hosted.providers.fal.backend import FalBackend
from media_agent_hosted.providers.openai_compatible.backend import OpenAICompatibleBackend
from media_agent_hosted.providers.replicate.backend import ReplicateBackend
from media_agent_schemas import Size, VideoRequest

pytestmark = pytest.mark.anyio

VIDEO = make_video(Video(9, 8.0, 64, 48, 90))
BASE64 = base64.b64encode(VIDEO).decode()
HERE = "http://127.0.0.1:9"
KINDS = ("declared", "openai", "fal", "replicate")
DECLARED = {
    "submit": "POST /videos",
    "body": {"prompt": "{prompt}"},
    "id": "task_id",
    "poll": "GET /videos/{id}",
    "done": ["Success"],
    "failed": ["Fail"],
    "error": "reason",
    "result": "url",
    "sizes": ["64x48"],
    "fps": [8],
    "durations": [1.0],
}
SGLANG = {
    "id": "v1",
    "object": "video",
    "model": "wan",
    "status": "queued",
    "progress": 0,
    "created_at": 1790000000,
    "url": None,
    "urls": None,
    "file_path": "/srv/out/v1.mp4",
}


async def no_sleep(seconds):
    await asyncio.sleep(0)


def said(body, status=200):
    if isinstance(body, httpx.Response):
        return body
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers={"content-type": "application/json"})


class Service:
    """A service of one kind that accepts, is done, and gives a video, unless told otherwise."""

    def __init__(self, kind, folder, *, accepts=None, polls=None, gives=None, base=HERE, **options):
        self.kind, self.asked = kind, []
        accepted = {"id": "v1", "task_id": "v1", "request_id": "v1", "status": "queued"}
        done = {
            "declared": {"status": "Success", "url": "/video.mp4"},
            "openai": SGLANG | {"status": "completed", "urls": [None]},
            "fal": {"status": "COMPLETED"},
            "replicate": {"status": "succeeded", "output": "https://a.example/v.mp4"},
        }[kind]
        self.accepts = accepted if accepts is None else accepts
        self.polls = polls if isinstance(polls, list) else [done if polls is None else polls]
        self.gives = {"video": {"url": "https://a.example/v.mp4"}} if gives is None else gives
        self.content = httpx.Response(200, content=VIDEO, headers={"content-type": "video/mp4"})
        given = (DECLARED if kind == "declared" else {}) | options
        settings = BackendSettings(
            data_dir=folder,
            base_url=base,
            key=SecretStr("a-long-key-0123456789"),
            name="acme" if kind == "declared" else "",
            model="x/y" if kind in ("fal", "replicate") else None,
            options={name: value for name, value in given.items() if value is not None},
        )
        made = {
            "declared": HttpBackend,
            "openai": OpenAICompatibleBackend,
            "fal": FalBackend,
            "replicate": ReplicateBackend,
        }[kind]
        transport = httpx.MockTransport(lambda request: self.answer(request))
        self.backend = made(settings, transport=transport, sleep=no_sleep)

    def answer(self, request):
        path = request.url.path
        self.asked.append(path)
        if request.method == "POST":
            return said(self.accepts)
        if path.endswith("/content"):
            return self.content
        if "video.mp4" in path:
            return httpx.Response(200, content=VIDEO, headers={"content-type": "video/mp4"})
        if path.endswith("/models"):
            return said({"object": "list", "data": []})
        if self.kind == "fal" and not path.endswith("/status"):
            return said(self.gives)
        return said(self.polls.pop(0) if len(self.polls) > 1 else self.polls[0])

    async def submitted(self):
        request = VideoRequest(prompt="a fox", duration=1)
        if self.kind == "openai":
            size = Size(width=64, height=48)
            request = VideoRequest(prompt="a fox", num_frames=9, fps=8, size=size)
        elif self.kind in ("fal", "replicate"):
            request = VideoRequest(prompt="a fox", duration=5, model=f"{self.kind}/x/y")
        return await self.backend.submit(request, key="job-1")

    async def end(self):
        return (await events_of(self.backend, await self.submitted()))[-1]


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("succeeded", State.DONE),
        (" SUCCESS ", State.DONE),
        ("Finished successfully", State.DONE),
        ("TASK_STATUS_SUCCEED", State.DONE),
        ("mediaGenerationCompleted", State.DONE),
        ("completed-with-warnings", State.DONE),
        ("FAILURE", State.FAILED),
        ("Timed Out", State.FAILED),
        ("failed: out of memory", State.FAILED),
        ("expired", State.FAILED),
        ("Canceled", State.CANCELLED),
        ("In Progress", State.RUNNING),
        ("InProgress", State.RUNNING),
        ("not_started", State.QUEUED),
        ("dreaming up a fox", None),
        ("incomplete", None),
        ("not completed", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_state_is_known_however_it_is_spelled(word, state):
    assert state_of(word) is state


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrapped", ["data", "result", "task"])
async def test_a_state_inside_of_a_wrapping_object_is_found(kind, wrapped, tmp_path):
    polled = {"status": "succeeded", "url": "/video.mp4"}

    end = await Service(kind, tmp_path, polls={"id": "v1", wrapped: polled}).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize(
    "polled",
    [
        {"status": "pondering", "progress": 100},
        {"status": "pondering", "progress": "100%"},
        {"status": "pondering", "progress": 1.0},
        {"status": "pondering", "url": "/video.mp4"},
        {"url": "/video.mp4"},
        {"status": None, "url": "/video.mp4"},
    ],
)
@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_work_in_no_known_state_is_fetched_when_all_else_says_that_it_is_over(
    kind, polled, tmp_path
):
    content = {"progress": "progress", "result": None, "content": "/videos/{id}/video.mp4"}
    options = content if kind == "declared" and "progress" in polled else {}

    service = Service(kind, tmp_path, polls={"id": "v1", **polled}, **options)

    assert (await service.end()).type == "job.completed"


async def test_a_word_that_is_not_known_at_fal_is_asked_for_its_result(tmp_path):
    end = await Service("fal", tmp_path, polls={"status": "RENDERED_ALL"}).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize("kind", KINDS)
async def test_work_in_no_known_state_continues_until_it_is_over(kind, tmp_path):
    done = Service(kind, tmp_path).polls[0]
    polls = [{"id": "v1"}, {"id": "v1", "status": "pondering"}, {"id": "v1", "status": None}, done]

    end = await Service(kind, tmp_path, polls=polls).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize(
    "odd",
    [
        {"progress": "50%"},
        {"progress": [1]},
        {"created_at": "2026-11-29T00:00:00Z"},
        {"object": "video.generation"},
        {"object": None},
        {"id": 42},
        {"id": "a/b 1"},
        {"error": []},
        {"error": {"code": 0, "message": "success"}},
        {"error": "none"},
        {"expires_at": 0},
        {"expires_at": "never"},
        {"seconds": "5 s", "size": [64, 48]},
        {"urls": [None], "url": ""},
        {"metrics": {"urls": [1]}, "prompt": ["a"]},
    ],
    ids=str,
)
async def test_a_field_that_nobody_needs_keeps_no_video_back(odd, tmp_path):
    polled = SGLANG | odd | {"status": "completed"}

    end = await Service("openai", tmp_path, accepts=SGLANG | odd, polls=polled).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize(
    "spelled",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text[:-1] + b', "note": "caf\xe9"}',
        lambda text: text[:-1] + b', "took": NaN}',
        lambda text: b"\n " + text + b"\x00\n",
        lambda text: json.dumps(text.decode()).encode(),
        lambda text: text.decode().encode("utf-16"),
    ],
    ids=["mark", "latin", "nan", "zero", "twice", "utf-16"],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_json_that_is_not_quite_json_is_read(kind, spelled, tmp_path):
    service = Service(kind, tmp_path)
    service.accepts = spelled(json.dumps(service.accepts).encode())
    service.polls = [spelled(json.dumps(service.polls[0]).encode())]

    assert (await service.end()).type == "job.completed"


@pytest.mark.parametrize(
    "where",
    [
        [f"{HERE}/video.mp4"],
        [None, ["/video.mp4"]],
        "/video.mp4",
        " video.mp4 ",
        "../video.mp4",
        "//127.0.0.1:9/video.mp4",
        "/get/video.mp4?from=https://a.example/b",
        "/my%20video.mp4",
        "/my video.mp4",
        {"url": "/video.mp4"},
        {"href": "/video.mp4"},
        {"clips": [{"mp4": f"{HERE}/video.mp4"}]},
        '["/video.mp4"]',
        '{"resultUrls": ["http://127.0.0.1:9/video.mp4"]}',
        "http:\\/\\/127.0.0.1:9\\/video.mp4",
        f"data:video/mp4;base64,{BASE64}",
        f"DATA:;base64,{BASE64}",
        BASE64,
        base64.encodebytes(VIDEO).decode(),
        {"b64_json": BASE64},
    ],
    ids=lambda where: str(where)[:40],
)
async def test_an_address_is_followed_in_every_form(where, tmp_path):
    polled = {"status": "Success", "url": where}

    end = await Service("declared", tmp_path, polls=polled, base=f"{HERE}/v1").end()

    assert end.type == "job.completed"


@pytest.mark.parametrize(
    "facts",
    [
        {"url": "/video.mp4"},
        {"url": "HTTP://127.0.0.1:9/video.mp4"},
        {"metadata": {"url": f"{HERE}/video.mp4"}},
        {"video": {"url": "//127.0.0.1:9/video.mp4"}},
        {"data": [{"url": "video.mp4"}]},
        {"data": [{"b64_json": BASE64}]},
        {"output": BASE64},
    ],
    ids=lambda facts: str(facts)[:40],
)
async def test_a_video_is_found_where_the_server_names_it_if_its_content_is_missing(
    facts, tmp_path
):
    service = Service("openai", tmp_path, polls=SGLANG | facts | {"status": "completed"})
    service.content = said({"detail": "not found"}, 404)

    assert (await service.end()).type == "job.completed"


@pytest.mark.parametrize("address", ["s3://bucket/video.mp4", "gs://bucket/video.mp4", "ftp://a/b"])
async def test_an_address_that_cannot_be_fetched_is_said_at_once_and_fails_nothing(
    address, tmp_path
):
    service = Service("declared", tmp_path, polls={"status": "Success", "url": address})

    end = await service.end()

    assert end.type == "job.outcome_unknown"
    assert address.partition(":")[0] in end.error.message
    assert len(service.asked) == 2


NOS = [
    ({"code": 1001, "message": "unlucky"}, BackendRefusedError),
    ({"code": "InvalidParameter", "message": "unlucky"}, InvalidRequestError),
    (
        {"task_id": "", "base_resp": {"status_code": 7, "status_msg": "unlucky"}},
        BackendRefusedError,
    ),
    ({"error": "unlucky"}, BackendRefusedError),
    ({"error": {"message": "unlucky", "code": 429}}, BackendRateLimitError),
    ({"Error": {"Message": "unlucky"}}, BackendRefusedError),
    ({"Response": {"Error": {"Code": "Limit", "Message": "unlucky"}}}, BackendRefusedError),
    ({"errors": {"prompt": ["unlucky"]}}, BackendRefusedError),
    ({"error": True, "message": "unlucky"}, BackendRefusedError),
    ({"detail": "unlucky"}, BackendRefusedError),
    ({"detail": [{"loc": ["body", "prompt"], "msg": "unlucky"}]}, BackendRefusedError),
    ({"success": False, "message": "unlucky"}, BackendRefusedError),
    ({"success": "false", "message": "unlucky"}, BackendRefusedError),
    ({"success": 0, "msg": "unlucky"}, BackendRefusedError),
    ({"ret": -1, "errMsg": "unlucky"}, BackendRefusedError),
    ({"status": 401, "message": "unlucky"}, BackendAuthenticationError),
    ({"data": {"error": "unlucky"}}, BackendRefusedError),
    ([{"error": "unlucky"}], BackendRefusedError),
    ({"status": "failed", "reason": "unlucky"}, BackendRefusedError),
    ({"id": "v9", "status": "failed", "error": {"message": "unlucky"}}, BackendRefusedError),
    ({"error": {"code": "content_policy", "message": "unlucky"}}, ContentRejectedError),
    ({"code": 3, "message": "unlucky, it was not accepted"}, BackendRefusedError),
    ({"error": "unlucky", "account_id": "a1"}, BackendRefusedError),
    ({"code": 3, "message": "unlucky", "data": {"message": "unlucky"}}, BackendRefusedError),
    ({"code": 3, "message": "unlucky", "data": {}}, BackendRefusedError),
]


@pytest.mark.parametrize(("answer", "error"), NOS, ids=lambda each: str(each)[:60])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_no_in_an_answer_that_was_read_whole_is_a_refusal_in_its_words(
    kind, answer, error, tmp_path
):
    with pytest.raises(error, match="unlucky"):
        await Service(kind, tmp_path, accepts=answer).submitted()


@pytest.mark.parametrize(
    "beside",
    [
        {"code": 0, "message": "success"},
        {"code": 200, "msg": "OK"},
        {"code": "QUEUED", "message": "it waits"},
        {"error": {}, "success": True},
        {"error": {"code": 0, "message": "success"}},
        {"status": "queued", "error": "a field is deprecated"},
        {"base_resp": {"status_code": 0, "status_msg": "success"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_accepted_submission_is_not_taken_for_a_refusal(kind, beside, tmp_path):
    accepted = {"id": "v1", "task_id": "v1", "request_id": "v1", **beside}

    assert (await Service(kind, tmp_path, accepts=accepted).submitted()).operation_id == "v1"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"message": "we are looking into it"}, "looking into it"),
        ("not today", "not today"),
        ({"data": {"job_id": "j9"}, "code": 7, "message": "odd"}, "odd"),
        ({"code": 1, "msg": "success", "data": {"videoId": "v9"}}, "success"),
        ({"code": 1, "msg": "fine", "data": {"generationId": "v9"}}, "fine"),
        ({"code": 1, "description": "odd", "result": "1320098173412546"}, "odd"),
        ({"code": 1, "message": "success"}, "success"),
        ({"code": 100, "message": "accepted", "name": "operations/12"}, "accepted"),
        ({"code": 100, "message": "odd", "name": "operations/12"}, "odd"),
        ({"code": 9, "message": "odd", "uuid": "6d0e"}, "odd"),
        ({"detail": "Your request was accepted"}, "was accepted"),
        ({"detail": "it is being processed"}, "being processed"),
        ({"reason": "Your video is being made"}, "being made"),
        ({"error": "odd", "data": {"task_uuid": "6d0e"}}, "odd"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_proves_nothing_leaves_the_doubt_and_is_shown(
    kind, answer, words, tmp_path
):
    with pytest.raises(SubmitUncertainError) as caught:
        await Service(kind, tmp_path, accepts=answer).submitted()

    assert words in caught.value.message


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "unlucky"},
        {"success": False, "message": "unlucky"},
        {"code": 1027, "message": "unlucky"},
        {"base_resp": {"status_code": 1027, "status_msg": "unlucky"}},
        {"detail": "unlucky"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_poll_that_says_no_again_and_again_ends_the_work_in_its_words(
    kind, answer, tmp_path
):
    service = Service(kind, tmp_path, polls=answer)

    end = await service.end()

    assert end.type == "job.failed"
    assert "unlucky" in end.error.message
    assert len(service.asked) > 8  # of a minute


@pytest.mark.parametrize("kind", KINDS)
async def test_a_no_between_polls_that_say_how_far_it_is_ends_nothing(kind, tmp_path):
    no, runs = {"error": "a hiccup"}, {"id": "v1", "status": "running"}
    done = Service(kind, tmp_path).polls[0]
    polls = [each for _ in range(12) for each in (no, runs, runs)] + [no, done]

    end = await Service(kind, tmp_path, polls=polls).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_no_of_a_few_seconds_ends_nothing(kind, tmp_path):
    done = Service(kind, tmp_path).polls[0]

    end = await Service(kind, tmp_path, polls=[{"error": "a hiccup"}] * 5 + [done]).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize(
    "trouble",
    [
        {"code": "InvalidApiKey", "message": "unlucky"},
        {"error": {"code": 401, "message": "unlucky"}},
        {"error": "the API key is invalid"},
        {"success": False, "message": "insufficient balance"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_trouble_with_the_account_at_a_poll_fails_no_work(kind, trouble, tmp_path):
    service = Service(kind, tmp_path, polls=trouble)
    ref = await service.submitted()

    for _ in range(5):
        with pytest.raises(BackendAuthenticationError):
            await events_of(service.backend, ref)

    service.polls = Service(kind, tmp_path).polls
    assert (await events_of(service.backend, ref))[-1].type == "job.completed"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_poll_that_says_no_once_ends_nothing(kind, tmp_path):
    done = Service(kind, tmp_path).polls[0]

    end = await Service(kind, tmp_path, polls=[{"error": "a hiccup"}, done]).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize(
    "trouble",
    [
        {"code": 5000, "message": "internal error"},
        {"error": {"message": "service temporarily unavailable"}},
        {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_poll_in_passing_trouble_fails_no_work(kind, trouble, tmp_path):
    service = Service(kind, tmp_path, polls=trouble)

    with pytest.raises(BackendUnavailableError):
        await service.end()


@pytest.mark.parametrize("kind", KINDS)
async def test_failed_work_is_told_in_the_words_that_stand_anywhere(kind, tmp_path):
    polled = {"id": "v1", "status": "FAILURE", "message": "the fox ran away"}

    end = await Service(kind, tmp_path, polls=polled).end()

    assert end.type == "job.failed"
    assert "the fox ran away" in end.error.message


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("the frame rate limit is 30", Cause.OTHER),
        ("could not draw 'a busy street, too many requests'", Cause.OTHER),
        ("a busy street at night", Cause.OTHER),
        ("the model name is case-sensitive", Cause.OTHER),
        ("face not found in the image", Cause.OTHER),
        ("a road safety video", Cause.OTHER),
        ("a credit card on a table", Cause.OTHER),
        ("rate limit reached", Cause.BUSY),
        ("the server is busy, please try again", Cause.BUSY),
        ("input new_sensitive", Cause.CONTENT),
        ("Your request was blocked by our moderation system", Cause.CONTENT),
        ("insufficient credits", Cause.ACCOUNT),
        ("You exceeded your current quota", Cause.ACCOUNT),
        ("the account's balance is not enough", Cause.ACCOUNT),
        ("the user is not authorized", Cause.ACCOUNT),
        ("the task was not found", Cause.UNKNOWN_WORK),
        ("Not found.", Cause.UNKNOWN_WORK),
        ("seed must be a number", Cause.REQUEST),
    ],
)
def test_only_whole_phrases_say_why_it_is_a_no(said, cause):
    assert cause_of((), said) is cause


@pytest.mark.parametrize(
    ("codes", "cause"),
    [
        (["InvalidApiKey"], Cause.ACCOUNT),
        (["moderation_blocked"], Cause.CONTENT),
        (["1008", "rate_limit_exceeded"], Cause.BUSY),
        (["400", "content_policy_violation"], Cause.CONTENT),
        (["TaskNotFound"], Cause.UNKNOWN_WORK),
        (["FaceNotFound"], Cause.OTHER),
        (["InvalidParameter"], Cause.REQUEST),
        (["429"], Cause.BUSY),
    ],
)
def test_what_an_error_says_for_programs_counts_more_than_its_words(codes, cause):
    assert cause_of(codes, "") is cause
    assert cause is Cause.OTHER or cause_of(codes, "too many requests, nsfw") is cause


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"code": "moderation_blocked", "message": "unlucky"}, "content_rejected"),
        ({"message": "Generation timed out"}, "generation_failed"),
        ({"message": "the server is overloaded"}, "generation_failed"),
        ({"message": "the task was not found"}, "generation_failed"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_work_that_its_service_calls_failed_has_failed_whatever_the_words(
    kind, said, code, tmp_path
):
    end = await Service(kind, tmp_path, polls={"id": "v1", "status": "failed", "error": said}).end()

    assert (end.type, end.error.code) == ("job.failed", code)


@pytest.mark.parametrize("kind", ["declared", "fal"])
async def test_an_error_in_place_of_a_video_that_is_called_done_is_the_end(kind, tmp_path):
    broken = {"error": "Generation timed out"}
    polls = {"status": "Success", **broken} if kind == "declared" else None

    end = await Service(kind, tmp_path, polls=polls, gives=broken).end()

    assert end.type == "job.failed"
    assert "timed out" in end.error.message


@pytest.mark.parametrize(
    "about",
    [
        {"id": "other", "status": "completed", "url": "/video.mp4"},
        {"data": {"id": "other", "status": "completed", "url": "/video.mp4"}},
        [{"id": "other", "status": "completed", "url": "/video.mp4"}],
        {"data": [{"id": "a", "status": "completed", "url": "/video.mp4"}, {"id": "b"}]},
    ],
    ids=lambda about: str(about)[:40],
)
@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_an_answer_about_another_video_tells_nothing_of_ours(kind, about, tmp_path):
    service = Service(kind, tmp_path, polls=about, id="id" if kind == "declared" else None)

    with pytest.raises(BackendUnavailableError, match="v1"):
        await service.end()

    assert "/video.mp4" not in service.asked


@pytest.mark.parametrize("wrap", [lambda entries: entries, lambda entries: {"data": entries}])
@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_of_a_list_only_the_entry_of_our_video_counts(kind, wrap, tmp_path):
    theirs = {"id": "a", "status": "completed", "url": "/theirs/video.mp4"}
    ours = {"id": "v1", "status": "completed", "url": "/ours/video.mp4"}
    runs = [theirs, {"id": "v1", "status": "running"}]
    polls = [wrap(runs), wrap([theirs, ours])]
    service = Service(kind, tmp_path, polls=polls, id="id" if kind == "declared" else None)

    end = await service.end()

    assert end.type == "job.completed"
    assert "/ours/video.mp4" in service.asked
    assert "/theirs/video.mp4" not in service.asked


@pytest.mark.parametrize(
    ("body", "name", "word"),
    [
        ({"id": "b", "status": "queued", "data": {"id": "u7"}}, "b", "queued"),
        (
            {"id": "b", "status": "running", "data": {"status": "completed", "id": "f1"}},
            "b",
            "running",
        ),
        ({"state": "running", "data": {"status": "completed", "id": "f1"}}, "f1", "running"),
        ({"status": 200, "data": {"status": "running", "id": "b"}}, "b", "running"),
        ({"status": "ok", "id": "r1", "data": {"state": "failed", "id": "b"}}, "b", "failed"),
        ({"status": "success", "task": {"status": "running"}}, None, "running"),
        ({"status": "success", "data": {"url": "/a.mp4"}}, None, "success"),
        ({"status": None, "data": {"status": "running", "id": "b"}}, "b", "running"),
    ],
    ids=str,
)
def test_what_an_answer_says_itself_counts_more_than_what_is_inside(body, name, word):
    assert (unwrap(body).get("id"), state_said(unwrap(body))) == (name, word)


@pytest.mark.parametrize(
    ("gives", "named"),
    [
        ({"video": None, "input_video_url": "https://a.example/in.mp4"}, []),
        ({"input": {"video_clip": "https://a.example/in.mp4"}}, []),
        ({"request": {"clip": "https://a.example/in.mp4"}}, []),
        ({"preview": "https://a.example/p.mp4", "final": "https://a.example/f.mp4"}, ["f.mp4"]),
        ({"sourceUrl": "https://a.example/s.mp4", "clip": "https://a.example/f.mp4"}, ["f.mp4"]),
        ({"video": {"url": "https://a.example/in.png"}}, []),
        ({"videos": [{"type": "preview", "url": "https://a.example/p.mp4"}]}, []),
        ({"resource": "https://a.example/f.mp4"}, ["f.mp4"]),
    ],
    ids=lambda each: str(each)[:50],
)
def test_what_is_no_result_by_its_name_is_no_video(gives, named):
    found = [address.rpartition("/")[2] for address, _ in videos_in(gives, everywhere=True)]

    assert found == named


async def test_of_several_addresses_that_of_the_result_is_taken(tmp_path):
    given = {"input_video": f"{HERE}/in/video.mp4", "output_video": f"{HERE}/out/video.mp4"}
    service = Service(
        "declared", tmp_path, polls={"status": "Success", "data": given}, result="data"
    )

    await service.end()

    assert service.asked[-1] == "/out/video.mp4"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_video_that_was_sent_is_not_its_own_result(kind, tmp_path):
    sent = "https://a.example/mine.mp4"
    polls = {"declared": {"status": "Success", "url": sent}, "fal": None}.get(
        kind, SGLANG | {"status": "completed", "url": sent}
    )
    ref = await Service(kind, tmp_path).submitted()
    ref = ref.model_copy(update={"data": ref.data | {"sent": marks_in({"a": [sent]})}})
    service = Service(kind, tmp_path, polls=polls, gives={"video": {"url": sent}})

    events = await events_of(service.backend, ref)

    assert sent not in str(events)
    assert events[-1].type == ("job.completed" if kind == "openai" else "job.outcome_unknown")


async def test_an_address_is_kept_as_a_mark_and_not_as_it_is(tmp_path):
    body = {"prompt": "{prompt}", "clip": "https://a.example/mine.mp4?signature=secret"}

    ref = await Service("declared", tmp_path, body=body).submitted()

    assert ref.data["sent"] == marks_in(body)
    assert len(ref.data["sent"]) == 1
    assert "signature" not in str(ref)


@pytest.mark.parametrize(
    ("facts", "asked"),
    [
        ({"url": f"{HERE}/watch/1", "video_url": f"{HERE}/x/video.mp4"}, "/x/video.mp4"),
        ({"url": f"{HERE}/watch/1"}, "/v1/videos/v1/content"),
        ({"metadata": {"url": f"{HERE}/in.png"}}, "/v1/videos/v1/content"),
        ({"url": "https://p.example/watch/1"}, "/v1/videos/v1/content"),
    ],
    ids=str,
)
async def test_what_looks_like_a_video_is_tried_before_what_may_be_a_page(facts, asked, tmp_path):
    service = Service("openai", tmp_path, polls=SGLANG | facts | {"status": "completed"})

    end = await service.end()

    assert end.artifacts[0].path is not None
    assert asked in service.asked
    assert not {"/watch/1", "/in.png"} & set(service.asked)


async def test_an_address_elsewhere_is_given_on_where_the_server_has_no_content(tmp_path):
    elsewhere = "https://p.example/signed?1"
    service = Service("openai", tmp_path, polls=SGLANG | {"url": elsewhere, "status": "completed"})
    service.content = said({"detail": "not found"}, 404)

    assert (await service.end()).artifacts[0].uri == elsewhere


@pytest.mark.parametrize("inline", [BASE64, f"DATA:;base64,{BASE64}"], ids=["bare", "DATA"])
async def test_a_video_within_the_answer_is_kept_as_a_file_and_not_in_the_events(inline, tmp_path):
    polls = SGLANG | {"status": "completed", "data": [{"b64_json": inline}]}

    end = await Service("openai", tmp_path, polls=polls).end()

    assert end.artifacts[0].path is not None
    assert BASE64 not in end.model_dump_json()


@pytest.mark.parametrize(
    "polled",
    [
        {"status": "dispatching", "message": "Your video is being made"},
        {"status": "dispatching", "message": "it takes a while"},
        {"message": "it takes a while"},
    ],
    ids=str,
)
async def test_what_stands_where_errors_are_declared_is_no_error_by_itself(polled, tmp_path):
    done = {"status": "Success", "message": "here it is", "url": "/video.mp4"}
    late = {"status": "Success", "message": "here it is"}

    end = await Service(
        "declared", tmp_path, polls=[polled] * 20 + [late, done], error="message"
    ).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize("word", ["interrupted", "stopped", "ready", "ended", "ok"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_word_with_two_meanings_ends_no_work_by_itself(kind, word, tmp_path):
    done = Service(kind, tmp_path).polls[0]
    polls = [{"status": word}] * 2 + [{"status": "running"}, {"status": word}, done]

    end = await Service(kind, tmp_path, polls=polls).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize("kind", ["declared", "openai"])
async def test_a_word_with_two_meanings_and_an_address_is_followed(kind, tmp_path):
    polls = {"id": "v1", "status": "ready", "url": "/video.mp4"}

    assert (await Service(kind, tmp_path, polls=polls).end()).type == "job.completed"


async def test_words_beside_a_missing_video_are_shown(tmp_path):
    gives = {"code": 17, "message": "the bucket is full"}

    end = await Service("fal", tmp_path, gives=gives).end()

    assert end.type == "job.outcome_unknown"
    assert "the bucket is full" in end.error.message


@pytest.mark.parametrize(
    ("done", "polled"),
    [
        ([True], True),
        (["true"], True),
        ([1], 1),
        (["1"], 1),
        ([2], 2),
        (["Done"], " done "),
    ],
)
async def test_a_state_is_compared_as_json_spells_it(done, polled, tmp_path):
    polls = [{"done": False}, {"name": "operations/1"}, {"done": polled, "url": "/video.mp4"}]

    end = await Service(
        "declared", tmp_path, polls=polls, state="done", done=done, failed=["error"]
    ).end()

    assert end.type == "job.completed"


@pytest.mark.parametrize(
    ("poll", "path"),
    [
        ("GET /{id}", "/v1/operations/7"),
        ("GET /op/{id}/state", "/v1/op/operations/7/state"),
    ],
)
async def test_a_name_with_slashes_is_part_of_a_path_only_at_its_end(poll, path, tmp_path):
    accepted = {"task_id": "operations/7"}
    service = Service("declared", tmp_path, accepts=accepted, base=f"{HERE}/v1", poll=poll)

    await service.end()

    assert service.asked[1] == path


@pytest.mark.parametrize(
    "named",
    [
        "https://queue.example/x/y/requests/v1",
        "https://127.0.0.1:9/fal/x/y/requests/v1",
        "http://localhost:9/fal/x/y/requests/v1",
        "http://127.0.0.1:10/fal/x/y/requests/v1",
    ],
)
async def test_what_fal_accepted_behind_another_host_is_asked_for_below_our_own_address(
    named, tmp_path
):
    accepted = {"request_id": "v1", "status_url": f"{named}/status", "response_url": named}
    service = Service("fal", tmp_path, accepts=accepted, base=f"{HERE}/fal")

    end = await service.end()

    assert end.type == "job.completed"
    assert set(service.asked[1:]) == {"/fal/x/y/requests/v1/status", "/fal/x/y/requests/v1"}


async def test_a_gateway_that_cuts_its_prefix_out_of_addresses_is_asked_below_our_own(tmp_path):
    named = f"{HERE}/x/y/requests/v1"
    accepted = {"request_id": "v1", "status_url": f"{named}/status", "response_url": named}
    service = Service("fal", tmp_path, accepts=accepted, base=f"{HERE}/fal")
    below = service.answer

    def answer(request):
        if request.url.path.startswith("/fal"):
            return below(request)
        return said({"detail": "not found"}, 404)

    service.answer = answer

    assert (await service.end()).type == "job.completed"


@pytest.mark.parametrize(
    "nothing",
    [
        httpx.Response(404, json={"detail": "not found"}),
        httpx.Response(400, json={"detail": "still in progress"}),
        {"video": None},
        {},
        {"videos": [{"url": None}]},
    ],
    ids=["404", "400", "null", "empty", "null_in_a_list"],
)
async def test_a_result_that_fal_does_not_have_yet_is_asked_for_again(nothing, tmp_path):
    service = Service("fal", tmp_path)
    gives, asked = service.answer, []

    def answer(request):
        if request.url.path.endswith("/v1") and request.method == "GET":
            asked.append(request)
            if len(asked) <= 3:
                return said(nothing)
        return gives(request)

    service.answer = answer

    assert (await service.end()).type == "job.completed"
    assert len(asked) == 4


@pytest.mark.parametrize(
    "nothing",
    [
        httpx.Response(404, json={"detail": "not found"}),
        httpx.Response(403, content=b"<Error><Code>AccessDenied</Code></Error>"),
        httpx.Response(202),
        httpx.Response(200, json={"status": "processing"}),
    ],
    ids=["404", "403", "202", "json"],
)
async def test_a_video_that_never_comes_ends_the_waiting_and_not_the_work(nothing, tmp_path):
    service = Service("openai", tmp_path)
    video, service.content = service.content, nothing

    end = await service.end()
    asked, service.content = len(service.asked), video

    assert end.type == "job.outcome_unknown"
    assert asked < 50
    assert (await service.end()).type == "job.completed"
