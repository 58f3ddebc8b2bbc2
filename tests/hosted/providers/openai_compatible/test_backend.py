"""The backend against simulated servers of its three kinds, over real HTTP."""

import asyncio
import base64
import json
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendResponseError,
    BackendUnavailableError,
    BudgetExceededError,
    ConfigurationError,
    ContentRejectedError,
    InvalidRequestError,
    MediaAgentError,
    OperationNotFoundError,
    SubmitUncertainError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.negotiation.budget import check_caller
from media_agent.negotiation.negotiate import negotiate
from media_agent.routing.catalogue import Catalogue
from media_agent.routing.router import Router
from media_agent.testing import events_of
from media_agent.testing.simulator.faults import Fault
from media_agent.video.probe import probe
from media_agent_hosted.providers.openai_compatible.backend import OpenAICompatibleBackend
from media_agent_hosted.providers.openai_compatible.lookup import repeats
from media_agent_hosted.providers.openai_compatible.simulated_form import form_fields
from media_agent_hosted.providers.openai_compatible.simulator import WAN, OpenAISimulator
from media_agent_hosted.providers.openai_compatible.video import find_model, parse_video
from media_agent_schemas import (
    InputRole,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    MediaInput,
    Method,
    Policy,
    Size,
    VideoRequest,
)

pytestmark = pytest.mark.anyio

SECRET = "sk-very-secret-4711"
FLAVOURS = ("sglang", "vllm-omni", "fastvideo")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAADElEQVR4nGNgoA4AAABIAAEuuDx+AAAAAElFTkSuQmCC"
)


async def no_sleep(seconds):
    await asyncio.sleep(0)


@asynccontextmanager
async def opened(where, folder, *, key=None, transport=None, **options):
    url = where if isinstance(where, str) else where.url
    settings = BackendSettings(
        data_dir=folder,
        base_url=url,
        key=None if key is None else SecretStr(key),
        options=options,
    )
    backend = OpenAICompatibleBackend(settings, sleep=no_sleep, transport=transport)
    try:
        yield backend
    finally:
        await backend.aclose()


def request(**fields):
    size = Size(width=64, height=48)
    given = {"prompt": "a fox in snow", "num_frames": 9, "fps": 8, "size": size, "seed": 0}
    return VideoRequest.model_validate(given | fields)


async def end_of(backend, wanted, key="job-1"):
    return (await events_of(backend, await backend.submit(wanted, key=key)))[-1]


def sent(simulator):
    return form_fields(simulator.calls("submit")[0], takes_json=False)


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_video_is_made_and_fetched(flavour, tmp_path):
    with OpenAISimulator(flavour=flavour) as simulator:
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.submit(request(), key="job-1")
            events = await events_of(backend, ref)

    facts = probe(Path(events[-1].artifacts[0].path))
    assert [event.type for event in events][-1] == "job.completed"
    assert (facts.width, facts.height, facts.frames, facts.fps) == (64, 48, 9, 8)
    assert events[-1].seed == 0
    assert events[-1].cost.usd == 0
    assert events[-1].model == WAN
    assert simulator.accepted == 1
    assert ref.data["server"] == flavour


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_the_whole_request_arrives_as_a_form(flavour, tmp_path):
    prompt = "ein Fuchs im Schnee\n日本 — «é»"
    options = {"openai-compatible": {"num_inference_steps": 4, "extra_params": '{"a": [1]}'}}
    wanted = request(prompt=prompt, negative_prompt="rain", options=options)
    with OpenAISimulator(flavour=flavour) as simulator:
        async with opened(simulator, tmp_path, guidance_scale=3.5) as backend:
            await backend.submit(wanted, key="job-1")

    assert sent(simulator) == {
        "prompt": prompt,
        "size": "64x48",
        "num_frames": "9",
        "fps": "8",
        "seconds": "1",
        "seed": "0",
        "negative_prompt": "rain",
        "guidance_scale": "3.5",
        "num_inference_steps": "4",
        "extra_params": '{"a": [1]}',
    }


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_first_frame_goes_along_as_a_file(flavour, tmp_path):
    image = tmp_path / "a secret name.png"
    image.write_bytes(PNG)
    inputs = (MediaInput(role=InputRole.FIRST_FRAME, path=str(image)),)
    with OpenAISimulator(flavour=flavour) as simulator:
        async with opened(simulator, tmp_path) as backend:
            await backend.submit(request(inputs=inputs), key="job-1")

    part = {"name": "first_frame.png", "type": "image/png", "size_bytes": len(PNG)}
    assert sent(simulator)["input_reference"] == part
    assert PNG in simulator.calls("submit")[0].body


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"once upon a time", "no PNG"), (b"RIFF1234WAVE", "no PNG"), (None, "no such file")],
)
async def test_a_first_frame_that_is_no_image_is_refused_unsent(content, said, tmp_path):
    path = tmp_path / "story.png"
    if content is not None:
        path.write_bytes(content)
    inputs = (MediaInput(role=InputRole.FIRST_FRAME, path=str(path)),)
    with OpenAISimulator() as simulator:
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(InvalidRequestError, match=said):
                await backend.submit(request(inputs=inputs), key="job-1")

    assert simulator.requests == []


async def test_other_inputs_than_one_first_frame_are_refused(tmp_path):
    frame = MediaInput(role=InputRole.FIRST_FRAME, data=PNG)
    async with opened("http://localhost:1", tmp_path) as backend:
        with pytest.raises(InvalidRequestError, match="one first_frame"):
            await backend.submit(request(inputs=(frame, frame)), key="job-1")


async def test_a_failed_video_told_with_an_http_error_is_a_failed_job(tmp_path):
    with OpenAISimulator(flavour="vllm-omni") as simulator:
        async with opened(simulator, tmp_path) as backend:
            end = await end_of(backend, request(num_frames=8))

    assert isinstance(end, JobFailed)
    assert end.error.code == "invalid_request"
    assert "num_frames must be 4n+1" in end.error.message


async def test_an_error_without_a_code_is_a_failed_job(tmp_path):
    with OpenAISimulator(fails_with="CUDA out of memory") as simulator:
        async with opened(simulator, tmp_path) as backend:
            end = await end_of(backend, request())

    assert isinstance(end, JobFailed)
    assert end.error.code == "generation_failed"
    assert "CUDA out of memory" in end.error.message


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_restart_loses_the_video_and_nothing_is_sent_again(flavour, tmp_path):
    with OpenAISimulator(flavour=flavour) as simulator:
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.submit(request(), key="job-1")
            simulator.jobs.clear()
            with pytest.raises(OperationNotFoundError, match="restarted") as caught:
                await events_of(backend, ref)

    assert "output folder" in caught.value.hint
    assert len(simulator.calls("submit")) == 1


FORM = {"prompt": "a fox in snow", "size": "64x48", "num_frames": "9", "fps": "8", "seed": "0"}


def open_simulator(faults=()):
    """Return a server whose list shows prompts and seeds."""
    return OpenAISimulator(faults, flavour="vllm-omni", repeats_seed=True)


@pytest.mark.parametrize("kind", ["close_after_accept", "garbage"])
async def test_a_lost_reply_is_found_in_the_list_and_sent_once(kind, tmp_path):
    since = datetime.now(UTC)
    with open_simulator([Fault("submit", kind)]) as simulator:
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(SubmitUncertainError):
                await backend.submit(request(), key="job-1")
            ref = await backend.find(request(), key="job-1", since=since)
            events = await events_of(backend, ref)

    assert simulator.accepted == 1
    assert ref.operation_id in simulator.jobs
    assert isinstance(events[-1], JobCompleted)
    assert events[-1].warnings == ()


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_video_whose_seed_is_not_repeated_may_be_of_another_data_folder(flavour, tmp_path):
    since = datetime.now(UTC)
    with OpenAISimulator(flavour=flavour) as simulator:
        async with opened(simulator, tmp_path / "theirs") as other:
            theirs = await other.submit(request(seed=1), key="job-7")
        async with opened(simulator, tmp_path / "ours") as backend:
            with pytest.raises(BackendResponseError, match=theirs.operation_id):
                await backend.find(request(), key="job-1", since=since)


async def test_a_video_of_another_seed_is_another_one(tmp_path):
    since = datetime.now(UTC)
    with open_simulator() as simulator:
        async with opened(simulator, tmp_path / "theirs") as other:
            await other.submit(request(seed=1), key="job-7")
        async with opened(simulator, tmp_path / "ours") as backend:
            assert await backend.find(request(), key="job-1", since=since) is None


@pytest.mark.parametrize(
    ("field", "asked", "repeated"),
    [
        ("negative_prompt", "blurry", "sharp"),
        ("guidance_scale", "4.0", 5),
        ("generate_sound", "true", False),
        ("extra_params", '{"a": 1}', {"a": 2}),
    ],
)
def test_a_video_that_repeats_any_field_otherwise_is_not_taken(field, asked, repeated):
    listed = {"id": "v1", "status": "queued", **FORM, "num_frames": 9, "fps": 8}
    form = {**FORM, field: asked}

    same, other = (parse_video({**listed, field: value}) for value in (asked, repeated))

    assert repeats(same, form)
    assert not repeats(other, form)
    assert repeats(parse_video(listed), form)
    assert not repeats(parse_video({**listed, "seed": None}), form)


async def test_sglang_repeats_no_prompt_so_what_fits_is_named_and_not_taken(tmp_path):
    since = datetime.now(UTC)
    with OpenAISimulator([Fault("submit", "close_before_accept")]) as simulator:
        stranger = {"prompt": "a hare", "size": "64x48", "num_frames": "9", "fps": "8"}
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(SubmitUncertainError):
                await backend.submit(request(), key="job-1")
            theirs = simulator.accept(WAN, {**stranger})
            with pytest.raises(BackendResponseError, match=theirs.id):
                await backend.find(request(), key="job-1", since=since)


async def test_another_process_finds_the_video_too(tmp_path):
    since = datetime.now(UTC)
    with open_simulator() as simulator:
        async with opened(simulator, tmp_path) as backend:
            first = await backend.submit(request(), key="job-1")
        async with opened(simulator, tmp_path) as other:
            ref = await other.find(request(), key="job-1", since=since)
            end = (await events_of(other, ref))[-1]

    assert ref.operation_id == first.operation_id
    assert isinstance(end, JobCompleted)


async def test_two_videos_that_fit_are_no_answer(tmp_path):
    since = datetime.now(UTC)
    fault = Fault("submit", "duplicate")
    with open_simulator([fault]) as simulator:
        async with opened(simulator, tmp_path) as backend:
            await backend.submit(request(), key="job-0")
        async with opened(simulator, tmp_path) as other:
            with pytest.raises(BackendResponseError, match="has several of them") as caught:
                await other.find(request(), key="job-1", since=since)

    assert simulator.accepted == 2
    assert all(name in caught.value.message for name in simulator.jobs)


@pytest.mark.parametrize("ahead", [0, 5, 240])
async def test_what_was_made_no_sooner_than_asked_for_is_found(ahead, tmp_path):
    since = datetime.now(UTC)
    with open_simulator() as simulator:
        ours = simulator.accept(WAN, {**FORM})
        ours.created_at += ahead
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.find(request(), key="job-1", since=since)

    assert ref.operation_id == ours.id


@pytest.mark.parametrize("behind", [20, 60, 240])
async def test_an_earlier_video_of_the_same_prompt_is_named_and_not_taken(behind, tmp_path):
    since = datetime.now(UTC)
    with open_simulator() as simulator:
        theirs = simulator.accept(WAN, {**FORM})
        theirs.created_at -= behind
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(BackendResponseError, match=theirs.id):
                await backend.find(request(), key="job-1", since=since)


async def test_an_earlier_video_of_the_same_prompt_keeps_ours_from_nobody(tmp_path):
    since = datetime.now(UTC)
    with open_simulator() as simulator:
        simulator.accept(WAN, {**FORM}).created_at -= 60
        ours = simulator.accept(WAN, {**FORM})
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.find(request(), key="job-1", since=since)

    assert ref.operation_id == ours.id


@pytest.mark.parametrize("dated", [True, False])
async def test_only_by_the_clock_of_the_server_a_video_is_surely_ours(dated, tmp_path):
    """Its clock is an hour ahead, which its times alone do not show."""
    since, ahead = datetime.now(UTC), timedelta(hours=1)
    made = {"id": "v1", "prompt": FORM["prompt"], "seed": 0, "status": "queued"}
    made["created_at"] = (since + ahead).timestamp()
    date = {"Date": format_datetime(since + ahead, usegmt=True)} if dated else {}

    async def server(call):
        return httpx.Response(200, json={"data": [made], "has_more": False}, headers=date)

    transport = httpx.MockTransport(server)
    async with opened("http://localhost:1", tmp_path, transport=transport) as backend:
        finding = backend.find(request(), key="job-1", since=since)
        if dated:
            assert (await finding).operation_id == "v1"
        else:
            with pytest.raises(BackendResponseError, match="v1"):
                await finding


async def test_a_video_of_another_job_of_this_process_does_not_count(tmp_path):
    since = datetime.now(UTC)
    with open_simulator() as simulator:
        async with opened(simulator, tmp_path) as backend:
            await backend.submit(request(), key="job-0")
            found = await backend.find(request(), key="job-1", since=since)

    assert found is None


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_nothing_is_found_of_what_was_never_accepted(flavour, tmp_path):
    since = datetime.now(UTC)
    faults = [Fault("submit", "close_before_accept")]
    with OpenAISimulator(faults, flavour=flavour) as simulator:
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(SubmitUncertainError):
                await backend.submit(request(), key="job-1")
            other = request(size=Size(width=128, height=64))
            await backend.submit(other, key="job-2")
            assert await backend.find(request(), key="job-1", since=since) is None
            later = since + timedelta(hours=1)
            assert await backend.find(other, key="job-3", since=later) is None


async def test_a_video_is_found_pages_down_in_the_list(tmp_path):
    since = datetime.now(UTC)
    with open_simulator() as simulator:
        other = {"prompt": "a hare", "size": "128x64", "num_frames": "9", "fps": "8"}
        hidden = simulator.accept(WAN, {**FORM})
        for _ in range(205):
            simulator.accept(WAN, {**other})
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.find(request(), key="job-1", since=since)

    assert ref.operation_id == hidden.id
    assert len(simulator.calls("list")) == 3


async def test_a_list_that_cannot_be_had_says_to_ask_again(tmp_path):
    faults = [Fault("list", "status", times=None)]
    with OpenAISimulator(faults) as simulator:
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(BackendUnavailableError):
                await backend.find(request(), key="job-1", since=datetime.now(UTC))


async def test_a_web_page_instead_of_an_answer_is_uncertain_and_names_the_address(tmp_path):
    with OpenAISimulator([Fault("submit", "html")]) as simulator:
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(SubmitUncertainError, match="text/html"):
                await backend.submit(request(), key="job-1")

    assert len(simulator.calls("submit")) == 1


async def test_a_web_page_instead_of_a_poll_is_no_failed_job(tmp_path):
    faults = [Fault("status", "html", times=2)]
    with OpenAISimulator(faults) as simulator:
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.submit(request(), key="job-1")
            for _ in range(2):
                with pytest.raises(BackendUnavailableError):
                    await events_of(backend, ref)
            assert isinstance((await events_of(backend, ref))[-1], JobCompleted)


async def test_a_page_not_found_of_a_proxy_is_no_lost_video(tmp_path):
    async def proxy(call):
        return httpx.Response(404, html="<html>nginx</html>")

    with OpenAISimulator() as simulator:
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.submit(request(), key="job-1")
    async with opened("http://localhost:1", tmp_path, transport=httpx.MockTransport(proxy)) as lost:
        with pytest.raises(BackendUnavailableError, match="something else answers"):
            await lost.status(ref)


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_wrong_key_is_refused_and_the_right_one_serves_the_video_too(flavour, tmp_path):
    with OpenAISimulator(flavour=flavour, key=SECRET) as simulator:
        async with opened(simulator, tmp_path, key="sk-wrong-0815") as backend:
            with pytest.raises(BackendAuthenticationError) as caught:
                await backend.submit(request(), key="job-1")
        async with opened(simulator, tmp_path, key=SECRET) as backend:
            end = await end_of(backend, request())

    assert "sk-wrong-0815" not in str(to_info(caught.value))
    assert isinstance(end, JobCompleted)
    assert simulator.accepted == 1


async def test_the_key_stands_in_no_log_error_event_or_file(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    faults = [Fault("status", "html"), Fault("content", "status", status=404)]
    with OpenAISimulator(faults, key=SECRET) as simulator:
        async with opened(simulator, tmp_path, key=SECRET) as backend:
            ref = await backend.submit(request(), key="job-1")
            with pytest.raises(MediaAgentError) as caught:
                await events_of(backend, ref)
            events = await events_of(backend, ref)
            shown = repr(backend) + repr(vars(backend)) + backend.capabilities().model_dump_json()

    said = [event.model_dump_json() for event in events] + [ref.model_dump_json(), shown]
    said += [str(caught.value), str(caught.value.hint), caplog.text]
    assert isinstance(events[-1], JobCompleted)
    assert all(SECRET not in text for text in said)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


async def test_vllm_omni_aborts_and_the_video_is_cancelled(tmp_path):
    with OpenAISimulator(flavour="vllm-omni", running_polls=100) as simulator:
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.submit(request(), key="job-1")
            await backend.cancel(ref)
            end = (await events_of(backend, ref))[-1]

    assert isinstance(end, JobCancelled)
    assert end.warnings == ()
    assert simulator.jobs[ref.operation_id].is_cancelled


@pytest.mark.parametrize("flavour", ["sglang", "fastvideo"])
async def test_a_server_that_cannot_stop_keeps_its_video(flavour, tmp_path):
    with OpenAISimulator(flavour=flavour, running_polls=100) as simulator:
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.submit(request(), key="job-1")
            await backend.cancel(ref)
            end = (await events_of(backend, ref))[-1]

    assert isinstance(end, JobCancelled)
    assert end.cancellation is not None
    assert end.cancellation.stopped is not True
    assert simulator.calls("cancel") == []


async def test_a_finished_video_is_not_deleted_by_a_late_cancel(tmp_path):
    with OpenAISimulator(flavour="vllm-omni", queued_polls=0, running_polls=0) as simulator:
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.submit(request(), key="job-1")
            await backend.cancel(ref)
            end = (await events_of(backend, ref))[-1]

    assert isinstance(end, JobCompleted)
    assert simulator.calls("cancel") == []


async def test_a_cancel_that_is_under_way_is_taken_as_done(tmp_path):
    faults = [Fault("cancel", "status", status=409, accepts=True)]
    with OpenAISimulator(faults, flavour="vllm-omni", running_polls=100) as simulator:
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.submit(request(), key="job-1")
            await backend.cancel(ref)
            assert isinstance((await events_of(backend, ref))[-1], JobCancelled)


async def test_a_video_that_is_not_there_yet_is_waited_for(tmp_path):
    faults = [Fault("content", "status", status=404, times=2)]
    with OpenAISimulator(faults) as simulator:
        async with opened(simulator, tmp_path) as backend:
            assert isinstance(await end_of(backend, request()), JobCompleted)


@pytest.mark.parametrize(
    ("status", "said"),
    [(400, "in a cloud"), (404, "not there"), (409, "409"), (422, "failed after all")],
)
async def test_a_video_that_does_not_come_is_not_failed_and_can_be_had_later(
    status, said, tmp_path
):
    faults = [Fault("content", "status", status=status, times=None)]
    with OpenAISimulator(faults) as simulator:
        async with opened(simulator, tmp_path) as backend:
            ref = await backend.submit(request(), key="job-1")
            end = (await events_of(backend, ref))[-1]
            asked = len(simulator.calls("content"))
            simulator.clear_faults()
            later = (await events_of(backend, ref))[-1]

    assert isinstance(end, JobOutcomeUnknown)
    assert said in end.error.message
    assert 5 < asked < 20
    assert isinstance(later, JobCompleted)


async def test_a_video_that_is_late_by_minutes_of_the_clock_is_waited_for_by_polls(tmp_path):
    faults = [Fault("content", "status", status=404, times=4)]
    with OpenAISimulator(faults) as simulator:
        async with opened(simulator, tmp_path) as backend:
            now = iter(range(0, 10**9, 10_000))
            backend._clock = lambda: float(next(now))
            assert isinstance(await end_of(backend, request()), JobCompleted)


async def test_a_video_elsewhere_is_given_by_its_address_and_the_key_stays_here(tmp_path):
    url = "https://videos.example.com/fox.mp4?signature=abc"
    with OpenAISimulator(cloud_url=url, key=SECRET) as simulator:
        async with opened(simulator, tmp_path, key=SECRET) as backend:
            end = await end_of(backend, request())

    assert end.artifacts[0].uri == url
    assert simulator.calls("content") == []


async def test_a_video_on_the_server_itself_is_fetched_with_the_key(tmp_path):
    with OpenAISimulator(key=SECRET) as simulator:
        async with opened(simulator, tmp_path, key=SECRET) as backend:
            ref = await backend.submit(request(), key="job-1")
            simulator.cloud_url = f"{simulator.url}/files/{ref.operation_id}.mp4"
            end = (await events_of(backend, ref))[-1]

    assert probe(Path(end.artifacts[0].path)).frames == 9
    assert simulator.calls("file")[0].headers["authorization"] == f"Bearer {SECRET}"


async def test_no_variant_is_asked_for(tmp_path):
    with OpenAISimulator() as simulator:
        async with opened(simulator, tmp_path) as backend:
            await end_of(backend, request())

    assert simulator.calls("content")[0].query == {}


async def test_a_model_that_is_not_served_is_refused_with_those_that_are(tmp_path):
    with OpenAISimulator(flavour="vllm-omni") as simulator:
        async with opened(simulator, tmp_path) as backend:
            wanted = request(model="openai-compatible/acme/nope")
            with pytest.raises(InvalidRequestError) as caught:
                await backend.submit(wanted, key="job-1")

    assert "acme/nope" in caught.value.message
    assert WAN in caught.value.hint
    assert simulator.accepted == 0


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_refusal_is_not_its_own_cause(flavour, tmp_path):
    faults = [Fault("submit", "status", status=400, times=9)]
    with OpenAISimulator(faults, flavour=flavour) as simulator:
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(InvalidRequestError) as caught:
                await backend.submit(request(), key="job-1")

    assert caught.value.__cause__ is not caught.value


async def test_the_record_names_the_model_that_the_server_lists(tmp_path):
    with OpenAISimulator() as simulator:  # SGLang takes any name, and repeats it
        async with opened(simulator, tmp_path) as backend:
            end = await end_of(backend, request(model="openai-compatible/acme/nope"))

    assert end.model == WAN
    assert end.warnings == (
        f"acme/nope was asked for; {WAN} made the video: the server lists {WAN}",
    )


async def test_a_server_that_was_started_with_another_model_is_asked_again(tmp_path):
    with OpenAISimulator() as simulator:
        async with opened(simulator, tmp_path) as backend:
            first = await end_of(backend, request(model=f"openai-compatible/{WAN}"))
            simulator.model = "acme/new"
            wanted = request(model=f"openai-compatible/{WAN}", seed=1)
            second = await end_of(backend, wanted, key="job-2")

    assert (first.model, first.warnings) == (WAN, ())
    assert second.model == "acme/new"


@pytest.mark.parametrize(
    ("said", "asked", "served", "model", "warned"),
    [
        ("a", "a", ("a",), "a", None),
        ("a", "a", ("b", "a"), "a", None),
        ("a", "a", (), "a", None),  # it does not say
        ("sora", None, ("a",), "a", None),  # nobody asked for that name
        ("default", None, ("a",), "a", None),
        ("sora", None, ("a", "b"), None, None),
        ("x", "x", ("a",), "a", "x was asked for; a made the video: the server lists a"),
        ("a", "x", ("a", "b"), "a", "x was asked for; a made the video: the server lists a, b"),
        (
            "x",
            "x",
            ("b", "a"),
            "x",
            "x was asked for, but the server lists a, b: one of them made the video",
        ),
    ],
)
def test_which_model_made_a_video(said, asked, served, model, warned):
    assert find_model(said, asked, served) == (model, warned)


async def test_a_server_without_videos_is_a_wrong_address(tmp_path):
    with OpenAISimulator() as simulator:
        async with opened(f"{simulator.url}/api", tmp_path) as backend:
            with pytest.raises(ConfigurationError, match="makes none there") as caught:
                await backend.submit(request(), key="job-1")

    assert "/v1" in caught.value.hint


async def test_the_complaint_of_the_server_is_passed_on(tmp_path):
    options = {"openai-compatible": {"guidance_scale": 99}}
    with OpenAISimulator(flavour="vllm-omni") as simulator:
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(InvalidRequestError, match=r"guidance_scale.*Input should be"):
                await backend.submit(request(options=options), key="job-1")


async def test_a_moderated_prompt_is_rejected_content(tmp_path):
    async def moderating(call):
        return httpx.Response(400, json={"error": {"code": "moderation_blocked", "message": "no"}})

    transport = httpx.MockTransport(moderating)
    async with opened("http://localhost:1", tmp_path, transport=transport) as backend:
        with pytest.raises(ContentRejectedError):
            await backend.submit(request(), key="job-1")


async def test_a_server_that_is_not_there_accepted_nothing(tmp_path):
    async with opened("http://127.0.0.1:1/v1", tmp_path) as backend:
        with pytest.raises(BackendUnavailableError, match="cannot be reached"):
            await backend.submit(request(), key="job-1")


async def test_the_models_of_the_server_can_be_asked_for(tmp_path):
    with OpenAISimulator() as simulator:
        async with opened(simulator, tmp_path) as backend:
            assert await backend.models() == (WAN,)


def made(folder, base_url="http://localhost:30000", model=None, **options):
    return OpenAICompatibleBackend(
        BackendSettings(data_dir=folder, base_url=base_url, model=model, options=options)
    )


async def test_without_an_address_it_says_where_to_set_it(tmp_path):
    backend = made(tmp_path, base_url=None)

    with pytest.raises(ConfigurationError) as caught:
        await backend.submit(request(), key="job-1")

    assert "base_url = " in caught.value.hint
    assert "base_url = " in backend.capabilities().missing
    assert made(tmp_path).capabilities().missing is None


def test_a_key_that_the_settings_name_is_wanted(tmp_path):
    problem = "the variable MY_UNSET_KEY is not set"
    settings = BackendSettings(
        data_dir=tmp_path,
        base_url="http://localhost:30000",
        names_key=True,
        key_problem=problem,
    )

    assert OpenAICompatibleBackend(settings).capabilities().missing == f"a key: {problem}"


def test_a_server_on_this_machine_is_local_and_another_is_not(tmp_path):
    assert made(tmp_path).capabilities().local
    assert not made(tmp_path, base_url="http://gpu.example.com:8000").capabilities().local


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sevrer": "sglang"}, "sevrer"),
        ({"server": "tgi"}, "server"),
        ({"default_size": "wide"}, "wide"),
        ({"default_fps": 0}, "default_fps"),
        ({"deadline_seconds": float("inf")}, "deadline_seconds"),
    ],
)
def test_wrong_options_are_named(options, said, tmp_path):
    with pytest.raises(ConfigurationError, match=said):
        made(tmp_path, **options)


def test_a_key_is_not_sent_in_the_clear_to_another_machine(tmp_path):
    settings = BackendSettings(
        data_dir=tmp_path, base_url="http://gpu.example.com:8000", key=SecretStr(SECRET)
    )

    with pytest.raises(ConfigurationError, match="in the clear"):
        OpenAICompatibleBackend(settings)

    assert made(tmp_path, base_url="http://gpu.example.com:8000").name == "openai-compatible"


def test_a_known_family_brings_its_numbers_and_the_settings_overrule_them(tmp_path):
    known = made(tmp_path, model=WAN).capabilities()
    told = made(tmp_path, model=WAN, default_size="1280x720", max_duration=5).capabilities()
    unknown = made(tmp_path).capabilities("acme/new-model")

    assert (known.default_fps, known.frame_multiple, known.frame_offset) == (16, 4, 1)
    assert str(known.default_size) == "832x480"
    assert str(told.default_size) == "1280x720"
    assert told.max_duration == 5
    assert (unknown.model, unknown.default_size) == ("acme/new-model", None)


@pytest.mark.parametrize(
    ("options", "longest"),
    [({}, 5), ({"default_duration": 8}, 8), ({"default_duration": 8, "max_duration": 60}, 60)],
)
def test_a_model_of_unknown_limit_makes_no_more_than_its_usual_length_at_once(
    tmp_path, options, longest
):
    capabilities = made(tmp_path, **options).capabilities("acme/new-model")

    assert capabilities.max_duration == longest
    assert ("max_duration" in capabilities.description) is ("max_duration" not in options)


def test_ten_minutes_of_a_model_of_unknown_limit_are_a_chain(tmp_path):
    router = Router({"openai-compatible": made(tmp_path)}, Catalogue({}), draw_seed=lambda: 7)

    plan = router.plan(
        VideoRequest(prompt="a fox", duration=600, model="openai-compatible/acme/new-model")
    )

    assert plan.method is Method.CHAIN
    assert max(part.request.num_frames for part in plan.segments) == 5 * 24


def test_several_videos_of_one_request_are_not_offered(tmp_path):
    plan = negotiate(
        VideoRequest(prompt="a fox", n=3),
        made(tmp_path).capabilities(),
        Policy.ADJUST,
        draw_seed=lambda: 7,
    )

    assert plan.request.n == 1
    assert [(each.asked, each.used) for each in plan.adjustments if each.field == "n"] == [(3, 1)]


def test_a_plan_for_wan_has_frames_that_wan_makes(tmp_path):
    backend = made(tmp_path, model=WAN)

    plan = negotiate(
        VideoRequest(prompt="a fox", duration=3),
        backend.capabilities(),
        Policy.ADJUST,
        draw_seed=lambda: 7,
        estimate=backend.estimate,
    )

    assert plan.request.num_frames == 49
    assert plan.estimate.cost_usd == 0
    assert "own hardware" in plan.estimate.source


def costs(folder, url, **options):
    return made(folder, url, **options).estimate(VideoRequest(prompt="a fox", duration=4)).cost_usd


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:30000",
        "http://127.0.0.1:30000/v1",
        "http://192.168.1.20:8000",
        "http://[fd00::1]:8000",
        "http://gpu-box:8000/v1",
        "https://gpu.internal/v1",
    ],
)
def test_hardware_of_ones_own_network_has_no_price(tmp_path, url):
    assert costs(tmp_path, url, allow_plain_http=True) == 0


@pytest.mark.parametrize("url", ["https://videos.example.com/v1", "https://8.8.8.8/v1"])
def test_a_server_at_a_public_address_has_the_price_of_the_settings_or_an_unknown_one(
    tmp_path, url
):
    assert costs(tmp_path, url) is None
    assert costs(tmp_path, url, usd_per_second=0.5) == 2
    assert costs(tmp_path, url, usd_per_second=0.5, usd_per_video=1) == 3
    assert costs(tmp_path, url, usd_per_video=0) == 0
    assert costs(tmp_path, "http://localhost:30000", usd_per_video=1) == 1


def test_a_budget_of_a_key_holds_a_server_of_unknown_price_back(tmp_path):
    backend = made(tmp_path, "https://videos.example.com/v1", model=WAN)
    plan = negotiate(
        VideoRequest(prompt="a fox", duration=4),
        backend.capabilities(),
        Policy.ADJUST,
        draw_seed=lambda: 7,
        estimate=backend.estimate,
    )

    with pytest.raises(BudgetExceededError, match="unknown price"):
        check_caller(plan, "alice", spent=0.0, limit=1000.0, period="in total")


def test_what_a_server_can_do_depends_on_which_it_is(tmp_path):
    sglang, vllm, either = (
        made(tmp_path, server=server).capabilities() for server in ("sglang", "vllm-omni", "auto")
    )

    assert (sglang.cancels, vllm.cancels, either.cancels) == (False, True, "unknown")
    assert (sglang.audio, vllm.audio) == (False, "unknown")
    lookups = [capabilities.lookup for capabilities in (sglang, vllm, either)]
    assert lookups == ["candidates"] * 3
    assert "enable_teacache" not in {option.name for option in vllm.options}
    assert "boundary_ratio" not in {option.name for option in sglang.options}
    steps = {capabilities.options[0].maximum for capabilities in (sglang, either)}
    assert (vllm.options[0].maximum, steps) == (200, {None})


def test_defaults_of_options_are_shown_with_them(tmp_path):
    options = {
        option.name: option for option in made(tmp_path, flow_shift=5).capabilities().options
    }

    assert options["flow_shift"].default == 5
    assert options["guidance_scale"].default is None


H3 = "MiniMaxAI/MiniMax-H3"


def h3_request(**fields):
    given = {"num_frames": 124, "fps": 24, "size": Size(width=1344, height=768)}
    return request(model=f"openai-compatible/{H3}", **(given | fields))


async def form_of_h3(flavour, folder, **fields):
    with OpenAISimulator(flavour=flavour, model=H3) as simulator:
        async with opened(simulator, folder, server=flavour) as backend:
            await backend.submit(h3_request(**fields), key="job-1")
        return sent(simulator)


async def test_sglang_is_asked_for_minimax_h3_by_a_task_and_a_target(tmp_path):
    form = await form_of_h3("sglang", tmp_path)

    assert json.loads(form.pop("target")) == {
        "short_edge": 768,
        "aspect_ratio": "16:9",
        "duration_seconds": 124 / 24,
    }
    assert form == {"prompt": "a fox in snow", "model": H3, "seed": "0", "task": "t2va"}


async def test_a_first_frame_of_minimax_h3_goes_along_inside_the_form_to_sglang(tmp_path):
    image = tmp_path / "frame.png"
    image.write_bytes(PNG)
    inputs = (MediaInput(role=InputRole.FIRST_FRAME, path=str(image)),)
    form = await form_of_h3("sglang", tmp_path, inputs=inputs)

    (frame,) = json.loads(form["conditions"])
    assert form["task"] == "fl2va"
    assert base64.b64decode(frame.pop("uri").removeprefix("data:image/png;base64,")) == PNG
    assert frame == {"type": "image", "role": "keyframe", "frame_index": 0}


async def test_vllm_omni_is_told_the_aspect_ratio_of_minimax_h3_and_frames_alone(tmp_path):
    form = await form_of_h3("vllm-omni", tmp_path)

    assert form["aspect_ratio"] == "16:9"
    assert (form["num_frames"], form["fps"], form["size"]) == ("124", "24", "1344x768")
    assert "seconds" not in form


async def test_fastvideo_is_asked_for_minimax_h3_as_for_any_model(tmp_path):
    form = await form_of_h3("fastvideo", tmp_path)

    assert form == {
        "prompt": "a fox in snow",
        "model": H3,
        "seed": "0",
        "size": "1344x768",
        "num_frames": "124",
        "fps": "24",
    }


async def test_minimax_h3_is_sent_to_no_server_that_is_not_named(tmp_path):
    with OpenAISimulator(model=H3) as simulator:
        async with opened(simulator, tmp_path) as backend:
            with pytest.raises(UnsupportedRequestError) as caught:
                await backend.submit(h3_request(), key="job-1")

    assert "vllm-omni" in (caught.value.hint or "")
    assert simulator.calls("submit") == []


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_minimax_h3_always_has_audio_and_takes_no_negative_prompt(flavour, tmp_path):
    async with opened("http://127.0.0.1:9", tmp_path, server=flavour) as backend:
        known = backend.capabilities(H3)

    assert (known.audio, known.negative_prompt) == ("always", False)
    assert (known.frame_multiple, known.frame_offset, known.default_fps) == (17, 5, 24)


async def test_fastvideo_takes_whole_rates_and_the_options_that_it_reads(tmp_path):
    with OpenAISimulator(flavour="fastvideo") as simulator:
        async with opened(simulator, tmp_path, server="fastvideo") as backend:
            names = {option.name for option in backend.capabilities().options}
            with pytest.raises(UnsupportedRequestError, match="FastVideo"):
                await backend.submit(request(fps=12.5), key="job-1")

    assert {"num_inference_steps", "guidance_scale", "enable_teacache"} <= names
    assert not {"flow_shift", "true_cfg_scale", "extra_params"} & names
    assert simulator.calls("submit") == []
