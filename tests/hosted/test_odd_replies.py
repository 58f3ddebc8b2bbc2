"""Answers in forms that nobody documented: paid work is found all the same, and a no is a no."""

import asyncio
import base64
import json

import httpx
import pytest
from pydantic import SecretStr

from media_agent.backend import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendRefusedError,
    BackendUnavailableError,
    ContentRejectedError,
    InvalidRequestError,
    SubmitUncertainError,
)
from media_agent.testing import Film, events_of
from media_agent.testing.films import film_bytes
from media_agent_hosted.declared_http import HttpBackend
from media_agent_hosted.fal import FalBackend
from media_agent_hosted.openai_compatible import OpenAICompatibleBackend
from media_agent_hosted.states import State, state_of
from media_agent_schemas import Size, VideoRequest

pytestmark = pytest.mark.anyio

VIDEO = film_bytes(Film(9, 8.0, 64, 48, 90))
BASE64 = base64.b64encode(VIDEO).decode()
HERE = "http://127.0.0.1:9"
KINDS = ("declared", "openai", "fal")
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
            model="x/y" if kind == "fal" else None,
            options={name: value for name, value in given.items() if value is not None},
        )
        made = {
            "declared": HttpBackend,
            "openai": OpenAICompatibleBackend,
            "fal": FalBackend,
        }[kind]
        transport = httpx.MockTransport(self.answer)
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
        elif self.kind == "fal":
            request = VideoRequest(prompt="a fox", duration=5, model="fal/x/y")
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
async def test_work_in_no_known_state_goes_on_until_it_is_over(kind, tmp_path):
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
        ({}, "without"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_proves_nothing_leaves_the_doubt_and_is_shown(
    kind, answer, words, tmp_path
):
    with pytest.raises(SubmitUncertainError) as caught:
        await Service(kind, tmp_path, accepts=answer).submitted()

    assert words in caught.value.message or not answer


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
    assert len(service.asked) == 4


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

    service.backend._api._transport = httpx.MockTransport(answer)

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

    service.backend._api._transport = httpx.MockTransport(answer)

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
    film, service.content = service.content, nothing

    end = await service.end()
    asked, service.content = len(service.asked), film

    assert end.type == "job.outcome_unknown"
    assert asked < 50
    assert (await service.end()).type == "job.completed"
