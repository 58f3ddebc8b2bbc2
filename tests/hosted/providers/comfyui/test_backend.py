"""A workflow on a ComfyUI server: what is sent for a request, and what becomes of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from media_agent.errors import (
    BackendRefusedError,
    BackendResponseError,
    InvalidRequestError,
    OperationNotFoundError,
    SubmitUncertainError,
    UnsupportedRequestError,
)
from media_agent.testing import SimulatedJob, events_of
from media_agent.testing.simulator.faults import Fault
from media_agent.testing.simulator.server import Answer, Call
from media_agent.testing.simulator.videos import Video, make_video
from media_agent.video.probe import probe
from media_agent_hosted.providers.comfyui.backend import ComfyBackend
from media_agent_hosted.providers.comfyui.simulator import ComfySimulator
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
from tests.hosted.providers.comfyui.kit import make, plan

pytestmark = pytest.mark.anyio


def sent(simulator: ComfySimulator) -> Any:
    """Return the body of the last submission."""
    return json.loads(simulator.calls("submit")[-1].body)


@asynccontextmanager
async def running(
    folder: Path, outcome: str = "completed", *, queued: int = 1, name: str = "wan", **options: Any
) -> AsyncIterator[tuple[ComfySimulator, ComfyBackend]]:
    with ComfySimulator(outcome=outcome, queued_polls=queued) as simulator:
        backend = make(folder, simulator.url, name=name, **options)
        yield simulator, backend
        await backend.aclose()


async def run(backend: ComfyBackend, **fields: Any) -> list[BackendEvent]:
    ref = await backend.submit(plan(backend, **fields), key="job-1")
    return await events_of(backend, ref)


async def test_the_slots_get_the_request_and_all_else_stays_as_it_was(tmp_path: Path) -> None:
    async with running(tmp_path) as (simulator, backend):
        fields = {"negative_prompt": "fog", "size": {"width": 640, "height": 384}, "duration": 2}
        await backend.submit(plan(backend, seed=0, fps=12, **fields), key="job-1")

    body = sent(simulator)
    inputs = {node["_meta"]["title"]: node["inputs"] for node in body["prompt"].values()}
    assert inputs["Prompt"]["text"] == "a fox runs"
    assert inputs["Negative Prompt"]["text"] == "fog"
    assert inputs["Video Size"] == {"width": 640, "height": 384, "length": 25, "batch_size": 1}
    assert (inputs["KSampler"]["seed"], inputs["KSampler"]["steps"]) == (0, 30)
    assert inputs["Create Video"]["fps"] == 12.0
    assert inputs["VAE Decode"] == {"samples": ["8", 0], "vae": ["3", 0]}
    assert body["prompt_id"] == body["client_id"] == body["extra_data"]["media_agent_key"]


@pytest.mark.parametrize("outcome", ["completed", "own_names"])
async def test_place_in_the_queue_nodes_and_steps_are_told(tmp_path: Path, outcome: str) -> None:
    pytest.importorskip("websockets")
    told: list[JobProgressed] = []
    async with running(tmp_path, outcome) as (simulator, backend):
        simulator.running_polls = 10**6
        ref = await backend.submit(plan(backend), key="job-1")
        async with asyncio.timeout(60), aclosing(backend.observe(ref)) as events:
            async for event in events:
                if isinstance(event, JobProgressed):
                    told.append(event)
                    if "step" in str(event.message):
                        break

    assert told[0].phase == "queued"
    assert str(told[0].message).startswith("number 1 in the queue of 127.0.0.1")
    assert told[-1].message == "node 1 of 11: Load Diffusion Model, step 10 of 20"
    assert told[-1].fraction == 0.5 / 11


async def test_nothing_is_kept_of_work_whose_end_was_told(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, backend):
        await run(backend)

        assert backend._progress == backend._missed == {}


async def test_without_a_websocket_the_work_is_seen_through(tmp_path: Path) -> None:
    async with running(tmp_path, "quiet") as (simulator, backend):
        end = (await run(backend))[-1]

    assert isinstance(end, JobCompleted)
    assert simulator.accepted == 1


@pytest.mark.parametrize(
    ("outcome", "fps"), [("vhs", 16), ("webp", 1000 / 60), ("gif", 1000 / 60), ("sequence", 16)]
)
async def test_whatever_a_node_saves_becomes_a_video(
    tmp_path: Path, outcome: str, fps: float
) -> None:
    async with running(tmp_path, outcome) as (_, backend):
        end = (await run(backend, num_frames=9))[-1]

    assert isinstance(end, JobCompleted), end
    found = probe(Path(str(end.artifacts[0].path)))
    assert (found.frames, found.width, found.height) == (9, 64, 36)
    assert found.fps == pytest.approx(fps, rel=0.02)
    assert (end.cost and end.cost.usd) == 0


class _Large(ComfySimulator):
    """Saves files that are larger than an answer may be."""

    def _file(self, job: SimulatedJob, end: str, number: int) -> bytes:
        return super()._file(job, end, number) + bytes(2**15)


@pytest.mark.parametrize("outcome", ["webp", "gif", "sequence"])
async def test_images_are_fetched_however_large_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    monkeypatch.setattr("media_agent_hosted.http.body.LARGEST_REPLY", 2**15)
    with _Large(outcome=outcome) as simulator:
        backend = make(tmp_path, simulator.url)
        end = (await run(backend, num_frames=5))[-1]
        await backend.aclose()

    assert isinstance(end, JobCompleted), end
    assert probe(Path(str(end.artifacts[0].path))).frames == 5


async def test_a_node_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    async with running(tmp_path, "failed") as (_, backend):
        end = (await run(backend))[-1]

    assert isinstance(end, JobFailed)
    assert "Load Diffusion Model (node 1): torch.OutOfMemoryError" in end.error.message


async def test_work_that_somebody_interrupts_there_is_cancelled(tmp_path: Path) -> None:
    async with running(tmp_path, "interrupted") as (_, backend):
        end = (await run(backend))[-1]

    assert isinstance(end, JobCancelled)


async def test_a_workflow_that_saves_no_video_has_not_failed(tmp_path: Path) -> None:
    async with running(tmp_path, "nothing") as (_, backend):
        end = (await run(backend))[-1]

    assert isinstance(end, JobOutcomeUnknown)
    assert "saved no video" in end.error.message


async def test_a_refused_workflow_names_the_node_and_nothing_is_accepted(tmp_path: Path) -> None:
    async with running(tmp_path, "invalid") as (simulator, backend):
        with pytest.raises(InvalidRequestError) as caught:
            await run(backend)

    assert "Load Diffusion Model (node 1): Value not in list, unet_name" in caught.value.message
    assert simulator.accepted == 0


async def test_a_cancel_takes_waiting_work_out_of_the_queue(tmp_path: Path) -> None:
    async with running(tmp_path, queued=1000) as (simulator, backend):
        ref = await backend.submit(plan(backend), key="job-1")
        await backend.cancel(ref)
        end = (await events_of(backend, ref))[-1]

    assert isinstance(end, JobCancelled)
    assert [call.path for call in simulator.calls("cancel")] == ["/queue"]


async def test_a_cancel_interrupts_work_that_runs_and_no_other(tmp_path: Path) -> None:
    async with running(tmp_path, queued=0) as (simulator, backend):
        simulator.running_polls = 1000
        ref = await backend.submit(plan(backend), key="job-1")
        await backend.cancel(ref)
        end = (await events_of(backend, ref))[-1]
        await backend.cancel(ref)

    assert isinstance(end, JobCancelled)
    assert [call.json() for call in simulator.calls("cancel")] == [{"prompt_id": ref.operation_id}]


async def test_a_server_that_was_restarted_ends_the_waiting_in_words(tmp_path: Path) -> None:
    async with running(tmp_path, queued=1000) as (simulator, backend):
        ref = await backend.submit(plan(backend), key="job-1")
        await backend.status(ref)
        simulator.restart()
        with pytest.raises(OperationNotFoundError) as caught:
            await events_of(backend, ref)

    assert "it was restarted, or its history was cleared" in caught.value.message
    assert "submit it again" in str(caught.value.hint)
    assert len(simulator.calls("submit")) == 1


async def test_work_is_found_on_a_server_that_names_it_itself(tmp_path: Path) -> None:
    async with running(tmp_path, "own_names") as (simulator, backend):
        simulator.inject(Fault("submit", "close_after_accept"))
        request = plan(backend)
        with pytest.raises(SubmitUncertainError):
            await backend.submit(request, key="job-1")
        (job,) = simulator.jobs.values()
        since = datetime.now(UTC) - timedelta(minutes=1)

        waiting = await backend.find(request, key="job-1", since=since)
        job.polls = 1000
        done = await backend.find(request, key="job-1", since=since)
        other = await backend.find(request, key="job-2", since=since)

    assert waiting is not None
    assert done is not None
    assert waiting.operation_id == done.operation_id == job.id
    assert other is None


async def test_an_image_is_uploaded_and_named_to_its_node(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "one.png")
    frame = MediaInput.model_validate({"role": "first_frame", "path": str(tmp_path / "one.png")})
    async with running(tmp_path, name="ltx") as (simulator, backend):
        end = (await run(backend, inputs=(frame,), fps=24))[-1]

    name = sent(simulator)["prompt"]["5"]["inputs"]["image"]
    (upload,) = simulator.calls("upload")
    assert isinstance(end, JobCompleted)
    assert name.startswith("media-agent-")
    assert f'filename="{name}"'.encode() in upload.body
    assert [sent(simulator)["prompt"][node]["inputs"] for node in ("7", "12")] == [
        {"positive": ["6", 0], "negative": ["6", 1], "frame_rate": 24.0},
        {"images": ["11", 0], "fps": 24.0},
    ]


ROLES = ("first_frame", "last_frame")


@pytest.mark.parametrize(
    ("roles", "mode", "said"),
    [
        (["last_frame"], None, "one first_frame; given: none"),
        ([], "first_last_frame", "one first_frame; given: none"),
        (["first_frame"], "first_last_frame", "one last_frame; given: none"),
        (["first_frame", "last_frame", "last_frame"], None, "2 of role last_frame"),
    ],
)
async def test_a_slot_for_an_image_gets_exactly_one(
    tmp_path: Path, roles: list[str], mode: str | None, said: str
) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "one.png")
    inputs = [{"role": role, "path": str(tmp_path / "one.png")} for role in roles]
    slots = {
        "prompt": "Prompt.text",
        "first_frame": "Save Video.filename_prefix",
        "last_frame": "Save Video.format",
    }
    fixed = {"size": "64x36", "fps": 8, "duration": 2}
    async with running(tmp_path, slots=slots, **fixed) as (simulator, backend):
        with pytest.raises(UnsupportedRequestError, match=said):
            await run(backend, inputs=inputs, mode=mode)
        whole = [{"role": role, "path": str(tmp_path / "one.png")} for role in ROLES]
        planned = plan(backend, inputs=whole).model_dump()
        request = VideoRequest.model_validate(planned | {"inputs": inputs})
        with pytest.raises(InvalidRequestError, match=said):
            await backend.submit(request, key="unplanned")

    assert simulator.requests == []


async def test_a_source_video_is_uploaded_and_named_to_its_node(tmp_path: Path) -> None:
    (tmp_path / "one.mp4").write_bytes(make_video(Video()))
    place = str(tmp_path / "one.mp4")
    source = MediaInput.model_validate({"role": "source_video", "path": place})
    slots = {"prompt": "Prompt.text", "source_video": "Save Video.filename_prefix"}
    fixed = {"size": "64x36", "fps": 8, "duration": 2}
    async with running(tmp_path, slots=slots, **fixed) as (simulator, backend):
        end = (await run(backend, inputs=(source,), mode="video_edit"))[-1]

    name = sent(simulator)["prompt"]["11"]["inputs"]["filename_prefix"]
    assert isinstance(end, JobCompleted)
    assert name.startswith("media-agent-")
    assert name.endswith(".mp4")
    assert (tmp_path / "one.mp4").read_bytes() in simulator.calls("upload")[0].body


async def test_a_parameter_of_the_workflow_is_an_option(tmp_path: Path) -> None:
    parameters = {"steps": "KSampler.steps", "shift": "Shift.shift", "name": "11.filename_prefix"}
    async with running(tmp_path, parameters=parameters) as (simulator, backend):
        specs = {spec.name: spec.type for spec in backend.capabilities().options}
        await run(backend, options={"wan": {"steps": 8, "shift": 5, "name": "video/x"}})

    graph = sent(simulator)["prompt"]
    assert specs == specs | {"steps": "integer", "shift": "number", "name": "string"}
    assert graph["8"]["inputs"]["steps"] == 8
    assert graph["4"]["inputs"]["shift"] == 5.0
    assert graph["11"]["inputs"]["filename_prefix"] == "video/x"


async def test_a_fraction_is_not_sent_to_a_node_that_takes_whole_numbers(tmp_path: Path) -> None:
    slots = {"prompt": "Prompt.text", "num_frames": "Video Size.length", "fps": "KSampler.steps"}
    async with running(tmp_path, slots=slots, size="64x36") as (simulator, backend):
        with pytest.raises(InvalidRequestError) as caught:
            await run(backend, fps=23.976)

    assert "fps is 23.976, and KSampler (node 8) takes whole numbers" in caught.value.message
    assert simulator.accepted == 0


class _Odd(ComfySimulator):
    """Answers about past work in words of its own."""

    past: Any = None
    queue: Any = None

    def _history(self, call: Call) -> Answer:
        return Answer(200, {call.arguments["id"]: self.past})

    def _queue(self, call: Call) -> Answer:
        return Answer(200, self.queue or {"queue_running": [], "queue_pending": []})


def _file(name: str, folder: str = "output") -> dict[str, str]:
    return {"filename": name, "subfolder": "", "type": folder}


async def test_a_state_that_nobody_knows_is_progress(tmp_path: Path) -> None:
    with _Odd() as simulator:
        simulator.past = {"outputs": {}, "status": {"status_str": "postponed", "messages": []}}
        backend = make(tmp_path, simulator.url)
        ref = await backend.submit(plan(backend), key="job-1")
        event = await backend.status(ref)
        await backend.aclose()

    assert event == JobProgressed(phase="postponed")


async def test_of_several_videos_one_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    outputs = {
        "8": {"gifs": [_file("preview.mp4", "temp")]},
        "9": {"images": [_file("x_00001_.png")]},
        "10": {"images": [_file("x_00001_.mp4")]},
        "11": {"videos": [_file("x_00002_.mp4")]},
    }
    taken = []
    with _Odd() as simulator:
        simulator.past = {"outputs": outputs, "status": {"status_str": "success"}}
        for options in ({}, {"output": "Create Video"}):
            backend = make(tmp_path, simulator.url, **options)
            ref = await backend.submit(plan(backend), key="job-1")
            simulator.past["outputs"] = json.loads(
                json.dumps(outputs).replace('"x_', f'"{ref.operation_id}_')
            )
            end = await backend.status(ref)
            assert isinstance(end, JobCompleted), end
            taken.append((simulator.calls("content")[-1].query["filename"][-10:], end.warnings))
            await backend.aclose()

    several = "the workflow saved several videos; also Create Video (node 10): the option output"
    assert taken == [("00002_.mp4", (f"{several} chooses",)), ("00001_.mp4", ())]


@pytest.mark.parametrize("queue", [{"status": "ok"}, {"queue_running": "none"}])
async def test_what_is_no_queue_says_nothing_about_the_work(
    tmp_path: Path, queue: dict[str, str]
) -> None:
    with _Odd() as simulator:
        simulator.queue = queue
        backend = make(tmp_path, simulator.url)
        ref = await backend.submit(plan(backend), key="job-1")
        with pytest.raises(BackendResponseError, match="no queue of a ComfyUI server"):
            await backend.status(ref)
        await backend.aclose()


class _Busy(ComfySimulator):
    """Has work of others too, each with a workflow as the editor saves it."""

    def _others(self) -> list[Any]:
        graph = {str(number): {"inputs": [0] * 100} for number in range(60)}
        return [[number, f"other-{number}", graph, {}, []] for number in range(100, 160)]

    def _queue(self, call: Call) -> Answer:
        answer = super()._queue(call)
        assert isinstance(answer.body, dict)
        pending = answer.body["queue_pending"]
        assert isinstance(pending, list)
        pending += self._others()
        return answer

    def _all_history(self, call: Call) -> Answer:
        answer = super()._all_history(call)
        assert isinstance(answer.body, dict)
        for entry in self._others():
            answer.body[entry[1]] = {"prompt": entry, "outputs": {}, "status": {}}
        return answer


async def test_a_long_queue_and_a_long_history_keep_no_work_from_being_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent_hosted.providers.comfyui.server._RESTS", 1)  # soon asked again
    with _Busy(outcome="own_names") as simulator:
        backend = make(tmp_path, simulator.url)
        request = plan(backend)
        ref = await backend.submit(request, key="job-1")
        waiting = await backend.status(ref)
        end = (await events_of(backend, ref))[-1]
        lost = make(tmp_path / "lost", simulator.url)
        found = await lost.find(request, key="job-1", since=datetime.now(UTC))
        await backend.aclose()
        await lost.aclose()

    assert isinstance(waiting, JobProgressed)
    assert isinstance(end, JobCompleted)
    assert found is not None
    assert found.operation_id == ref.operation_id


async def test_work_that_is_over_is_seen_without_the_queue(tmp_path: Path) -> None:
    async with running(tmp_path) as (simulator, backend):
        ref = await backend.submit(plan(backend), key="job-1")
        await events_of(backend, ref)
        looks = len(simulator.calls("status"))
        end = await backend.status(ref)

    assert isinstance(end, JobCompleted)
    assert len(simulator.calls("status")) == looks


async def test_another_program_at_the_address_is_said_to_be_one(tmp_path: Path) -> None:
    async with running(tmp_path) as (simulator, backend):
        ref = await backend.submit(plan(backend), key="job-1")
        other = make(tmp_path, f"{simulator.url}/elsewhere")
        with pytest.raises(BackendResponseError, match="does not answer as a ComfyUI server"):
            await other.status(ref)
        with pytest.raises(BackendRefusedError):
            await other.submit(plan(other), key="job-2")
        await other.aclose()

    assert simulator.accepted == 1


class _Partly(ComfySimulator):
    """Accepts a workflow, and says what of it cannot run."""

    def _submit(self, call: Call) -> Answer:
        answer = super()._submit(call)
        assert isinstance(answer.body, dict)
        error = {"message": "Required input is missing", "details": "images"}
        answer.body["node_errors"] = {"11": {"errors": [error]}}
        return answer


async def test_what_the_server_leaves_out_of_a_workflow_is_a_warning(tmp_path: Path) -> None:
    with _Partly() as simulator:
        backend = make(tmp_path, simulator.url)
        end = (await run(backend))[-1]
        await backend.aclose()

    assert isinstance(end, JobCompleted)
    said = "left out there: Save Video (node 11): Required input is missing, images"
    assert end.warnings == (said,)


class _Elsewhere(ComfySimulator):
    """Sends its websocket away."""

    target = ""

    def _socket(self, call: Call) -> Answer:
        return Answer(302, b"", headers={"Location": f"{self.target}/ws"})


async def test_a_key_in_its_own_header_follows_no_websocket_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("websockets")
    with ComfySimulator() as other, _Elsewhere() as simulator:
        simulator.target = other.url.replace("http", "ws")
        backend = make(tmp_path, simulator.url, key="secret-1234567", auth="X-Api-Key: {key}")
        end = (await run(backend))[-1]
        await backend.aclose()

    assert isinstance(end, JobCompleted)
    assert simulator.calls("socket")[0].headers["x-api-key"] == "secret-1234567"
    assert all(call.headers["x-api-key"] == "secret-1234567" for call in simulator.requests)
    assert other.requests == []
