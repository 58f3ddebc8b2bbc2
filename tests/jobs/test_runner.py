"""Jobs that several want at once: stopped, taken over, resumed, let go of."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from media_agent.backend.local import Chunk, GenerationContext, LocalBackend
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    JobError,
    UnsupportedRequestError,
)
from media_agent.jobs import stopping
from media_agent.jobs.running import steering
from media_agent.jobs.submit import Submitter
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing.simulator.videos import write_video
from media_agent.video.codec import read_frames
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    Capabilities,
    ChangePrompt,
    ChunkReady,
    Control,
    Estimate,
    Finish,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobStarted,
    JobStatus,
    OperationRef,
    ResumeToken,
    VideoJob,
    VideoRequest,
)

pytestmark = pytest.mark.anyio

REQUEST = VideoRequest(prompt="a cat", duration=2, seed=0, model="paid")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Crash(BaseException):
    """The process ends here; nothing that follows is done."""


class Paid:
    """A service and the way to it: work continues there until it is let end or is cancelled."""

    name = "paid"

    def __init__(self, video: Path) -> None:
        self.video = video
        self.accepted: list[str] = []
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.is_accepted, self.may_reply = asyncio.Event(), asyncio.Event()
        self.may_reply.set()
        self.is_cancelled = False
        self.cancels = 0
        self.cancel_fails: list[Exception] = []
        self.cancel_hangs: asyncio.Event | None = None
        self.controls: tuple[Control, ...] = ()
        self.lookup: Literal["none", "key"] = "none"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="paid",
            model="one",
            default_fps=4,
            seed=True,
            lookup=self.lookup,
            controls=self.controls,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0.5)

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        self.accepted.append(key)
        self.is_accepted.set()
        await self.may_reply.wait()
        return OperationRef(backend="paid", operation_id=key)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        is_here = key in self.accepted
        return OperationRef(backend="paid", operation_id=key) if is_here else None

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        yield JobStarted()
        self.began.set()
        await self.may_end.wait()
        if self.is_cancelled:
            yield JobCancelled()
        else:
            yield JobCompleted(artifacts=(Artifact(path=str(self.video)),))

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        if self.controls:
            await asyncio.Event().wait()
        raise UnsupportedRequestError("it takes no command")

    async def cancel(self, ref: OperationRef) -> None:
        self.cancels += 1
        if self.cancel_fails:
            raise self.cancel_fails.pop()
        if self.cancel_hangs is not None:
            self.cancel_hangs.set()
            await asyncio.Event().wait()
        self.is_cancelled = True
        self.may_end.set()

    async def aclose(self) -> None:
        return None


def process(
    folder: Path,
    backend: VideoBackend,
    crash_at: str | None = None,
    *,
    checkpoint: Callable[[str], None] | None = None,
) -> VideoClient:
    """Return the client of another process on the same data folder."""

    def crash(step: str) -> None:
        if step == crash_at:
            raise Crash

    spec = BackendSpec(backend.name, lambda settings: backend)
    return VideoClient(
        settings=load_settings(data_dir=folder / "data", default_backend=backend.name),
        registry=Registry(Discovery({backend.name: spec})),
        checkpoint=checkpoint or crash,
    )


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setattr(stopping, "LOOK_SECONDS", 0.01)


@pytest.fixture
def paid(tmp_path: Path) -> Paid:
    video = tmp_path / "made.mp4"
    write_video(video, np.zeros((8, 16, 16, 3), np.uint8), fps=4)
    return Paid(video)


async def ended(client: VideoClient, job_id: str) -> VideoJob:
    async with asyncio.timeout(60):
        return await client._running.attach(job_id, None)


def found(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


async def orphan(folder: Path, paid: Paid, step: str) -> None:
    """Leave the job "x", of the key "k", as a process that died after this step does."""
    with pytest.raises(Crash):
        await process(folder, paid, step).generate(REQUEST, job_id="x", idempotency_key="k")


# -- stopped ----------------------------------------------------------------------------------


async def test_a_job_that_is_cancelled_before_it_began_is_never_sent(
    tmp_path: Path, paid: Paid
) -> None:
    client = process(tmp_path, paid)
    job = await client.start(REQUEST)

    await client.cancel(job.id)

    assert (await ended(client, job.id)).status is JobStatus.CANCELLED
    assert paid.accepted == []


async def test_a_job_that_another_process_cancelled_meanwhile_is_not_revived(
    tmp_path: Path, paid: Paid
) -> None:
    await orphan(tmp_path, paid, "plan")
    client = process(tmp_path, paid)
    await client.start(REQUEST, idempotency_key="k")  # its task has not begun yet

    other = await process(tmp_path, paid).cancel("x")
    paid.may_end.set()
    await client._running._tasks["x"]
    job = await client.get("x")

    assert other.status is job.status is JobStatus.CANCELLED
    assert paid.accepted == []
    assert [each.event.type for each in client.store.events.read("x")] == ["job.cancelled"]


async def test_a_job_that_is_cancelled_while_its_backend_loads_is_never_sent(
    tmp_path: Path, paid: Paid
) -> None:
    await orphan(tmp_path, paid, "plan")
    loading, may_load = threading.Event(), threading.Event()

    def slow(settings: BackendSettings) -> Paid:
        loading.set()
        may_load.wait()
        return paid

    client = VideoClient(
        settings=load_settings(data_dir=tmp_path / "data", default_backend="paid"),
        registry=Registry(Discovery({"paid": BackendSpec("paid", slow)})),
    )
    resuming = asyncio.create_task(client.resume("x"))
    await asyncio.to_thread(loading.wait)

    await process(tmp_path, paid).cancel("x")
    may_load.set()

    assert (await resuming).status is JobStatus.CANCELLED
    assert paid.accepted == []


@pytest.mark.parametrize("trouble", [BackendUnavailableError("no network"), KeyError("id")])
@pytest.mark.parametrize("is_elsewhere", [True, False])
async def test_a_backend_that_could_not_be_told_to_stop_is_told_again(
    tmp_path: Path, paid: Paid, trouble: Exception, is_elsewhere: bool
) -> None:
    paid.cancel_fails = [trouble, trouble]
    client = process(tmp_path, paid)
    job = await client.start(REQUEST)
    await paid.began.wait()

    await (process(tmp_path, paid) if is_elsewhere else client).cancel(job.id)
    done = await ended(client, job.id)

    assert done.status is JobStatus.CANCELLED
    assert done.warnings[0] == f"paid could not be stopped: {trouble}"
    assert done.cancellation is not None
    assert done.cancellation.may_bill_usd == 0.5
    assert paid.cancels == 3


async def test_a_backend_that_never_answers_to_a_stop_holds_nobody_up(
    tmp_path: Path, paid: Paid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering, "_LONGEST_CALL", 0.01)
    paid.cancel_hangs = asyncio.Event()
    client = process(tmp_path, paid)
    job = await client.start(REQUEST)
    await paid.began.wait()

    async with asyncio.timeout(60):
        await client.cancel(job.id)
    paid.may_end.set()
    done = await ended(client, job.id)

    assert done.status is JobStatus.COMPLETED
    assert done.warnings == ("paid could not be stopped: no answer in time",)


async def test_a_backend_that_never_answers_to_a_command_holds_nobody_up(
    tmp_path: Path, paid: Paid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering, "_LONGEST_CALL", 0.01)
    paid.controls = (Control.FINISH,)
    client = process(tmp_path, paid)
    job = await client.start(REQUEST)
    await paid.began.wait()

    async with asyncio.timeout(60):
        await client.finish(job.id)
        await client.cancel(job.id)
    done = await ended(client, job.id)

    assert done.status is JobStatus.CANCELLED
    assert done.warnings[0] == "finish broke: TimeoutError: no answer in time"


async def test_who_is_cancelled_twice_leaves_nothing_at_work_and_the_job_to_be_resumed(
    tmp_path: Path, paid: Paid
) -> None:
    paid.cancel_hangs = asyncio.Event()
    client, out = process(tmp_path, paid), tmp_path / "a.mp4"
    before = asyncio.all_tasks()
    making = asyncio.create_task(client.generate(REQUEST, job_id="x", out=out))
    await paid.began.wait()

    making.cancel()
    await paid.cancel_hangs.wait()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making

    assert asyncio.all_tasks() == before
    assert not client.store.owners.is_claimed("x")
    assert found(tmp_path, ".*.lock") == []
    paid.may_end.set()
    assert (await process(tmp_path, paid).resume("x")).status is JobStatus.COMPLETED
    assert paid.accepted == ["x"]


async def test_a_job_that_is_cancelled_while_somebody_resumes_it_is_stopped_once(
    tmp_path: Path, paid: Paid
) -> None:
    await orphan(tmp_path, paid, "ref")
    client = process(tmp_path, paid)
    await client.start(REQUEST, idempotency_key="k")  # its task has not begun yet

    job = await client.cancel("x")

    assert job.status is JobStatus.CANCELLED
    assert paid.cancels == 1


@pytest.mark.parametrize(
    ("step", "status", "cancels"),
    [
        ("plan", JobStatus.CANCELLED, 0),
        ("intent", JobStatus.OUTCOME_UNKNOWN, 0),  # nobody can be asked whether it was sent
        ("submit", JobStatus.CANCELLED, 1),
        ("ref", JobStatus.CANCELLED, 1),
    ],
)
async def test_what_was_asked_of_a_process_that_was_killed_is_done_by_the_next_one(
    tmp_path: Path, paid: Paid, step: str, status: JobStatus, cancels: int
) -> None:
    asking = process(tmp_path, paid)
    paid.lookup = "none" if step == "intent" else "key"

    def cancel_and_die(passed: str) -> None:
        if passed == step:
            assert asking.store.owners.request_cancel("x")
            raise Crash

    dying = process(tmp_path, paid, checkpoint=cancel_and_die)
    with pytest.raises(Crash):
        await dying.generate(REQUEST, job_id="x")
    sent = [*paid.accepted]

    later = process(tmp_path, paid)
    later._running.adopt(await later.get("x"))
    done = await ended(later, "x")

    assert (done.status, paid.cancels) == (status, cancels)
    assert paid.accepted == sent


async def test_a_job_that_is_cancelled_just_before_its_process_ends_is_not_sent_by_the_next_one(
    tmp_path: Path, paid: Paid, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_asking = asyncio.Event()

    async def never_answer(self: Submitter, number: int, backend: VideoBackend) -> None:
        is_asking.set()
        await asyncio.Event().wait()

    client = process(tmp_path, paid)
    with monkeypatch.context() as patched:
        patched.setattr(Submitter, "_ask_policies", never_answer)
        job = await client.start(REQUEST)
        await is_asking.wait()
        answered = await client.cancel(job.id)
        await client.aclose()

    later = process(tmp_path, paid)
    later._running.adopt(await later.get(job.id))
    done = await ended(later, job.id)

    assert not answered.status.is_terminal
    assert done.status is JobStatus.CANCELLED
    assert paid.accepted == []


# -- taken over -------------------------------------------------------------------------------


async def test_a_job_is_taken_over_with_its_place_and_its_caller_hears_each_event_once(
    tmp_path: Path, paid: Paid
) -> None:
    heard: list[JobEvent] = []
    out = tmp_path / "a.mp4"
    making = asyncio.create_task(
        process(tmp_path, paid).generate(REQUEST, job_id="x", out=out, on_event=heard.append)
    )
    await paid.began.wait()
    paid.began.clear()

    taking = asyncio.create_task(process(tmp_path, paid).resume("x", take_over=True))
    await paid.began.wait()
    paid.may_end.set()
    taken, made = await taking, await making

    assert taken.status is made.status is JobStatus.COMPLETED
    assert out.read_bytes() == paid.video.read_bytes()
    assert [each.sequence for each in heard] == list(range(len(heard)))
    assert found(tmp_path, ".*.lock") == []
    assert paid.accepted == ["x"]


async def test_who_is_cancelled_when_the_job_was_taken_over_stops_itself_and_not_the_job(
    tmp_path: Path, paid: Paid
) -> None:
    making = asyncio.create_task(process(tmp_path, paid).generate(REQUEST, job_id="x"))
    await paid.began.wait()
    paid.began.clear()
    taking = asyncio.create_task(process(tmp_path, paid).resume("x", take_over=True))
    await paid.began.wait()

    making.cancel()

    with pytest.raises(asyncio.CancelledError):
        await making
    paid.may_end.set()
    assert (await taking).status is JobStatus.COMPLETED
    assert paid.cancels == 0


class Painter(LocalBackend):
    """Makes six chunks of one colour; waits before its third until it may continue."""

    def __init__(self, folder: Path, colour: int) -> None:
        super().__init__(BackendSettings(data_dir=folder / "data"))
        self.colour = colour
        self.may_continue, self.has_ended = threading.Event(), threading.Event()
        self.is_told_to_stop = asyncio.Event()

    @property
    def name(self) -> str:
        return "painter"

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend="painter", model="one", resumable=True, resubmits=True, default_fps=4
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0.0)

    async def cancel(self, ref: OperationRef) -> None:
        self.is_told_to_stop.set()
        await super().cancel(ref)

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        first = 0 if context.resume is None else context.resume.next_chunk
        try:
            for index in range(first, 6):
                if index == 2:
                    self.may_continue.wait()
                frames = np.full((4, 32, 32, 3), self.colour, np.uint8)
                token = ResumeToken(backend="painter", model="one", next_chunk=index + 1)
                yield Chunk(index, frames, token)
        finally:
            self.has_ended.set()


async def test_whoever_lost_local_work_adds_nothing_to_the_video_any_more(tmp_path: Path) -> None:
    stuck, other = Painter(tmp_path, 60), Painter(tmp_path, 200)
    other.may_continue.set()
    request = VideoRequest(prompt="x", num_frames=24, fps=4, model="painter")
    two_made = asyncio.Event()

    def on_event(numbered: JobEvent) -> None:
        if isinstance(numbered.event, ChunkReady) and numbered.event.index == 1:
            two_made.set()

    making = asyncio.create_task(
        process(tmp_path, stuck).generate(
            request, job_id="x", out=tmp_path / "a.mp4", on_event=on_event
        )
    )
    await two_made.wait()

    taken = await process(tmp_path, other).resume("x", take_over=True)
    video = (tmp_path / "a.mp4").read_bytes()
    await asyncio.wait_for(stuck.is_told_to_stop.wait(), 30)
    stuck.may_continue.set()
    await asyncio.to_thread(stuck.has_ended.wait)
    made = await making

    assert taken.status is made.status is JobStatus.COMPLETED
    assert (tmp_path / "a.mp4").read_bytes() == video
    assert [round(frame.mean(), -1) for frame in read_frames(tmp_path / "a.mp4")[::4]] == [
        *[60] * 2,
        *[200] * 4,
    ]
    assert found(tmp_path, "a.partial*") == []


async def test_a_reply_under_way_is_waited_for_when_the_client_is_closed(
    tmp_path: Path, paid: Paid
) -> None:
    paid.may_reply.clear()
    client = process(tmp_path, paid)
    job = await client.start(REQUEST)
    await paid.is_accepted.wait()

    closing = asyncio.create_task(client.aclose())
    closed, _ = await asyncio.wait([closing], timeout=0.1)
    paid.may_reply.set()
    paid.may_end.set()
    await closing

    assert not closed
    assert (await process(tmp_path, paid).resume(job.id)).status is JobStatus.COMPLETED
    assert len(paid.accepted) == 1


async def test_a_job_that_is_asked_for_while_the_client_is_closed_is_refused(
    tmp_path: Path, paid: Paid
) -> None:
    client = process(tmp_path, paid)
    closing, may_close = asyncio.Event(), asyncio.Event()

    async def close() -> None:
        closing.set()
        await may_close.wait()

    paid.aclose = close  # type: ignore[method-assign]
    await client.start(REQUEST, job_id="first")
    await paid.began.wait()
    ending = asyncio.create_task(client.aclose())
    await closing.wait()

    with pytest.raises(BackendUnavailableError, match="the client is closed"):
        await client.start(REQUEST, job_id="late")
    may_close.set()
    await ending

    assert [job.id for job in await process(tmp_path, paid).list()] == ["first"]
    assert paid.accepted == ["first"]


async def test_a_job_that_is_kept_while_the_client_is_closed_is_left_for_another(
    tmp_path: Path, paid: Paid, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = process(tmp_path, paid)
    flushing, may_flush = asyncio.Event(), asyncio.Event()

    async def flush(**named: str) -> None:
        flushing.set()
        await may_flush.wait()

    monkeypatch.setattr(client.store, "flushed", flush)
    starting = asyncio.create_task(client.start(REQUEST, job_id="late"))
    await flushing.wait()
    await client.aclose()
    may_flush.set()
    job = await starting
    await asyncio.sleep(0.05)
    other = process(tmp_path, paid)
    paid.may_end.set()

    assert paid.accepted == []
    assert job.status is JobStatus.QUEUED
    assert not other.is_running("late")
    assert (await other.resume("late")).status is JobStatus.COMPLETED


# -- resumed by several -----------------------------------------------------------------------


async def test_two_that_resume_one_job_do_not_disturb_each_other(
    tmp_path: Path, paid: Paid
) -> None:
    await orphan(tmp_path, paid, "ref")
    client = process(tmp_path, paid)
    paid.may_end.set()

    jobs = await asyncio.gather(client.resume("x"), client.resume("x"), return_exceptions=True)

    assert [type(each) for each in jobs] == [VideoJob, JobError]
    assert isinstance(jobs[0], VideoJob)
    assert jobs[0].status is JobStatus.COMPLETED


async def test_two_that_wait_for_one_key_both_get_its_video(tmp_path: Path, paid: Paid) -> None:
    await orphan(tmp_path, paid, "ref")
    client = process(tmp_path, paid)
    paid.may_end.set()

    jobs = await asyncio.gather(*[client.generate(REQUEST, idempotency_key="k") for _ in range(2)])

    assert [each.status for each in jobs] == [JobStatus.COMPLETED] * 2
    assert paid.accepted == ["x"]


async def test_a_video_whose_place_was_taken_meanwhile_has_failed_and_is_held_by_nobody(
    tmp_path: Path, paid: Paid
) -> None:
    client, out = process(tmp_path, paid), tmp_path / "a.mp4"
    await client.capabilities()  # from here to its place each gets without waiting for anything
    first, second = (
        asyncio.create_task(client.generate(REQUEST, job_id=name, out=out)) for name in "ab"
    )

    with pytest.raises(InvalidRequestError, match="another run is writing to it"):
        await second
    paid.may_end.set()

    assert (await first).status is JobStatus.COMPLETED
    job = await client.get("b")
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert not client.store.owners.is_claimed("b")
    assert paid.accepted == ["a"]
