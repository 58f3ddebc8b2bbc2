"""An endpoint of a Gradio app: what it is called with, and what becomes of the call."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr

from media_agent.backend.local import describe_missing
from media_agent.backend.protocol import BackendSettings
from media_agent.backend.sending import as_refusal, follow_submission
from media_agent.errors import (
    BackendRefusedError,
    BackendResponseError,
    BackendUnavailableError,
    ConfigurationError,
    MediaAgentError,
    OperationNotFoundError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.negotiation.negotiate import negotiate
from media_agent.testing import events_of
from media_agent.testing.simulator.faults import Fault
from media_agent.testing.simulator.server import Answer, Call
from media_agent.video.probe import probe
from media_agent_hosted.providers.gradio import bounds
from media_agent_hosted.providers.gradio.backend import GradioBackend
from media_agent_hosted.providers.gradio.simulator import GradioSimulator
from media_agent_schemas.events import (
    BackendEvent,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
)
from media_agent_schemas.media import MediaInput
from media_agent_schemas.request import VideoRequest

pytest.importorskip("gradio_client")
pytestmark = pytest.mark.anyio
KEY = "hf_gradio_0123456789"
OPTIONS: dict[str, Any] = {
    "endpoint": "/generate",
    "parameters": {"prompt": "{prompt}", "seed": "{seed}", "frames": "{num_frames}"},
    "sizes": ["64x36"],
    "fps": [8],
    "max_duration": 4,
}


def make(folder: Path, url: str | None, *, key: str | None = KEY, **options: Any) -> GradioBackend:
    secret = None if key is None else SecretStr(key)
    settings = BackendSettings(
        folder, name="space", base_url=url, key=secret, options={**OPTIONS, **options}
    )
    return GradioBackend(settings, sleep=nap)


async def nap(seconds: float) -> None:
    await asyncio.sleep(0.01)


def plan(backend: GradioBackend, **fields: Any) -> VideoRequest:
    request = VideoRequest.model_validate({"prompt": "a fox", "num_frames": 9, **fields})
    return negotiate(request, backend.capabilities(), draw_seed=lambda: 7).request


@asynccontextmanager
async def running(
    folder: Path,
    outcome: str = "completed",
    *faults: Fault,
    kind: type[GradioSimulator] = GradioSimulator,
    **options: Any,
) -> AsyncIterator[tuple[GradioSimulator, GradioBackend]]:
    with kind(faults, outcome=outcome) as simulator:
        backend = make(folder, simulator.url, **options)
        yield simulator, backend
        await backend.aclose()


async def run(backend: GradioBackend, **fields: Any) -> list[BackendEvent]:
    ref = await backend.submit(plan(backend, **fields), key="job-1")
    return await events_of(backend, ref)


def data(simulator: GradioSimulator) -> Any:
    return json.loads(simulator.calls("submit")[-1].body)["data"]


async def test_the_parameters_get_the_request_and_the_video_is_fetched(tmp_path: Path) -> None:
    async with running(tmp_path) as (simulator, backend):
        events = await run(backend, seed=0)

    end, told = events[-1], [each for each in events if isinstance(each, JobProgressed)]
    assert isinstance(end, JobCompleted), end
    assert data(simulator) == ["a fox", 0, 9, None]
    assert (probe(Path(str(end.artifacts[0].path))).frames, end.seed) == (9, 0)
    assert {each.phase for each in told} <= {"queued", "running"}


async def test_the_place_in_the_queue_and_the_progress_bar_are_told(tmp_path: Path) -> None:
    async with running(tmp_path, "endless") as (simulator, backend):
        simulator.queued_polls = 10
        ref = await backend.submit(plan(backend), key="job-1")
        told: list[JobProgressed] = []
        async with asyncio.timeout(60):
            while not told or told[-1].fraction != 0.75:
                event = await backend.status(ref)
                assert isinstance(event, JobProgressed)
                told.append(event)
                await asyncio.sleep(0.01)

    assert any(
        each.phase == "queued" and (each.message or "").endswith("in the queue") for each in told
    )
    assert (told[-1].phase, told[-1].message) == ("running", "denoise")
    fractions = [each.fraction for each in told if each.fraction is not None]
    assert fractions == sorted(fractions)


async def test_an_image_is_uploaded(tmp_path: Path) -> None:
    Image.new("RGB", (64, 36), "red").save(tmp_path / "one.png")
    frame = MediaInput.model_validate({"role": "first_frame", "path": str(tmp_path / "one.png")})
    parameters = OPTIONS["parameters"] | {"image": "{first_frame}"}
    async with running(tmp_path, parameters=parameters) as (simulator, backend):
        end = (await run(backend, inputs=(frame,)))[-1]

    assert isinstance(end, JobCompleted)
    assert data(simulator)[3]["path"] == "/tmp/upload/first_frame.png"
    assert (tmp_path / "one.png").read_bytes() in simulator.calls("upload")[0].body


async def test_fixed_values_go_along_as_they_are(tmp_path: Path) -> None:
    parameters = {"prompt": "{prompt}, photo", "seed": 3, "frames": "{num_frames}", "image": None}
    async with running(tmp_path, parameters=parameters) as (simulator, backend):
        await run(backend)

    assert data(simulator) == ["a fox, photo", 3, 9, None]


async def test_the_apps_own_word_is_a_failure(tmp_path: Path) -> None:
    async with running(tmp_path, "failed") as (_, backend):
        end = (await run(backend))[-1]

    assert isinstance(end, JobFailed)
    assert end.error.message.endswith("says: no GPU left")


async def test_calls_are_forgotten_some_time_after_their_end_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent_hosted.providers.gradio.backend._REMEMBERED", 2)
    async with running(tmp_path, "failed") as (_, backend):
        refs = [await backend.submit(plan(backend), key=f"job-{number}") for number in range(4)]
        for ref in refs:
            await events_of(backend, ref)

        assert isinstance(await backend.status(refs[-2]), JobFailed)
        assert {*backend._sessions} == {ref.operation_id for ref in refs[2:]}


@pytest.mark.parametrize("outcome", ["stopped", "nothing"])
async def test_a_call_that_gives_nothing_has_not_failed(tmp_path: Path, outcome: str) -> None:
    async with running(tmp_path, outcome) as (simulator, backend):
        end = (await run(backend))[-1]

    assert isinstance(end, JobOutcomeUnknown)
    assert simulator.accepted == 1


async def test_a_cancel_ends_the_call_there(tmp_path: Path) -> None:
    async with running(tmp_path, "endless") as (simulator, backend):
        ref = await backend.submit(plan(backend), key="job-1")
        await backend.cancel(ref)
        end = (await events_of(backend, ref))[-1]

    assert isinstance(end, JobCancelled)
    assert all(job.is_cancelled for job in simulator.jobs.values())


async def test_a_backend_that_is_closed_leaves_no_call_that_nobody_hears(tmp_path: Path) -> None:
    async with running(tmp_path, "endless") as (simulator, backend):
        await backend.submit(plan(backend), key="job-1")

        await backend.aclose()

        assert all(job.is_cancelled for job in simulator.jobs.values())


@pytest.mark.parametrize(
    "fault",
    [
        Fault("submit", "close_after_accept"),
        Fault("submit", "garbage"),
        Fault("submit", "status", status=500, accepts=True),
        Fault("submit", "truncate"),
    ],
    ids=lambda fault: fault.kind,
)
async def test_a_lost_reply_is_not_sent_twice(tmp_path: Path, fault: Fault) -> None:
    async with running(tmp_path, "completed", fault) as (simulator, backend):
        with follow_submission() as sent, pytest.raises(SubmitUncertainError) as caught:
            await backend.submit(plan(backend), key="job-1")

    assert as_refusal(caught.value, backend.name, sent) is None
    assert len(simulator.calls("submit")) == simulator.accepted == 1


async def test_no_answer_in_time_is_of_unknown_outcome(tmp_path: Path) -> None:
    stall = Fault("submit", "stall")
    async with running(tmp_path, "completed", stall, timeout_seconds=0.5) as (_, backend):
        with pytest.raises(SubmitUncertainError):
            await backend.submit(plan(backend), key="job-1")


async def test_a_full_queue_may_have_taken_the_call(tmp_path: Path) -> None:
    async with running(tmp_path, "full") as (_, backend):
        with pytest.raises(SubmitUncertainError, match="Queue is full"):
            await backend.submit(plan(backend), key="job-1")


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_a_plain_no_is_a_refusal(tmp_path: Path, status: int) -> None:
    fault = Fault("submit", "status", status=status, times=None)
    async with running(tmp_path, "completed", fault) as (simulator, backend):
        with follow_submission() as sent, pytest.raises(MediaAgentError) as caught:
            await backend.submit(plan(backend), key="job-1")

    assert as_refusal(caught.value, backend.name, sent) is not None
    assert simulator.accepted == 0


async def test_several_first_frames_are_refused(tmp_path: Path) -> None:
    frame = {"role": "first_frame", "data": "aGVsbG8="}
    parameters = OPTIONS["parameters"] | {"image": "{first_frame}"}
    async with running(tmp_path, parameters=parameters) as (simulator, backend):
        with pytest.raises(UnsupportedRequestError, match="2 of role first_frame"):
            await run(backend, inputs=[frame, frame])

    assert simulator.requests == []


async def test_an_app_that_is_not_there_was_sent_nothing(tmp_path: Path) -> None:
    with GradioSimulator() as simulator:
        url = simulator.url
    backend = make(tmp_path, url)
    with follow_submission() as sent, pytest.raises(BackendUnavailableError):
        await backend.submit(plan(backend), key="job-1")
    await backend.aclose()

    assert not sent.may_be_accepted


async def test_what_is_no_app_is_said(tmp_path: Path) -> None:
    fault = Fault("config", "garbage", times=None)
    async with running(tmp_path, "completed", fault) as (_, backend):
        with pytest.raises(BackendResponseError, match="does not answer as a Gradio app"):
            await backend.submit(plan(backend), key="job-1")


async def test_an_app_that_says_too_much_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LARGEST_REPLY", 100)
    async with running(tmp_path) as (_, backend):
        with pytest.raises(BackendResponseError, match="more than 100 bytes"):
            await backend.submit(plan(backend), key="job-1")


async def test_an_app_that_says_nothing_is_not_reached(tmp_path: Path) -> None:
    stall = Fault("config", "stall", times=None)
    async with running(tmp_path, "completed", stall, timeout_seconds=0.5) as (_, backend):
        with follow_submission() as sent, pytest.raises(BackendUnavailableError):
            await backend.submit(plan(backend), key="job-1")

    assert not sent.may_be_accepted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"endpoint": "/genrate"},
            ".options.endpoint: the app has no endpoint /genrate; did you mean /generate?",
        ),
        (
            {"parameters": {"prompt": "{prompt}", "seeds": 1, "frames": "{num_frames}"}},
            "no parameter 'seeds'; did you mean seed?",
        ),
        (
            {"parameters": {"prompt": "{prompt}", "frames": "{num_frames}"}},
            "needs the parameter 'seed'",
        ),
    ],
)
async def test_a_call_that_the_app_does_not_have_is_not_sent(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    async with running(tmp_path, **options) as (simulator, backend):
        with pytest.raises(ConfigurationError) as caught:
            await backend.submit(plan(backend), key="job-1")

    assert said in caught.value.message
    assert simulator.calls("submit") == []


async def test_another_process_cannot_follow_the_call(tmp_path: Path) -> None:
    async with running(tmp_path) as (simulator, backend):
        ref = await backend.submit(plan(backend), key="job-1")
        other = make(tmp_path, simulator.url)
        with pytest.raises(OperationNotFoundError, match="only the process that called"):
            await events_of(other, ref)
        await other.aclose()
        assert isinstance((await events_of(backend, ref))[-1], JobCompleted)
        assert isinstance((await events_of(backend, ref))[-1], JobCompleted)


class _Elsewhere(GradioSimulator):
    """Names another machine for its API, and for its file."""

    prefix = ""
    address = ""

    def _config(self, call: Call) -> Answer:
        answer = super()._config(call)
        assert isinstance(answer.body, dict)
        answer.body["api_prefix"] = self.prefix or "/gradio_api"
        return answer

    def _end(self, job: Any) -> dict[str, Any]:
        said = json.dumps(super()._end(job))
        path = f'"path": "/tmp/{job.id}/v.mp4"'
        return json.loads(said.replace(path, f'"path": "{self.address}/{job.id}/v.mp4"'))  # type: ignore[no-any-return]  # it was one


async def test_the_key_goes_to_the_app_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_stored_on_this_machine")
    caplog.set_level(logging.DEBUG)
    with GradioSimulator() as other:
        async with running(tmp_path, kind=_Elsewhere) as (simulator, backend):
            assert isinstance(simulator, _Elsewhere)
            other.jobs = simulator.jobs
            simulator.address = f"{other.url}/gradio_api/file=/tmp"
            end = (await run(backend))[-1]
            ours = {call.headers.get("x-hf-authorization") for call in simulator.requests}
            simulator.prefix = f"{other.url}/"
            with pytest.raises(BackendRefusedError):
                await backend.submit(plan(backend, seed=1), key="job-2")
            said = [repr(call.headers) for call in (*other.requests, *simulator.requests)]

    assert isinstance(end, JobCompleted)
    assert {call.name for call in other.requests} == {"content"}
    assert ours == {f"Bearer {KEY}"}
    assert all(KEY not in each for each in said[: len(other.requests)])
    assert "hf_stored_on_this_machine" not in "".join(said)
    assert KEY not in caplog.text


async def test_without_a_key_none_is_sent_and_nobody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setenv("HF_TOKEN", "hf_stored_on_this_machine")
    monkeypatch.setattr("gradio_client.client.send_telemetry", lambda **facts: told.append(facts))
    async with running(tmp_path, key=None) as (simulator, backend):
        end = (await run(backend))[-1]

    assert isinstance(end, JobCompleted)
    assert all("authorization" not in " ".join(call.headers) for call in simulator.requests)
    assert told == []


@pytest.mark.parametrize("status", [401, 500])
async def test_a_key_that_is_echoed_is_told_to_nobody(tmp_path: Path, status: int) -> None:
    echo = Fault("*", "echo", status=status, times=None)
    async with running(tmp_path, "completed", echo) as (_, backend):
        with pytest.raises(MediaAgentError) as caught:
            await backend.submit(plan(backend), key="job-1")

    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.hint}"


def test_what_a_section_says_wrongly_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="base_url: it is missing"):
        make(tmp_path, None)
    with pytest.raises(ConfigurationError, match="the prompt is not used"):
        make(tmp_path, "http://127.0.0.1:7860", parameters={"text": "a fox"})
    with pytest.raises(ConfigurationError, match="there is no placeholder"):
        make(tmp_path, "http://127.0.0.1:7860", parameters={"text": "{promt}"})
    mixed = OPTIONS["parameters"] | {"b": "see {first_frame}"}
    with pytest.raises(ConfigurationError, match=r"parameters\.b: \{first_frame\} is a file"):
        make(tmp_path, "http://127.0.0.1:7860", parameters=mixed)
    with pytest.raises(ConfigurationError, match="would send key and prompt in the clear"):
        make(tmp_path, "http://spaces.example")


async def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio_client", None)
    describe_missing.cache_clear()
    backend = make(tmp_path, "http://127.0.0.1:7860")
    describe_missing.cache_clear()

    missing = str(backend.capabilities().missing)
    with pytest.raises(BackendUnavailableError) as caught:
        await backend.submit(plan(backend), key="job-1")

    assert "[gradio]" in missing
    assert missing in caught.value.message
