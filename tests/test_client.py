"""The way of a job, with a backend that does as it is told."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendUnavailableError,
    ContentRejectedError,
    IdempotencyConflictError,
    InvalidRequestError,
    JobError,
    JobNotFoundError,
    MediaAgentError,
    StorageError,
    SubmitUncertainError,
    to_info,
)
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.sync import BlockingVideoClient
from media_agent.testing.simulator.videos import write_video
from media_agent.video.probe import describe
from media_agent_schemas import (
    Artifact,
    ArtifactKind,
    BackendEvent,
    Capabilities,
    ChangePrompt,
    ChunkReady,
    Control,
    Cost,
    Estimate,
    Finish,
    GenerationRecord,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    JobStatus,
    OperationRef,
    PromptChanged,
    ResumeToken,
    Shot,
    Timing,
    VideoRequest,
)

CHUNK = 4
REQUEST = VideoRequest(prompt="a cat", duration=2, seed=0, labels={"for": "test"})
INNER = Artifact(uri="http://169.254.169.254/latest")
Line = BackendEvent | Exception


class ScriptedBackend:
    """Says its lines; an exception among them is raised, and the next call continues after it."""

    name = "script"

    def __init__(self, settings: BackendSettings) -> None:
        self.lines: list[Line] = []
        self.refusal: Exception | None = None
        self.submitted: list[tuple[VideoRequest, str]] = []
        self.commands: list[ChangePrompt | Finish] = []
        self.control_faults: list[Exception] = []
        self.cancelled = asyncio.Event()
        self.waits_for_cancel = False
        self.is_closed = False
        self.resubmits = False
        self.lookup: Literal["key", "list", "none"] = "none"
        self.findings: list[OperationRef | Exception | None] = []

    def capabilities(self, model: str | None = None) -> Capabilities:
        if model not in (None, "one"):
            raise InvalidRequestError(f"script has no model {model!r}")
        return Capabilities(
            backend="script",
            model="one",
            default_fps=4,
            chunk_seconds=1,
            max_shots=None,
            seed=True,
            controls=(Control.CHANGE_PROMPT,),
            resubmits=self.resubmits,
            lookup=self.lookup,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0)

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        self.submitted.append((request, key))
        if self.refusal is not None:
            raise self.refusal
        return OperationRef(backend="script", operation_id=key)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        found = self.findings.pop(0) if self.findings else None
        if isinstance(found, Exception):
            raise found
        return found

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        while self.lines:
            line = self.lines.pop(0)
            if isinstance(line, JobCancelled) and self.waits_for_cancel:
                await self.cancelled.wait()
            if isinstance(line, Exception):
                raise line
            yield line

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        if self.control_faults:
            raise self.control_faults.pop(0)
        self.commands.append(command)

    async def cancel(self, ref: OperationRef) -> None:
        self.cancelled.set()

    async def aclose(self) -> None:
        self.is_closed = True


class Stage:
    """A client with a scripted backend, a stopped clock and a folder for videos."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out.mp4"
        self.record_path = folder / "out.json"
        self.pauses: list[float] = []
        settings = load_settings(data_dir=folder / "data", default_backend="script")
        self.backend = ScriptedBackend(settings.backend_settings("script"))
        spec = BackendSpec(name="script", factory=lambda settings: self.backend)
        self.client = VideoClient(
            settings=settings,
            registry=Registry(Discovery({"script": spec})),
            now=lambda: datetime(2026, 1, 2, tzinfo=UTC),
            sleep=self.pause,
            draw_seed=lambda: 7,
        )

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def video(self, frames: int = 2 * CHUNK, kind: ArtifactKind = ArtifactKind.VIDEO) -> Artifact:
        path = self.folder / "backend.mp4"
        write_video(path, np.zeros((frames, 16, 16, 3), np.uint8), fps=4)
        return describe(path, kind)

    def play(self, *lines: Line) -> None:
        self.backend.lines = list(lines)

    def record(self) -> GenerationRecord:
        return GenerationRecord.model_validate_json(self.record_path.read_bytes())

    def types(self, job_id: str) -> list[str]:
        return [numbered.event.type for numbered in self.client.store.events.read(job_id)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def chunks(count: int) -> Sequence[ChunkReady]:
    return [ChunkReady(index=index, frames=CHUNK) for index in range(count)]


@pytest.mark.anyio
async def test_a_finished_job_has_its_video_its_record_and_its_events(stage: Stage) -> None:
    stage.play(JobStarted(), *chunks(2), JobCompleted(artifacts=(stage.video(),)))
    seen: list[str] = []

    job = await stage.client.generate(
        REQUEST, out=stage.out, on_event=lambda numbered: seen.append(numbered.event.type)
    )

    assert job.status is JobStatus.COMPLETED
    assert job.artifacts[0].path == str(stage.out)
    assert job.artifacts[0].metadata is not None
    assert job.artifacts[0].metadata.frames == 8
    assert job.record_path == str(stage.record_path)
    assert stage.types(job.id) == ["job.started", "chunk.ready", "chunk.ready", "job.completed"]
    assert seen == stage.types(job.id)
    assert await stage.client.get(job.id) == job
    assert [each.id for each in await stage.client.list()] == [job.id]
    assert [event.sequence for event in await stage.client.events(job.id, after=1)] == [2, 3]


@pytest.mark.anyio
async def test_the_record_says_asked_adjusted_sent_and_delivered(stage: Stage) -> None:
    end = JobCompleted(
        artifacts=(stage.video(),),
        seed=5,
        model="one-2026",
        weights_sha256="a" * 64,
        prompts_sent=("a cat, please",),
        warnings=("dark",),
        timing=Timing(first_chunk_seconds=0.5),
        cost=Cost(usd=0.25),
    )
    stage.play(end)

    job = await stage.client.generate(REQUEST, out=stage.out)

    record = stage.record()
    assert record.job_id == job.id
    assert record.asked == REQUEST
    assert record.sent == job.plan.request
    assert record.adjusted == job.plan.adjustments
    assert record.delivered is not None
    assert (record.delivered.width, record.delivered.frames) == (16, 8)
    assert (record.frames_planned, record.frames_delivered, record.fraction_delivered) == (8, 8, 1)
    assert (record.seed, record.model, record.weights_sha256) == (5, "one-2026", "a" * 64)
    assert (record.cost.usd, record.cost.source) == (0.25, "billed")
    assert record.warnings == ("dark",)
    assert record.times.backend.first_chunk_seconds == 0.5
    shot = record.shots[0]
    assert (shot.prompt_asked, shot.prompt_sent) == ("a cat", "a cat, please")
    assert (shot.start, shot.end) == (0, 2)
    assert "media-agent" in record.lineage.software


@pytest.mark.anyio
async def test_the_record_places_every_shot_and_every_later_prompt(stage: Stage) -> None:
    request = VideoRequest(
        shots=(Shot(prompt="a cat", duration=1), Shot(prompt="a dog", duration=2))
    )
    stage.play(
        *chunks(2),
        PromptChanged(chunk=2, prompt="a cow"),
        ChunkReady(index=2, frames=CHUNK),
        JobCompleted(artifacts=(stage.video(3 * CHUNK),)),
    )

    await stage.client.generate(request, out=stage.out)

    said = [
        (shot.prompt_asked, shot.prompt_sent, shot.start, shot.end) for shot in stage.record().shots
    ]
    assert said == [("a cat", "a cat", 0, 1), ("a dog", "a dog", 1, 2), (None, "a cow", 2, 3)]


@pytest.mark.anyio
async def test_without_a_place_the_video_stays_in_the_folder_of_the_job(stage: Stage) -> None:
    stage.play(JobCompleted(artifacts=(stage.video(),)))

    job = await stage.client.generate(REQUEST)

    assert job.artifacts[0].path == str(stage.client.store.jobs.folder(job.id) / "video.mp4")


@pytest.mark.anyio
async def test_a_drawn_seed_is_sent_and_recorded(stage: Stage) -> None:
    stage.play(JobCompleted(artifacts=(stage.video(),)))

    await stage.client.generate(VideoRequest(prompt="a cat", duration=2), out=stage.out)

    assert stage.backend.submitted[0][0].seed == 7
    assert stage.record().seed == 7
    assert stage.record().asked.seed is None


@pytest.mark.anyio
async def test_a_plan_starts_nothing(stage: Stage) -> None:
    plan = await stage.client.plan(REQUEST)

    assert (plan.backend, plan.model, plan.request.num_frames) == ("script", "one", 8)
    assert stage.backend.submitted == []
    assert await stage.client.list() == []


@pytest.mark.anyio
async def test_a_lost_connection_is_waited_for_and_repetitions_are_dropped(stage: Stage) -> None:
    lost = BackendUnavailableError("no network")
    end = JobCompleted(artifacts=(stage.video(),))
    stage.play(JobStarted(), *chunks(1), lost, lost, JobStarted(), *chunks(2), lost, end)

    job = await stage.client.generate(REQUEST, out=stage.out)

    assert stage.types(job.id) == ["job.started", "chunk.ready", "chunk.ready", "job.completed"]
    assert stage.pauses == [1.0, 2.0, 1.0]
    assert len(stage.backend.submitted) == 1


@pytest.mark.anyio
async def test_a_connection_that_stays_lost_leaves_the_outcome_unknown(stage: Stage) -> None:
    stage.play(*[BackendUnavailableError("no network")] * 20)

    job = await stage.client.generate(REQUEST, out=stage.out)

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert job.error is not None
    assert job.error.message == "no network"
    assert sum(stage.pauses) == 61


@pytest.mark.anyio
async def test_a_lost_reply_is_not_sent_twice(stage: Stage) -> None:
    stage.backend.refusal = SubmitUncertainError("the reply was lost")

    job = await stage.client.generate(REQUEST, out=stage.out)

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert len(stage.backend.submitted) == 1
    assert stage.types(job.id) == ["job.outcome_unknown"]


@pytest.mark.anyio
async def test_a_refused_submission_fails_the_job_with_its_reason(stage: Stage) -> None:
    stage.backend.refusal = ContentRejectedError("no cats", hint="ask for a dog")

    job = await stage.client.generate(REQUEST, out=stage.out)

    assert job.status is JobStatus.FAILED
    assert job.error == to_info(stage.backend.refusal)
    assert stage.record().error == job.error
    assert not stage.out.exists()


@pytest.mark.anyio
async def test_what_a_backend_refuses_while_it_works_fails_the_job(stage: Stage) -> None:
    stage.play(JobStarted(), ContentRejectedError("no cats"))

    job = await stage.client.generate(REQUEST, out=stage.out)

    assert job.status is JobStatus.FAILED
    assert job.error == to_info(ContentRejectedError("no cats"))
    assert stage.types(job.id)[-1] == "job.failed"


@pytest.mark.anyio
@pytest.mark.parametrize("resubmits", [True, False])
@pytest.mark.parametrize(
    ("end", "said"),
    [
        (JobCompleted(), "completed without a video"),
        (JobCompleted(artifacts=(Artifact(uri="ftp://a/b"),)), "at a ftp"),
        (JobCompleted(artifacts=(INNER,)), "at http://169.254.169.254"),
    ],
)
async def test_a_paid_video_that_does_not_arrive_is_collected_later(
    stage: Stage, end: JobCompleted, said: str, resubmits: bool
) -> None:
    stage.backend.resubmits = resubmits
    stage.play(end)

    job = await stage.client.generate(REQUEST, out=stage.out)
    stage.play(JobCompleted(artifacts=(stage.video(),)))
    later = await stage.client.resume(job.id)

    assert job.status is (JobStatus.FAILED if resubmits else JobStatus.OUTCOME_UNKNOWN)
    assert job.error is not None
    assert job.error.code in ("backend_response", "video_not_fetched")
    assert said in job.error.message
    assert stage.out.exists() is not resubmits
    assert later.status is (JobStatus.FAILED if resubmits else JobStatus.COMPLETED)
    assert len(stage.backend.submitted) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("resubmits", [True, False])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (JobStarted(), "ended without a result"),
        (ZeroDivisionError("oops"), "ZeroDivisionError: oops"),
        (BackendAuthenticationError("the key was revoked"), "the key was revoked"),
    ],
)
async def test_trouble_of_our_own_fails_local_work_and_leaves_paid_work_to_be_resumed(
    stage: Stage, line: Line, said: str, resubmits: bool
) -> None:
    stage.backend.resubmits = resubmits
    stage.play(line)

    job = await stage.client.generate(REQUEST, out=stage.out)

    assert job.status is (JobStatus.FAILED if resubmits else JobStatus.OUTCOME_UNKNOWN)
    assert job.error is not None
    assert said in job.error.message
    assert stage.backend.cancelled.is_set() is resubmits
    if not resubmits:
        assert f"jobs resume {job.id}" in (job.error.hint or "")


@pytest.mark.anyio
async def test_a_failed_job_keeps_what_was_made_as_a_partial_video(stage: Stage) -> None:
    video = stage.video(CHUNK, ArtifactKind.PARTIAL_VIDEO)
    error = to_info(StorageError("broken"))
    stage.play(*chunks(1), JobFailed(error=error, artifacts=(video,)))

    job = await stage.client.generate(REQUEST, out=stage.out)

    assert job.artifacts[0].path == str(stage.folder / "out.partial.mp4")
    assert stage.record().fraction_delivered == 0.5
    assert not stage.out.exists()


@pytest.mark.anyio
async def test_cancelling_the_call_stops_the_work_and_keeps_what_was_made(stage: Stage) -> None:
    video = stage.video(CHUNK, ArtifactKind.PARTIAL_VIDEO)
    stage.play(JobStarted(), *chunks(1), JobCancelled(artifacts=(video,)))
    stage.backend.waits_for_cancel = True
    ready = asyncio.Event()

    task = asyncio.create_task(
        stage.client.generate(REQUEST, out=stage.out, on_event=lambda _: ready.set())
    )
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (listed,) = await stage.client.list()
    job = await stage.client.get(listed.id)
    assert job.status is JobStatus.CANCELLED
    assert job.artifacts[0].path == str(stage.folder / "out.partial.mp4")
    assert stage.record().status is JobStatus.CANCELLED
    assert (stage.record().frames_delivered, stage.record().frames_planned) == (4, 8)
    assert not stage.out.exists()


@pytest.mark.anyio
async def test_a_job_is_cancelled_by_its_id_and_its_call_returns(stage: Stage) -> None:
    stage.play(JobStarted(), JobCancelled())
    stage.backend.waits_for_cancel = True
    ready = asyncio.Event()

    task = asyncio.create_task(
        stage.client.generate(REQUEST, job_id="mine", on_event=lambda _: ready.set())
    )
    await ready.wait()
    await stage.client.cancel("mine")

    assert (await task).status is JobStatus.CANCELLED
    assert (await stage.client.cancel("mine")).status is JobStatus.CANCELLED


@pytest.mark.anyio
async def test_a_job_whose_process_is_gone_can_be_cancelled(stage: Stage) -> None:
    stage.play(JobCompleted(artifacts=(stage.video(),)))
    done = await stage.client.generate(REQUEST)
    left = done.model_copy(
        update={"id": "left", "status": JobStatus.QUEUED, "ref": None, "artifacts": ()}
    )
    stage.client.store.jobs.create(left)
    with stage.client.store.owners.claim("left"):
        pass

    assert (await stage.client.cancel("left")).status is JobStatus.CANCELLED


@pytest.mark.anyio
async def test_orphans_are_the_open_jobs_that_no_process_works_on_oldest_first(
    stage: Stage,
) -> None:
    stage.play(JobCompleted(artifacts=(stage.video(),)))
    done = await stage.client.generate(REQUEST)
    for name, age in (("young", 1), ("old", 9), ("held", 5)):
        fields = {"status": JobStatus.QUEUED, "ref": None, "artifacts": ()}
        created_at = done.created_at - timedelta(seconds=age)
        left = done.model_copy(update={"id": name, "created_at": created_at, **fields})
        stage.client.store.jobs.create(left)
        with stage.client.store.owners.claim(name):
            pass

    with stage.client.store.owners.claim("held"):
        orphans = await stage.client.orphans()

        assert stage.client.is_running("held")
        assert not stage.client.is_running("old")
    assert [job.id for job in orphans] == ["old", "young"]


@pytest.mark.anyio
async def test_an_option_that_does_not_exist_is_an_error(stage: Stage) -> None:
    with pytest.raises(TypeError, match="oot"):
        await stage.client.generate(REQUEST, oot=stage.out)  # type: ignore[call-arg]

    assert await stage.client.list() == []


@pytest.mark.anyio
async def test_a_stopped_run_leaves_the_record_of_an_older_video_alone(stage: Stage) -> None:
    stage.play(JobCompleted(artifacts=(stage.video(),)))
    first = await stage.client.generate(REQUEST, out=stage.out)
    stage.play(JobCancelled(artifacts=(stage.video(CHUNK, ArtifactKind.PARTIAL_VIDEO),)))

    second = await stage.client.generate(REQUEST, out=stage.out, overwrite=True)

    assert stage.record().job_id == first.id
    assert second.record_path == str(stage.folder / "out.partial.json")


@pytest.mark.anyio
async def test_the_place_of_a_stopped_run_can_be_used_again(stage: Stage) -> None:
    stage.play(JobCancelled())
    await stage.client.generate(REQUEST, out=stage.out)
    stage.play(JobCompleted(artifacts=(stage.video(),)))

    job = await stage.client.generate(REQUEST, out=stage.out)

    assert stage.record().job_id == job.id


@pytest.mark.anyio
async def test_a_place_that_is_taken_is_refused_before_anything_is_sent(stage: Stage) -> None:
    stage.out.write_bytes(b"old")

    with pytest.raises(InvalidRequestError, match="exists"):
        await stage.client.generate(REQUEST, out=stage.out)

    assert stage.backend.submitted == []
    assert await stage.client.list() == []


@pytest.mark.anyio
async def test_an_id_given_twice_makes_nothing_twice(stage: Stage) -> None:
    stage.play(JobCompleted(artifacts=(stage.video(),)))
    await stage.client.generate(REQUEST, job_id="mine")

    with pytest.raises(IdempotencyConflictError):
        await stage.client.generate(REQUEST, job_id="mine")

    assert len(stage.backend.submitted) == 1


@pytest.mark.anyio
async def test_a_running_job_can_be_steered_and_a_finished_one_cannot(stage: Stage) -> None:
    stage.play(JobStarted(), JobProgressed(phase="wait"), JobCancelled())
    stage.backend.waits_for_cancel = True
    ready = asyncio.Event()

    task = asyncio.create_task(
        stage.client.generate(REQUEST, job_id="mine", on_event=lambda _: ready.set())
    )
    await ready.wait()
    await stage.client.steer("mine", "a dog")
    await stage.client.cancel("mine")
    await task

    assert stage.backend.commands == [ChangePrompt(prompt="a dog")]
    with pytest.raises(JobError, match="mine is cancelled"):
        await stage.client.finish("mine")


@pytest.mark.anyio
async def test_a_command_at_which_a_backend_breaks_is_a_warning_and_the_next_is_tried(
    stage: Stage,
) -> None:
    stage.play(JobStarted(), JobProgressed(phase="wait"), JobCancelled())
    stage.backend.waits_for_cancel = True
    stage.backend.control_faults = [ZeroDivisionError("oops")]
    ready = asyncio.Event()

    task = asyncio.create_task(
        stage.client.generate(REQUEST, out=stage.out, job_id="mine", on_event=lambda _: ready.set())
    )
    await ready.wait()
    await stage.client.steer("mine", "a dog")
    await stage.client.steer("mine", "a cow")
    await stage.client.cancel("mine")
    job = await task

    broken = "change_prompt broke: ZeroDivisionError: oops"
    assert job.warnings == stage.record().warnings == (broken,)
    assert stage.backend.commands == [ChangePrompt(prompt="a cow")]


@pytest.mark.anyio
async def test_an_unknown_backend_or_model_or_job_is_said(stage: Stage) -> None:
    with pytest.raises(InvalidRequestError, match="'scrpt'") as caught:
        await stage.client.plan(REQUEST.model_copy(update={"model": "scrpt"}))
    assert "did you mean script?" in (caught.value.hint or "")
    with pytest.raises(InvalidRequestError, match="no model 'two'"):
        await stage.client.plan(REQUEST.model_copy(update={"model": "script/two"}))
    with pytest.raises(JobNotFoundError):
        await stage.client.cancel("nothing")


@pytest.mark.anyio
async def test_closing_the_client_closes_its_backends(stage: Stage) -> None:
    async with stage.client as client:
        await client.plan(REQUEST)

    assert stage.backend.is_closed


def test_the_blocking_face_makes_the_same_video(stage: Stage) -> None:
    stage.play(JobCompleted(artifacts=(stage.video(),)))

    with BlockingVideoClient(client=stage.client) as client:
        assert client.capabilities().model == "one"
        plan = client.plan(REQUEST)
        job = client.generate(REQUEST, plans=[plan], out=str(stage.out))

        assert client.get(job.id) == job
        assert [each.id for each in client.list()] == [job.id]
    assert job.plan == plan
    assert stage.out.exists()
    assert stage.backend.is_closed


@pytest.mark.anyio
@pytest.mark.parametrize(
    "error", [ContentRejectedError("no cats"), SubmitUncertainError("lost", hint="look there")]
)
async def test_a_record_that_cannot_be_written_does_not_hide_the_first_trouble(
    stage: Stage, error: MediaAgentError
) -> None:
    stage.play(JobStarted(), error)

    job = await stage.client.generate(
        REQUEST, out=stage.out, on_event=lambda _: stage.record_path.mkdir(exist_ok=True)
    )

    is_refused = isinstance(error, ContentRejectedError)
    assert job.status is (JobStatus.FAILED if is_refused else JobStatus.OUTCOME_UNKNOWN)
    assert job.error == to_info(error)
    assert "out.json cannot be written" in job.warnings[0]


@pytest.mark.anyio
@pytest.mark.parametrize("resubmits", [True, False])
async def test_a_video_without_its_record_has_its_facts_and_gets_the_record_later(
    stage: Stage, resubmits: bool
) -> None:
    stage.backend.resubmits = resubmits
    made = JobCompleted(artifacts=(stage.video(),), cost=Cost(usd=0.4), warnings=("dark",))
    stage.play(JobStarted(), made)

    job = await stage.client.generate(
        REQUEST, out=stage.out, on_event=lambda _: stage.record_path.mkdir(exist_ok=True)
    )
    stage.record_path.rmdir()
    stage.play(JobStarted(), made)
    later = await stage.client.resume(job.id)

    (*_, end) = [
        numbered.event
        for numbered in stage.client.store.events.read(job.id)
        if isinstance(numbered.event, JobFailed | JobOutcomeUnknown)
    ]
    assert end.error.code == "storage"
    assert (end.cost, end.warnings) == (made.cost, made.warnings)
    assert end.artifacts[0].path == str(stage.out)
    assert stage.out.exists()
    assert later.status is (JobStatus.FAILED if resubmits else JobStatus.COMPLETED)
    assert stage.record_path.exists() is not resubmits
