"""What the base does for every provider, shown with one that is made up here."""

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import JsonValue, SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.backend.sending import follow_submission
from media_agent.errors import (
    BackendAuthenticationError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    ContentRejectedError,
    GenerationFailedError,
    InvalidRequestError,
    MediaAgentError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import Video, events_of
from media_agent.testing.simulator.videos import make_video
from media_agent_hosted.base.calls import Call, Status, Submission, Uploaded
from media_agent_hosted.base.outcomes import read_status
from media_agent_hosted.base.provider import HostedBackend
from media_agent_hosted.http.auth import Auth
from media_agent_hosted.http.inputs import InputFile, InputForm
from media_agent_hosted.http.replies import Reply
from media_agent_hosted.models.facts import Models
from media_agent_hosted.parsing.states import State
from media_agent_schemas.events import BackendEvent
from media_agent_schemas.jobs import OperationRef
from media_agent_schemas.media import InputRole, MediaInput
from media_agent_schemas.request import VideoMode, VideoRequest

pytestmark = pytest.mark.anyio

MODELS = """
models:
  - id: clips-1
    description: Clips of 2 to 4 s
    source: made up
    length: {seconds: 2-4, default: 2, as_text: false}
    rates: {values: [24], default: 24}
    tiers: [{value: hd, name: 720p, short_side: 720}]
    ratios: ["16:9"]
    inputs: {first_frame: start.image.url}
    needs_input: false
    names: {prompt: text.prompt, duration: seconds}
"""
KEY = "a-long-key-0123456789"
DONE: JsonValue = {"id": "w1", "state": "done", "url": "https://files.example/w1.mp4"}
Answer = Callable[[httpx.Request], httpx.Response]


class Acme(HostedBackend):
    """Clips, by the second."""

    kind = "acme"
    address = "https://api.acme.example/v1"
    keys_at = "acme.example/keys"
    addresses = ("links.self",)
    keeps = timedelta(hours=2)
    lookup = "key"

    def build(self, submission: Submission) -> Call:
        body = {"model": submission.model_id, "ours": submission.key, **submission.fields()}
        return Call("POST", "/clips", json=body)

    def poll(self, ref: OperationRef) -> Call:
        return Call("GET", f"/clips/{ref.operation_id}", named="links.self")

    def parse(self, body: JsonValue) -> Status:
        status = read_status(body)
        is_blocked = isinstance(body, dict) and body.get("blocked") is True
        error = GenerationFailedError("acme withholds it") if is_blocked else None
        return replace(status, state=State.FAILED, error=error) if is_blocked else status

    def search(self, key: str) -> Call:
        return Call("GET", "/clips", params={"ours": key})

    def found(self, body: JsonValue, key: str) -> JsonValue:
        listed = body if isinstance(body, list) else []
        same = (each for each in listed if isinstance(each, dict) and each.get("ours") == key)
        return next(same, None)

    def verdict(self, reply: Reply, ref: OperationRef) -> MediaAgentError | None:
        return GenerationFailedError("acme failed") if reply.status == 422 else None


PAUSES: list[float] = []


async def no_sleep(seconds: float) -> None:
    PAUSES.append(seconds)
    await asyncio.sleep(0)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Acme]:
    PAUSES.clear()
    path = tmp_path / "models.yaml"
    path.write_text(MODELS, "utf-8")

    def made(answer: Answer, kind: type[Acme] = Acme) -> Acme:
        kind.models = Models(path, provider="acme", most_parts=1)
        settings = BackendSettings(data_dir=tmp_path, key=SecretStr(KEY))
        return kind(settings, transport=httpx.MockTransport(answer), sleep=no_sleep)

    return made


def saying(*polls: JsonValue | httpx.Response, asked: list[httpx.Request] | None = None) -> Answer:
    """Accept whatever is submitted, and say one after the other to polls."""
    left = list(polls)

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        if request.method == "POST":
            return httpx.Response(201, json={"id": "w1", "state": "queued"})
        said = left.pop(0) if len(left) > 1 else left[0]
        return said if isinstance(said, httpx.Response) else httpx.Response(200, json=said)

    return answer


def planned(backend: Acme, **fields: Any) -> VideoRequest:
    fields = {"prompt": "a fox", "model": "acme/clips-1", **fields}
    asked = VideoRequest.model_validate(fields)
    return negotiate(asked, backend.capabilities(), draw_seed=lambda: 7).request


async def run(backend: Acme, **fields: Any) -> list[BackendEvent]:
    ref = await backend.submit(planned(backend, **fields), key="job-1")
    return await events_of(backend, ref)


async def test_a_name_with_dots_is_a_place_in_an_object(make: Callable[..., Acme]) -> None:
    asked: list[httpx.Request] = []
    image = MediaInput(role=InputRole.FIRST_FRAME, url="https://images.example/fox.png")

    fields = {"inputs": (image,), "duration": 3.0, "aspect_ratio": "16:9", "resolution": "720p"}
    await run(make(saying(DONE, asked=asked)), **fields)

    assert json.loads(asked[0].content) == {
        "model": "clips-1",
        "ours": "job-1",
        "text": {"prompt": "a fox"},
        "start": {"image": {"url": "https://images.example/fox.png"}},
        "seconds": 3,
        "resolution": "hd",
        "aspect_ratio": "16:9",
    }


@pytest.mark.parametrize("field", ["text", "start", "seconds", "duration", "resolution"])
async def test_no_renamed_field_can_be_handed_on_as_it_is(
    make: Callable[..., Acme], field: str
) -> None:
    options = {"acme": {"input": json.dumps({field: 9})}}

    with pytest.raises(UnsupportedRequestError, match=f"'{field}' must not be set here"):
        planned(make(saying(DONE)), options=options)


def test_a_model_that_needs_no_input_takes_one_all_the_same(make: Callable[..., Acme]) -> None:
    facts = make(saying(DONE)).capabilities()

    assert facts.modes == (VideoMode.TEXT_TO_VIDEO, VideoMode.IMAGE_TO_VIDEO)
    assert facts.default_size is not None


async def test_a_video_says_until_when_it_is_kept(make: Callable[..., Acme]) -> None:
    before = datetime.now(UTC)

    end = (await run(make(saying(DONE))))[-1]

    assert end.type == "job.completed"
    kept_until = end.artifacts[0].expires_at
    assert kept_until is not None
    assert timedelta() <= kept_until - before - Acme.keeps < timedelta(minutes=1)


async def test_a_poll_without_body_says_that_it_continues(make: Callable[..., Acme]) -> None:
    events = await run(make(saying(httpx.Response(202), DONE)))

    assert [event.type for event in events] == ["job.started", "job.progressed", "job.completed"]


async def test_a_word_that_is_not_known_is_progress_and_is_said(make: Callable[..., Acme]) -> None:
    events = await run(make(saying({"id": "w1", "state": "pondering"}, DONE)))

    assert events[-1].type == "job.completed"
    assert any("not known here" in str(event) for event in events)


@pytest.mark.parametrize(
    "polled", [httpx.Response(422, json={}), {"id": "w1", "state": "done", "blocked": True}]
)
async def test_a_providers_own_word_that_it_failed_is_its_end(
    make: Callable[..., Acme], polled: JsonValue | httpx.Response
) -> None:
    end = (await run(make(saying(polled))))[-1]

    assert end.type == "job.failed"
    assert end.error.message.startswith("acme ")


async def test_what_it_does_not_say_of_a_failure_is_not_made_up(make: Callable[..., Acme]) -> None:
    end = (await run(make(saying({"id": "w1", "state": "failed"}))))[-1]

    assert end.type == "job.failed"
    assert end.error.message == "acme says failed, and not why"


async def test_a_good_poll_that_asks_to_wait_is_obeyed(make: Callable[..., Acme]) -> None:
    waits = httpx.Response(200, json={"id": "w1", "state": "running"}, headers={"retry-after": "9"})

    await run(make(saying(waits, DONE)))

    assert max(PAUSES) >= 9


async def test_work_is_stopped_only_where_the_provider_can(make: Callable[..., Acme]) -> None:
    backend = make(saying(DONE))
    ref = await backend.submit(planned(backend), key="job-1")

    with pytest.raises(UnsupportedRequestError, match="cannot stop"):
        await backend.cancel_once(ref)


async def test_work_whose_answer_was_lost_is_found_by_our_key(make: Callable[..., Acme]) -> None:
    listed: list[JsonValue] = [{"id": "w0", "ours": "other"}, {"id": "w7", "ours": "job-1"}]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            raise httpx.ReadError("the line broke", request=request)
        return httpx.Response(200, json=listed)

    backend = make(answer)
    request = planned(backend)
    with pytest.raises(SubmitUncertainError):
        await backend.submit(request, key="job-1")

    found = await backend.find(request, key="job-1", since=datetime.now(UTC))
    nothing = await backend.find(request, key="job-2", since=datetime.now(UTC))

    assert found is not None
    assert (found.operation_id, found.model, found.data["key"]) == ("w7", "clips-1", "job-1")
    assert nothing is None


async def test_a_signature_sees_what_it_signs_and_is_made_again_for_each_call(
    make: Callable[..., Acme],
) -> None:
    class Signing(Acme):
        def auth(self) -> Auth:
            return lambda request: {"X-Signature": hashlib.sha256(request.content).hexdigest()}

    asked: list[httpx.Request] = []

    await run(make(saying(DONE, asked=asked), Signing))

    signed = [each.headers["x-signature"] for each in asked]
    assert signed == [hashlib.sha256(each.content).hexdigest() for each in asked]
    assert len(set(signed)) == 2


def image_bytes() -> bytes:
    import io

    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("form", InputForm)
async def test_an_image_goes_along_in_the_form_that_is_taken(
    make: Callable[..., Acme], form: InputForm
) -> None:
    class Taking(Acme):
        input_form = form

    asked: list[httpx.Request] = []
    image = MediaInput(role=InputRole.FIRST_FRAME, data=image_bytes())
    backend = make(saying(DONE, asked=asked), Taking)

    if form is InputForm.HTTPS:
        with pytest.raises(InvalidRequestError, match="addresses only"):
            await run(backend, inputs=(image,))
        assert asked == []
        return
    await run(backend, inputs=(image,))

    head = "data:image/png;base64," if form is InputForm.DATA_URI else ""
    sent = json.loads(asked[0].content)["start"]["image"]["url"]
    assert sent == head + base64.b64encode(image_bytes()).decode()


async def test_an_image_beyond_the_limit_of_a_provider_is_not_sent(
    make: Callable[..., Acme],
) -> None:
    class Small(Acme):
        largest_input = 20

    asked: list[httpx.Request] = []
    image = MediaInput(role=InputRole.FIRST_FRAME, data=image_bytes())

    with pytest.raises(InvalidRequestError, match="too large"):
        await run(make(saying(DONE, asked=asked), Small), inputs=(image,))

    assert asked == []


class Storing(Acme):
    """Takes a file in three steps: where to, the file, and that it is there."""

    largest_input = 20
    largest_upload = 10_000

    def upload(self, file: InputFile) -> Call:
        return Call("POST", "/files")

    def uploaded(self, body: JsonValue, file: InputFile) -> Uploaded:
        put = Call("PUT", "https://store.example/f1", content=file.content, is_keyless=True)
        return Uploaded("acme:f1", then=put, last=Call("POST", "/files/f1/complete"))


async def test_a_file_is_uploaded_in_as_many_steps_as_a_provider_has(
    make: Callable[..., Acme],
) -> None:
    asked: list[httpx.Request] = []
    image = MediaInput(role=InputRole.FIRST_FRAME, data=image_bytes())

    await run(make(saying(DONE, asked=asked), Storing), inputs=(image,))

    steps = [(each.url.path, "authorization" in each.headers) for each in asked[:4]]
    assert steps[:2] == [("/v1/files", True), ("/f1", False)]
    assert steps[2:] == [("/v1/files/f1/complete", True), ("/v1/clips", True)]
    assert json.loads(asked[3].content)["start"]["image"]["url"] == "acme:f1"


class Checking(Storing):
    """Looks at a file before it may be used."""

    def uploaded(self, body: JsonValue, file: InputFile) -> Uploaded:
        return Uploaded("acme:f1", check=Call("GET", "/files/f1"))


@pytest.mark.parametrize(
    ("states", "error"),
    [
        (["pending", "pending", "ready"], None),
        (["pending", "failed"], ContentRejectedError),
        (["pending"], BackendUnavailableError),
    ],
)
async def test_a_file_is_used_once_the_provider_has_looked_at_it(
    make: Callable[..., Acme], states: list[str], error: type[MediaAgentError] | None
) -> None:
    asked: list[httpx.Request] = []
    why = {"failure_reason": "the image violates the content policy"}
    checks = [{"id": "f1", "state": each, **(why if each == "failed" else {})} for each in states]
    image = MediaInput(role=InputRole.FIRST_FRAME, data=image_bytes())
    backend = make(saying(*checks, asked=asked), Checking)

    with contextlib.nullcontext() if error is None else pytest.raises(error):
        await backend.submit(planned(backend, inputs=(image,)), key="job-1")

    assert [each.method for each in asked].count("GET") == (60 if len(states) == 1 else len(states))
    assert any(each.url.path == "/v1/clips" for each in asked) == (error is None)


class Filing(Acme):
    """Names in its poll the file that the video is in, and not where that is."""

    def result_after(self, ref: OperationRef, body: JsonValue) -> Call | None:
        assert isinstance(body, dict)
        return Call("GET", f"/files/{body['file']}")


async def test_a_result_is_asked_for_by_what_the_poll_says(make: Callable[..., Acme]) -> None:
    asked: list[httpx.Request] = []
    over, file = {"id": "w1", "state": "done", "file": "f7"}, {"url": "https://files.example/7.mp4"}

    end = (await run(make(saying(over, file, asked=asked), Filing)))[-1]

    assert end.type == "job.completed"
    assert end.artifacts[0].uri == "https://files.example/7.mp4"
    assert asked[-1].url.path == "/v1/files/f7"


async def test_an_address_in_an_answer_is_asked_only_if_it_is_the_providers_own(
    make: Callable[..., Acme],
) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.method == "GET":
            return httpx.Response(200, json=DONE)
        place = "https://api.acme.example/v2/w1" if len(asked) == 1 else "https://evil.example/w1"
        return httpx.Response(201, json={"id": "w1", "links": {"self": place}})

    backend = make(answer)
    await run(backend)
    ref = await backend.submit(planned(backend, seed=None), key="job-2")
    await events_of(backend, ref)

    assert [each for each in asked if not each.endswith("/clips")] == [
        "https://api.acme.example/v2/w1",
        "https://api.acme.example/v1/clips/w1",
    ]


@pytest.mark.parametrize(
    ("told", "whole"),
    [
        ("/files/w1.mp4", "https://api.acme.example/files/w1.mp4"),
        ("//files.example/w1.mp4", "https://files.example/w1.mp4"),
        ("https://files.example/w1.mp4?a=%2F", "https://files.example/w1.mp4?a=%2F"),
    ],
)
async def test_a_relative_address_of_a_video_is_relative_to_the_answer(
    make: Callable[..., Acme], told: str, whole: str
) -> None:
    end = (await run(make(saying({"id": "w1", "state": "done", "url": told}))))[-1]

    assert end.type == "job.completed"
    assert end.artifacts[0].uri == whole


async def test_an_answer_about_other_work_is_no_answer(make: Callable[..., Acme]) -> None:
    backend = make(saying({"id": "w2", "state": "done", "url": "https://files.example/w2.mp4"}))
    ref = await backend.submit(planned(backend), key="job-1")

    with pytest.raises(BackendResponseError, match="other work than w1"):
        await backend.status(ref)


VIDEO = make_video(Video(9, 8.0, 64, 48, 90))


class Locked(Acme):
    """Hands a video out under the key alone."""

    def content(self, ref: OperationRef) -> str:
        return f"/clips/{ref.operation_id}/content"


def locked(*polls: JsonValue, missing: int = 0) -> tuple[Answer, list[httpx.Request]]:
    """Answer polls, and give the video after it was missing so often."""
    asked: list[httpx.Request] = []
    said, fetched = saying(*polls, asked=asked), []

    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/content"):
            return said(request)
        asked.append(request)
        fetched.append(request)
        if len(fetched) <= missing:
            return httpx.Response(404, json={"detail": "not found"})
        return httpx.Response(200, content=VIDEO, headers={"content-type": "video/mp4"})

    return answer, asked


@pytest.mark.parametrize("missing", [0, 3])
async def test_a_video_that_only_the_key_opens_is_fetched_and_waited_for(
    make: Callable[..., Acme], missing: int
) -> None:
    answer, asked = locked({"id": "w1", "state": "done"}, missing=missing)

    end = (await run(make(answer, Locked)))[-1]

    assert end.type == "job.completed"
    assert end.artifacts[0].size_bytes == len(VIDEO)
    assert asked[-1].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("more", [{}, {"progress": 100}])
async def test_a_video_is_not_fetched_in_vain_while_its_state_is_not_known(
    make: Callable[..., Acme], more: dict[str, JsonValue]
) -> None:
    answer, asked = locked({"id": "w1", "state": "pondering", **more})

    end = (await run(make(answer, Locked)))[-1]

    polls = [each for each in asked if each.url.path.endswith("/w1")]
    assert end.type == "job.completed"
    assert (len(polls) > 4) == (more == {})


class Coded(Acme):
    """Says with a code, whatever the status of HTTP, that the account is empty."""

    def refusal(self, reply: Reply, model_id: str) -> MediaAgentError | None:
        is_empty = reply.object().get("code") == 7
        return BackendAuthenticationError("acme wants money (7)") if is_empty else None


@pytest.mark.parametrize("status", [200, 429])
async def test_a_provider_says_what_its_no_means_whatever_the_status_of_http(
    make: Callable[..., Acme], status: int
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, json={"code": 7, "message": "pack used up"})

    backend = make(answer, Coded)
    with follow_submission() as sent, pytest.raises(BackendAuthenticationError) as caught:
        await run(backend)

    assert "wants money" in caught.value.message
    assert len(asked) == 1
    assert not sent.may_be_accepted


class Elsewhere(Acme):
    """Names its work elsewhere in the answer to a submission than in that to a poll."""

    def build(self, submission: Submission) -> Call:
        return replace(super().build(submission), work_id="ticket.number")


async def test_an_answer_to_a_submission_may_name_the_work_elsewhere(
    make: Callable[..., Acme],
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_new = request.method == "POST"
        return httpx.Response(200, json={"ticket": {"number": "w1"}} if is_new else DONE)

    assert (await run(make(answer, Elsewhere)))[-1].type == "job.completed"


async def test_a_provider_is_not_asked_what_accepted_work_means(make: Callable[..., Acme]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        said = {"code": 7, "id": "w1", "state": "queued"} if request.method == "POST" else DONE
        return httpx.Response(200, json=said)

    assert (await run(make(answer, Coded)))[-1].type == "job.completed"


async def test_work_of_another_region_is_not_taken_for_lost(make: Callable[..., Acme]) -> None:
    class Regional(Acme):
        region = "south"

    asked: list[httpx.Request] = []
    backend = make(saying(DONE, asked=asked), Regional)
    ref = await backend.submit(planned(backend), key="job-1")
    assert backend.capabilities().region == "south"
    Regional.region = "north"

    for ask in (backend.status, backend.cancel_once):
        with pytest.raises(ConfigurationError, match="in south; it is set to north") as caught:
            await ask(ref)
        assert caught.value.hint == 'set region = "south" under [backends.acme.options]'
    assert len(asked) == 1
