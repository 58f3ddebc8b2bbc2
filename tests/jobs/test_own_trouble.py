"""Trouble of our own is no word of the provider: before, while and after work is accepted."""

import asyncio
import hashlib
import sqlite3
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.polled import PolledBackend, record_input, sending
from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendRateLimitError,
    BackendRefusedError,
    BackendUnavailableError,
    ConfigurationError,
    ContentRejectedError,
    GenerationFailedError,
    IdempotencyConflictError,
    JobCancelledError,
    LedgerBusyError,
    MediaAgentError,
    ModelRetiredError,
    NotResumableError,
    PluginError,
    StorageError,
    VideoNotFetchedError,
    to_info,
)
from media_agent.ingest.download import Fetched
from media_agent.jobs import stopping
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import Submission, SubmissionState
from media_agent.ledger.store import flush
from media_agent.ledger.store.database import UndecidedError
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing.simulator.videos import Video, make_video, write_video
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    Capabilities,
    Estimate,
    InputRole,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobProgressed,
    JobStatus,
    MediaInput,
    OperationRef,
    Policy,
    VideoJob,
    VideoMode,
    VideoRequest,
)
from media_agent_schemas.capabilities import CancelRule
from tests.ledger.samples import rival

pytestmark = pytest.mark.anyio

REQUEST = VideoRequest(prompt="a cat", duration=2, seed=0, model="service")
PRICE = 0.5
STEPS = ("plan", "intent", "submit", "ref", "observe", "collect", "record", "finish")
LOOKS = "media-agent jobs resume"
HALF = "half a letter: \ud83d"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_AGENT_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setattr(stopping, "LOOK_SECONDS", 0.01)


async def nothing() -> None:
    pass


class Service(PolledBackend):
    """A paid service and the way to it; it counts what it accepted, and a test says what breaks."""

    tells_when_sending = True

    def __init__(self, settings: BackendSettings, video: Path, name: str = "service") -> None:
        super().__init__(settings, sleep=no_sleep)
        self._name = name
        self.video = video
        self.accepted: list[str] = []
        self.stopped: list[str] = []
        self.before: BaseException | None = None
        self.answer: Exception | None = None
        self.after: BaseException | None = None
        self.data: dict[str, str] = {}
        self.hangs_before: asyncio.Event | None = None
        self.at_first: Callable[[], Awaitable[None]] = nothing
        self.told: list[BackendEvent | BaseException] = []

    @property
    def name(self) -> str:
        return self._name

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend=self.name,
            model="one",
            default_fps=4,
            seed=True,
            modes=tuple(VideoMode),
            input_roles=(InputRole.FIRST_FRAME,),
            cancel_rule=CancelRule.STOPS,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=PRICE)

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        await self.at_first()
        if self.hangs_before is not None:
            self.hangs_before.set()
            await asyncio.Event().wait()
        if self.before is not None:
            raise self.before
        for medium in request.inputs:
            record_input(str(medium.path), content_of(medium.path))
        with sending() if self.tells_when_sending else nullcontext():
            if self.answer is not None:
                raise self.answer
            self.accepted.append(key)
        if self.after is not None:
            raise self.after
        number = f"op-{len(self.accepted)}"
        return OperationRef(
            backend=self.name, model="one", operation_id=number, data=dict(self.data)
        )

    async def status(self, ref: OperationRef) -> BackendEvent:
        said = self.told.pop(0) if self.told else self.done()
        if isinstance(said, BaseException):
            raise said
        return said

    async def cancel_once(self, ref: OperationRef) -> None:
        self.stopped.append(ref.operation_id)

    def done(self) -> JobCompleted:
        return JobCompleted(artifacts=(Artifact(path=str(self.video)),))


class SilentService(Service):
    """One whose author did not promise to say when it sends."""

    tells_when_sending = False


class BrokenLedger(Ledger):
    """One that cannot be written, or read, for a while."""

    fails = 0
    trouble: Callable[[], Exception] = staticmethod(lambda: StorageError("the disk is full"))
    reads = True
    is_busy = False
    seconds = 0.0
    asked = 0

    def __init__(self, path: Path) -> None:
        super().__init__(path, is_owner_alive=lambda owner, silent: False)
        self._is_cancel_requested = self.owners.is_cancel_requested
        self._accept = self.submissions.mark_accepted
        self._check = self.owners.check
        self.owners.is_cancel_requested = self.is_cancel_requested  # type: ignore[method-assign]
        self.submissions.mark_accepted = self.accept  # type: ignore[method-assign]
        self.owners.check = self.check_owner  # type: ignore[method-assign]

    def is_cancel_requested(self, job_id: str) -> bool:
        self.asked += 1
        if self.is_busy:
            raise StorageError("the ledger is locked")
        return self._is_cancel_requested(job_id)

    def accept(self, submission: Submission, ref: OperationRef) -> None:
        threading.Event().wait(self.seconds)
        if self.fails:
            self.fails -= 1
            raise self.trouble()
        self._accept(submission, ref)

    def check_owner(self, job_id: str) -> None:
        if not self.reads:
            raise StorageError("the disk is gone")
        self._check(job_id)


def content_of(path: str | None) -> bytes:
    return Path(str(path)).read_bytes()


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0)


class Desk:
    """A data folder with a service; each `process` is another process that works with it."""

    def __init__(self, folder: Path, video: Path, kind: type[Service] = Service) -> None:
        self.folder = folder
        settings = BackendSettings(data_dir=folder / "data")
        self.service = kind(settings, video)
        self.other = Service(settings, video, "other")
        self.ledger = BrokenLedger(folder / "data" / "ledger.sqlite")
        self.now: Callable[[], datetime] = lambda: datetime(2026, 1, 2, tzinfo=UTC)

    def process(self, checkpoint: Callable[[str], None] = lambda step: None) -> VideoClient:
        made = {"service": self.service, "other": self.other}
        specs = {name: _spec(name, backend) for name, backend in made.items()}
        return VideoClient(
            settings=load_settings(data_dir=self.folder / "data", default_backend="service"),
            registry=Registry(Discovery(specs)),
            store=self.ledger,
            now=lambda: self.now(),
            sleep=no_sleep,
            checkpoint=checkpoint,
        )

    async def make(self, request: VideoRequest = REQUEST, **options: object) -> VideoJob:
        async with asyncio.timeout(60):
            return await self.process().generate(request, **options)  # type: ignore[arg-type]

    def spent(self) -> float:
        return self.ledger.submissions.spent(self.now() - timedelta(days=1))

    def state(self, job: VideoJob) -> SubmissionState | None:
        last = self.ledger.submissions.last(job.id)
        return None if last is None else last.state


def _spec(name: str, backend: Service) -> BackendSpec:
    return BackendSpec(name=name, factory=lambda settings: backend)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "made.mp4"
    write_video(path, np.zeros((8, 16, 16, 3), np.uint8), fps=4)
    return path


@pytest.fixture
def desk(tmp_path: Path, video: Path) -> Desk:
    return Desk(tmp_path, video)


def no_unicode() -> UnicodeEncodeError:
    return UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed")


OF_ANY_KIND = [
    KeyError("id"),
    no_unicode(),
    MemoryError(),
    RecursionError("too deep"),
    OSError(28, "No space left on device"),
    sqlite3.OperationalError("database is locked"),
    asyncio.CancelledError(),
    GeneratorExit(),
    SystemExit(3),
]
OF_OUR_TREE = [
    StorageError("the disk is full"),
    ConfigurationError("base_url is another one"),
    PluginError("it is broken"),
    BackendUnavailableError("the second question got no answer"),
    JobCancelledError("stopped"),
    NotResumableError("no token"),
    IdempotencyConflictError("the key is taken"),
    BackendRateLimitError("asked too often"),
    BackendAuthenticationError("the key may not poll"),
    BackendRefusedError("no such place"),
    ContentRejectedError("not this"),
    ModelRetiredError("gone"),
]


def name_of(value: object) -> str:
    return type(value).__name__


# -- after acceptance --------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [*OF_ANY_KIND, *OF_OUR_TREE], ids=name_of)
async def test_whatever_breaks_in_an_adapter_after_acceptance_is_no_refusal(
    desk: Desk, trouble: BaseException
) -> None:
    desk.service.after = trouble
    client = desk.process()
    plans = [(await client.plans(REQUEST.model_copy(update={"model": name})))[0] for name in BOTH]

    job = await desk.make(REQUEST, plans=plans)

    assert job.status is JobStatus.OUTCOME_UNKNOWN, job.error
    assert desk.state(job) is SubmissionState.UNKNOWN
    assert (len(desk.service.accepted), desk.other.accepted) == (1, [])
    assert desk.spent() == PRICE


BOTH = ("service", "other")


@pytest.mark.parametrize("trouble", OF_ANY_KIND, ids=name_of)
async def test_where_nobody_says_when_it_sends_any_break_may_have_come_after(
    tmp_path: Path, video: Path, trouble: BaseException
) -> None:
    desk = Desk(tmp_path, video, SilentService)
    desk.service.after = trouble

    job = await desk.make()

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert desk.spent() == PRICE


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: StorageError("the disk is full"),
        lambda: sqlite3.OperationalError("disk I/O error"),
        lambda: OSError(28, "No space left on device"),
        MemoryError,
        no_unicode,
    ],
    ids=["storage", "sqlite", "os", "memory", "unicode"],
)
async def test_a_reference_is_written_again_until_it_is_written(
    desk: Desk, trouble: Callable[[], Exception]
) -> None:
    desk.ledger.fails, desk.ledger.trouble = 4, trouble  # type: ignore[method-assign]

    job = await desk.make()

    assert job.status is JobStatus.COMPLETED, job.error
    assert job.ref is not None


@pytest.mark.parametrize("reads", [True, False], ids=["cannot be written", "cannot be read"])
async def test_a_reference_that_can_never_be_written_is_told(desk: Desk, reads: bool) -> None:
    desk.service.data = {"status_url": "https://service.test/op-1"}
    desk.ledger.fails, desk.ledger.reads = 1000, reads

    try:
        job = await desk.make()
    except StorageError as error:
        said = error.message
    else:
        assert job.status is JobStatus.OUTCOME_UNKNOWN
        assert job.error is not None
        assert LOOKS in str(job.error.hint)
        said = job.error.message

    assert "op-1" in said
    assert "https://service.test/op-1" in said
    assert desk.spent() == PRICE


@pytest.mark.parametrize(
    "told",
    [
        JobProgressed(phase=HALF),
        JobProgressed(phase="working", message=HALF),
        JobCompleted(warnings=(HALF,)),
        JobFailed(error=to_info(GenerationFailedError(HALF))),
    ],
    ids=["phase", "message", "warning", "failure"],
)
async def test_half_a_letter_in_the_words_of_a_service_changes_no_end(
    desk: Desk, told: BackendEvent
) -> None:
    if isinstance(told, JobCompleted):
        told = desk.service.done().model_copy(update={"warnings": told.warnings})
    desk.service.told = [told]

    job = await desk.make()

    is_failure = isinstance(told, JobFailed)
    assert job.status is (JobStatus.FAILED if is_failure else JobStatus.COMPLETED)
    assert desk.process().store.jobs.get(job.id) == job


class Counted(JobProgressed):
    """Knows how often it was made a text and read again."""

    def model_dump_json(self, **how: object) -> str:
        counted.append(self.phase)
        return super().model_dump_json(**how)  # type: ignore[arg-type]  # handed on


counted: list[str] = []


async def test_what_is_told_is_checked_once(desk: Desk) -> None:
    counted.clear()
    desk.service.told = [Counted(phase="one"), Counted(phase="two")]

    job = await desk.make()

    assert job.status is JobStatus.COMPLETED
    assert counted == ["one", "two"]


@pytest.mark.parametrize(
    "told",
    [
        JobProgressed.model_construct(phase="x", fraction=2.0),
        JobProgressed.model_construct(phase="x", fraction=-0.1),
    ],
    ids=repr,
)
async def test_progress_that_makes_no_sense_is_left_out(desk: Desk, told: BackendEvent) -> None:
    desk.service.told = [told]

    job = await desk.make()

    assert job.status is JobStatus.COMPLETED
    assert [each.event.type for each in desk.ledger.events.read(job.id)] == [
        "job.started",
        "job.completed",
    ]


async def test_half_a_letter_in_a_reference_does_not_lose_it(desk: Desk) -> None:
    desk.service.data = {"queue": HALF}

    job = await desk.make()

    assert job.status is JobStatus.COMPLETED
    assert job.ref is not None
    assert str(job.ref.data["queue"]).startswith("half a letter")


@pytest.mark.parametrize("step", STEPS)
async def test_a_checkpoint_that_breaks_decides_nothing(desk: Desk, step: str) -> None:
    def checkpoint(reached: str) -> None:
        if reached == step:
            raise RuntimeError("who looks on")

    job = await desk.process(checkpoint).generate(REQUEST)

    assert job.status is JobStatus.COMPLETED
    assert len(desk.service.accepted) == 1


@pytest.mark.parametrize("trouble", [ValueError("what?"), BrokenPipeError(), StorageError("full")])
async def test_a_listener_that_breaks_decides_nothing(desk: Desk, trouble: Exception) -> None:
    def listener(numbered: JobEvent) -> None:
        raise trouble

    desk.service.told = [JobProgressed(phase="working", fraction=0.5)]

    job = await desk.make(on_event=listener)

    assert job.status is JobStatus.COMPLETED
    assert len(desk.service.accepted) == 1


@pytest.mark.parametrize(
    "jump", [timedelta(hours=3), timedelta(hours=-3), timedelta(days=-3650), timedelta(days=3650)]
)
async def test_a_clock_that_jumps_loses_no_video(desk: Desk, jump: timedelta) -> None:
    began = desk.now()
    desk.service.told = [JobProgressed(phase="working")] * 3
    desk.now = lambda: began + (jump if desk.service.accepted else timedelta())

    job = await desk.make()

    assert job.status is JobStatus.COMPLETED
    assert desk.service.stopped == []
    assert desk.ledger.jobs.get(job.id) == job


@pytest.mark.parametrize(
    "trouble", [asyncio.CancelledError(), SystemExit(1), GeneratorExit(), ZeroDivisionError()]
)
async def test_a_poll_that_ends_itself_leaves_the_work_to_a_resume(
    desk: Desk, trouble: BaseException
) -> None:
    desk.service.told = [trouble]

    job = await desk.make()
    again = await desk.process().resume(job.id)

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert again.status is JobStatus.COMPLETED
    assert len(desk.service.accepted) == 1


async def test_a_video_that_is_finished_long_after_the_deadline_is_collected(desk: Desk) -> None:
    began = desk.now()
    slow = REQUEST.model_copy(update={"options": {}})
    desk.service.told = [BackendUnavailableError("no network yet")] * 3
    desk.service.told += [JobProgressed(phase="working")] * 5

    class Crash(BaseException):
        pass

    def checkpoint(step: str) -> None:
        if step == "ref":
            raise Crash

    with pytest.raises(Crash):
        await desk.process(checkpoint).generate(slow, job_id="left")
    desk.now = lambda: began + timedelta(days=400)
    job = await desk.process().resume("left")

    assert job.status is JobStatus.COMPLETED
    assert desk.service.stopped == []


@pytest.mark.parametrize("trouble", [BackendUnavailableError, BackendRateLimitError])
async def test_a_deadline_also_counts_the_pauses_between_polls_that_fail(
    desk: Desk, trouble: type[MediaAgentError]
) -> None:
    request = REQUEST.model_copy(update={"deadline": 20.0})
    desk.service.told = [
        told
        for number in range(100)
        for told in (trouble("no answer"), JobProgressed(phase=f"step {number}"))
    ]

    job = await desk.make(request)

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert job.error is not None
    assert "has not finished op-1 within 20 s" in job.error.message
    assert 200 - len(desk.service.told) < 20, "a pause is at least a second"


async def test_while_no_poll_is_answered_a_job_ends_at_its_deadline(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("tests.jobs.test_own_trouble.no_sleep", sleep)
    desk.service.told = [BackendUnavailableError("no answer")] * 100

    job = await desk.make(REQUEST.model_copy(update={"deadline": 20.0}))

    assert slept == [1.0, 2.0, 4.0, 8.0, 5.0]
    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert "within 20 s" in str(job.error)


@pytest.mark.parametrize("is_taken", [False, True])
async def test_whoever_was_silent_for_long_sends_only_what_is_still_theirs(
    desk: Desk, is_taken: bool
) -> None:
    path, time = desk.folder / "data" / "ledger.sqlite", [0.0]
    ledger = Ledger(path, steady_clock=lambda: time[0])
    other = rival(path, alive=False)

    def fall_asleep(step: str) -> None:
        if step == "intent":
            time[0] += 3600
        if step == "intent" and is_taken:
            with other.owners.claim("slept"):
                other.events.append("slept", JobCancelled(), desk.now())

    desk.ledger = ledger  # type: ignore[assignment]  # one that is not broken
    job = await desk.process(fall_asleep).generate(REQUEST, job_id="slept")

    assert job.status is (JobStatus.CANCELLED if is_taken else JobStatus.COMPLETED)
    assert desk.service.accepted == ([] if is_taken else ["slept"])


class Forgetful(SilentService):
    """It sends, and forgets to say where the work is; asked, it names it by a text."""

    answer_given: object = None

    def capabilities(self, model: str | None = None) -> Capabilities:
        return super().capabilities(model).model_copy(update={"lookup": "list"})

    async def submit(self, request: VideoRequest, **how: object) -> OperationRef:
        self.accepted.append("one")
        return self.answer_given  # type: ignore[return-value]  # a plugin without types

    async def find(self, request: VideoRequest, **how: object) -> OperationRef | None:
        return "op-1"  # type: ignore[return-value]  # as above


@pytest.mark.parametrize("answer", [None, "op-1", {"operation_id": "op-1"}, 0], ids=repr)
async def test_who_comes_back_without_a_reference_may_have_been_paid(
    tmp_path: Path, video: Path, answer: object
) -> None:
    desk = Desk(tmp_path, video, Forgetful)
    desk.service.answer_given = answer  # type: ignore[attr-defined]
    job = await desk.make(idempotency_key="mine")

    again = await desk.make(idempotency_key="mine")

    assert again.id == job.id
    assert again.status is JobStatus.OUTCOME_UNKNOWN
    assert desk.state(job) is SubmissionState.UNKNOWN
    assert desk.spent() == PRICE
    assert desk.service.accepted == ["one"]
    assert "not OperationRef" in str(job.error and job.error.message)


async def test_what_is_found_without_a_reference_is_trouble_of_the_search(
    tmp_path: Path, video: Path
) -> None:
    desk = Desk(tmp_path, video, Forgetful)
    job = await desk.make()

    found = await desk.process().reconcile(job.id)

    assert found.ref is None
    assert "not OperationRef" in found.said


class SlowService(Service):
    """It takes the request, and answers when it may."""

    def __init__(self, settings: BackendSettings, video: Path, name: str = "service") -> None:
        super().__init__(settings, video, name)
        self.is_out, self.may_answer = asyncio.Event(), asyncio.Event()

    async def submit_once(self, request: VideoRequest, *, key: str) -> OperationRef:
        with sending() if self.tells_when_sending else nullcontext():
            self.is_out.set()
            await self.may_answer.wait()
            if self.answer is not None:
                raise self.answer
            self.accepted.append(key)
        return OperationRef(backend=self.name, model="one", operation_id="op-1")


class SilentSlowService(SlowService):
    tells_when_sending = False


@pytest.mark.parametrize("kind", [SlowService, SilentSlowService])
@pytest.mark.parametrize(
    ("answer", "state", "spent"),
    [
        (BackendRefusedError("422"), SubmissionState.REFUSED, 0.0),
        (ContentRejectedError("no cats"), SubmissionState.REFUSED, 0.0),
        (None, SubmissionState.ACCEPTED, PRICE),
        (KeyError("id"), SubmissionState.INTENDED, PRICE),
    ],
    ids=["422", "rejected", "accepted", "lost"],
)
async def test_what_a_service_answers_while_the_process_ends_is_kept(
    tmp_path: Path,
    video: Path,
    kind: type[Service],
    answer: Exception | None,
    state: SubmissionState,
    spent: float,
) -> None:
    desk = Desk(tmp_path, video, kind)
    assert isinstance(desk.service, SlowService)
    desk.service.answer = answer
    client = desk.process()
    job = await client.start(REQUEST)
    await desk.service.is_out.wait()

    closing = asyncio.create_task(client._running.let_go())
    for _ in range(5):
        await asyncio.sleep(0)
    desk.service.may_answer.set()
    await closing

    assert desk.state(job) is state
    assert desk.spent() == spent


async def test_a_refusal_that_is_heard_while_the_process_ends_is_the_end_of_the_job_later(
    tmp_path: Path, video: Path
) -> None:
    desk = Desk(tmp_path, video, SlowService)
    assert isinstance(desk.service, SlowService)
    desk.service.answer = BackendRefusedError("422")
    client = desk.process()
    job = await client.start(REQUEST)
    await desk.service.is_out.wait()
    closing = asyncio.create_task(client._running.let_go())
    desk.service.may_answer.set()
    await closing

    later = await desk.process().resume(job.id)

    assert later.status is JobStatus.FAILED
    assert later.error is not None
    assert later.error.message == "422"


@pytest.mark.parametrize("while_", ["sent", "looked for", "fetched"])
async def test_a_ledger_that_is_busy_meanwhile_does_not_stop_paid_work(
    tmp_path: Path, video: Path, while_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, video, LostService if while_ == "looked for" else Service)

    async def busy_for_a_while() -> None:
        desk.ledger.is_busy, begun = True, desk.ledger.asked
        while desk.ledger.asked < begun + 3:  # noqa: ASYNC110  # it is asked now and then
            await asyncio.sleep(0.001)
        desk.ledger.is_busy = False

    async def fetch(uri: str, path: Path, **how: object) -> Fetched:
        await busy_for_a_while()
        return fetched(video, path)

    if while_ == "sent":
        desk.service.at_first = busy_for_a_while
    if while_ == "looked for":
        desk.service.at_find = busy_for_a_while  # type: ignore[attr-defined]
    if while_ == "fetched":
        monkeypatch.setattr("media_agent.ingest.download.fetch", fetch)
        elsewhere = Artifact(uri="https://service.test/video.mp4")
        desk.service.told = [JobCompleted(artifacts=(elsewhere,))]

    job = await desk.make()

    assert job.status is JobStatus.COMPLETED, job.error
    assert len(desk.service.accepted) == 1


def fetched(video: Path, path: Path) -> Fetched:
    content = video.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Fetched(path, len(content), hashlib.sha256(content).hexdigest())


class LostService(Service):
    """Its reply is lost, and its list shows the work."""

    def __init__(self, settings: BackendSettings, video: Path, name: str = "service") -> None:
        super().__init__(settings, video, name)
        self.after = ConnectionResetError()
        self.at_find: Callable[[], Awaitable[None]] = nothing

    def capabilities(self, model: str | None = None) -> Capabilities:
        changes = {"lookup": "list", "lookup_seconds": 0.0}
        return super().capabilities(model).model_copy(update=changes)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        await self.at_find()
        return OperationRef(backend=self.name, model="one", operation_id="op-1")


async def test_what_was_found_out_of_a_video_when_it_was_fetched_is_not_found_out_again(
    desk: Desk, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(uri: str, path: Path, **how: object) -> Fetched:
        return replace(fetched(video, path), sha256="a" * 64)

    monkeypatch.setattr("media_agent.ingest.download.fetch", fetch)
    elsewhere = Artifact(uri="https://service.test/video.mp4")
    desk.service.told = [JobCompleted(artifacts=(elsewhere,))]

    job = await desk.make()

    assert job.status is JobStatus.COMPLETED
    assert job.artifacts[0].sha256 == "a" * 64


async def test_where_found_work_is_is_written_however_long_that_takes(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.jobs.recovery.lost_replies._FOR_ANSWERS", 0.02)
    desk = Desk(tmp_path, video, LostService)
    desk.ledger.seconds = 0.1

    job = await desk.make()

    assert job.status is JobStatus.COMPLETED, job.error
    assert job.ref is not None


async def test_who_is_observed_is_closed_before_its_video_is_fetched(
    tmp_path: Path, video: Path
) -> None:
    steps: list[str] = []

    class Observed(Service):
        async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
            try:
                yield self.done()
            finally:
                steps.append("closed")

    desk = Desk(tmp_path, video, Observed)

    await desk.process(steps.append).generate(REQUEST)

    assert steps.index("closed") < steps.index("observe")


# -- before anything was sent ------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [each for each in OF_ANY_KIND if not isinstance(each, asyncio.CancelledError)]
    + [StorageError("no room for a copy"), ConfigurationError("HTTPS_PROXY cannot be read")],
    ids=name_of,
)
async def test_what_breaks_before_anything_was_sent_fails_and_leaves_money_and_key_free(
    desk: Desk, trouble: BaseException
) -> None:
    desk.service.before = trouble
    failed = await desk.make(idempotency_key="mine")
    spent = desk.spent()
    desk.service.before = None

    again = await desk.make(idempotency_key="mine")

    assert failed.status is JobStatus.FAILED
    assert spent == 0
    assert again.id != failed.id
    assert again.status is JobStatus.COMPLETED
    assert len(desk.service.accepted) == 1


@pytest.mark.parametrize(
    "no",
    [
        BackendRefusedError("413"),
        BackendAuthenticationError("out of credit"),
        ContentRejectedError("no cats"),
    ],
    ids=name_of,
)
async def test_after_a_plain_no_the_key_is_free_also_for_another_request(
    desk: Desk, no: MediaAgentError
) -> None:
    desk.service.answer = no
    refused = await desk.make(idempotency_key="mine")
    desk.service.answer = None

    again = await desk.make(REQUEST.model_copy(update={"prompt": "a dog"}), idempotency_key="mine")

    assert (refused.status, again.status) == (JobStatus.FAILED, JobStatus.COMPLETED)
    assert (await desk.process().generate(again.request, idempotency_key="mine")).id == again.id
    assert desk.ledger.jobs.get(refused.id).status is JobStatus.FAILED


@pytest.mark.parametrize("end", ["failed", "unknown", "cancelled"])
async def test_the_key_of_work_that_was_or_may_be_accepted_stays_its_own(
    desk: Desk, end: str
) -> None:
    if end == "failed":
        desk.service.told = [JobFailed(error=to_info(GenerationFailedError("it broke there")))]
    elif end == "unknown":
        desk.service.after = KeyError("id")
    client = desk.process()
    if end == "cancelled":
        desk.service.hangs_before = asyncio.Event()
        job = await client.start(REQUEST, idempotency_key="mine")
        await desk.service.hangs_before.wait()
        await client.cancel(job.id)
        await client._running.attach(job.id, None)
    else:
        job = await client.generate(REQUEST, idempotency_key="mine")

    again = await client.generate(REQUEST, idempotency_key="mine")

    assert again.id == job.id
    assert len(desk.service.accepted) == (0 if end == "cancelled" else 1)


# -- the same key on other terms ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"out": "b.mp4"}, "b.mp4"),
        ({"policy": Policy.ADJUST}, "policy"),
        ({"overwrite": True}, "does not overwrite"),
    ],
    ids=["place", "policy", "overwrite"],
)
async def test_the_same_key_on_other_terms_is_refused_in_words(
    desk: Desk, tmp_path: Path, terms: dict[str, object], said: str
) -> None:
    first = {"out": tmp_path / "a.mp4", "policy": Policy.STRICT, "idempotency_key": "mine"}
    done = await desk.make(**first)
    if "out" in terms:
        terms = {"out": tmp_path / "b.mp4"}

    with pytest.raises(IdempotencyConflictError, match=said) as caught:
        await desk.make(**{**first, **terms})

    assert done.id in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "b.mp4").exists()
    assert (await desk.make(**first)).id == done.id
    assert (await desk.make(idempotency_key="mine")).id == done.id
    assert len(desk.service.accepted) == 1


async def test_a_place_of_its_own_choice_is_none_of_the_terms_of_a_key(
    desk: Desk, tmp_path: Path
) -> None:
    done = await desk.make(idempotency_key="mine", default_out=tmp_path / "a.mp4")
    again = await desk.make(idempotency_key="mine", default_out=tmp_path / "b.mp4")

    assert again.id == done.id
    assert done.artifacts[0].path == str(tmp_path / "a.mp4")
    assert not (tmp_path / "b.mp4").exists()


# -- inputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["gone", "changed", "a folder", "unreadable"])
async def test_an_input_that_is_another_one_later_holds_nothing_up(
    desk: Desk, tmp_path: Path, then: str
) -> None:
    image = tmp_path / "cat.png"
    image.write_bytes(b"the image that is sent")
    medium = MediaInput(role=InputRole.FIRST_FRAME, path=str(image), mime_type="image/png")
    request = REQUEST.model_copy(update={"inputs": (medium,)})
    desk.service.told = [ZeroDivisionError()]
    job = await desk.make(request)
    if then in ("gone", "a folder"):
        image.unlink()
    if then == "a folder":
        image.mkdir()
    if then == "changed":
        image.write_bytes(b"another image")
    if then == "unreadable":
        image.chmod(0)

    done = await desk.process().resume(job.id)

    record = content_of(done.record_path)
    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert done.status is JobStatus.COMPLETED
    assert hashlib.sha256(b"the image that is sent").hexdigest().encode() in record


@pytest.mark.parametrize("kind", [Service, SilentService])
async def test_an_intent_that_does_not_get_on_disk_is_not_sent_and_leaves_money_and_key_free(
    tmp_path: Path, video: Path, kind: type[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, video, kind)
    flushed = desk.ledger.flushed

    async def fail(**_: object) -> None:
        raise StorageError("the disk does not answer")

    def break_disk(step: str) -> None:
        if step == "intent":
            monkeypatch.setattr(desk.ledger, "flushed", fail)

    failed = await desk.process(break_disk).generate(REQUEST, idempotency_key="mine")
    sent, spent = [*desk.service.accepted], desk.spent()
    monkeypatch.setattr(desk.ledger, "flushed", flushed)
    again = await desk.make(idempotency_key="mine")

    assert (failed.status, sent, spent) == (JobStatus.FAILED, [], 0)
    assert failed.error is not None
    assert failed.error.message == "the disk does not answer"
    assert (again.status, len(desk.service.accepted)) == (JobStatus.COMPLETED, 1)


@pytest.mark.parametrize("breaks", ["create", "flushed"])
async def test_a_job_whose_caller_heard_of_an_error_is_forgotten_however_long_that_takes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    create, discard, away = desk.ledger.jobs.create, desk.ledger.jobs.discard, [1, 2, 3]

    def break_create(*given: object, **options: object) -> VideoJob:
        create(*given, **options)  # type: ignore[arg-type]
        raise UndecidedError("the server went away")

    async def break_flushed(**_: object) -> None:
        raise LedgerBusyError("the server went away")

    def break_discard(job: VideoJob) -> None:
        if away:
            away.pop()
            raise LedgerBusyError("the server is still away")
        discard(job)

    monkeypatch.setattr(desk.ledger.jobs, "discard", break_discard)
    if breaks == "create":
        monkeypatch.setattr(desk.ledger.jobs, "create", break_create)
    else:
        monkeypatch.setattr(desk.ledger, "flushed", break_flushed)

    with pytest.raises(StorageError, match="the server went away"):
        await desk.process().start(REQUEST, caller="somebody")

    assert desk.ledger.jobs.list() == []
    assert not away


async def test_who_does_not_hear_whether_a_known_job_was_found_loses_no_job(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await desk.make(job_id="mine", idempotency_key="key")
    terms, running = desk.ledger.jobs.terms("mine"), desk.process()._running
    create = desk.ledger.jobs.create

    def break_create(*given: object, **options: object) -> VideoJob:
        create(*given, **options)  # type: ignore[arg-type]
        raise UndecidedError("the server went away")

    monkeypatch.setattr(desk.ledger.jobs, "create", break_create)
    with pytest.raises(UndecidedError):
        await running.keep("mine", made.request, terms)  # another call made it meanwhile

    assert desk.ledger.jobs.get("mine") == made


async def test_nobody_begins_a_job_that_is_still_on_its_way_to_the_disk(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_agent.ledger.owners._SOON", 0.0)
    client, is_written, goes_on = desk.process(), asyncio.Event(), asyncio.Event()

    async def wait(**_: object) -> None:
        is_written.set()
        await goes_on.wait()

    monkeypatch.setattr(desk.ledger, "flushed", wait)
    starting = asyncio.create_task(client.start(REQUEST, caller="somebody"))
    await is_written.wait()

    assert await client.adopt_left() == ()
    goes_on.set()
    job = await starting
    await client.work_on(job.id)  # type: ignore[misc]
    assert len(desk.service.accepted) == 1


async def test_an_intent_is_withdrawn_at_once_where_the_disk_is_full(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    def fail(file: int) -> None:
        raise OSError(28, "No space left on device")

    def fill_disk(step: str) -> None:
        if step == "intent":
            monkeypatch.setattr(flush, "_sync", fail)

    monkeypatch.setattr(sys.modules[__name__], "no_sleep", sleep)
    with pytest.raises(StorageError, match="disk is full"):
        await desk.process(fill_disk).generate(REQUEST)

    assert (desk.service.accepted, desk.spent()) == ([], 0)
    assert slept == []


# -- stopped -----------------------------------------------------------------------------------


async def test_a_job_that_is_stopped_before_it_sends_is_never_sent(desk: Desk) -> None:
    desk.service.hangs_before = asyncio.Event()
    client = desk.process()
    job = await client.start(REQUEST)
    await desk.service.hangs_before.wait()

    await client.cancel(job.id)
    async with asyncio.timeout(60):
        ended = await client._running.attach(job.id, None)

    assert ended.status is JobStatus.CANCELLED
    assert desk.service.accepted == []
    assert desk.spent() == 0


class SearchedService(Service):
    """Its reply was lost, and it can be asked; whoever asks waits without end."""

    def __init__(self, settings: BackendSettings, video: Path, name: str = "service") -> None:
        super().__init__(settings, video, name)
        self.is_asked = asyncio.Event()
        self.after = ConnectionResetError()

    def capabilities(self, model: str | None = None) -> Capabilities:
        return super().capabilities(model).model_copy(update={"lookup": "list"})

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        self.is_asked.set()
        await asyncio.Event().wait()
        return None


async def test_a_job_that_is_stopped_while_its_reply_is_looked_for_ends_at_once_and_stays_open(
    tmp_path: Path, video: Path
) -> None:
    desk = Desk(tmp_path, video, SearchedService)
    assert isinstance(desk.service, SearchedService)
    client = desk.process()
    job = await client.start(REQUEST)
    await desk.service.is_asked.wait()

    await client.cancel(job.id)
    async with asyncio.timeout(60):
        ended = await client._running.attach(job.id, None)

    assert ended.status is JobStatus.OUTCOME_UNKNOWN
    assert "stopped" in str(ended.error and ended.error.hint)
    assert desk.spent() == PRICE


async def test_a_job_that_is_stopped_while_its_video_is_fetched_ends_at_once_and_is_collected_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_fetching = asyncio.Event()

    async def endless(*args: object, **options: object) -> None:
        is_fetching.set()
        await asyncio.Event().wait()

    elsewhere = Artifact(uri="https://service.test/video.mp4")
    desk.service.told = [JobCompleted(artifacts=(elsewhere,))]
    client = desk.process()
    monkeypatch.setattr("media_agent.ingest.download.fetch", endless)
    job = await client.start(REQUEST)
    await is_fetching.wait()

    await client.cancel(job.id)
    async with asyncio.timeout(60):
        stopped = await client._running.attach(job.id, None)
    later = await desk.process().resume(job.id)

    assert stopped.status is JobStatus.OUTCOME_UNKNOWN
    assert later.status is JobStatus.COMPLETED
    assert len(desk.service.accepted) == 1


@pytest.mark.parametrize("comes", [True, False], ids=["it comes", "it comes later"])
async def test_an_address_that_holds_the_key_is_used_whole_and_kept_without_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, comes: bool
) -> None:
    key = "SECRETKEY-0123456789"
    monkeypatch.setenv("MEDIA_AGENT_BACKENDS__SERVICE__KEY", key)
    elsewhere = Artifact(uri=f"https://service.test/video.mp4?key={key}")
    desk.service.told = [JobCompleted(artifacts=(elsewhere,))]
    asked: list[str] = []
    video = make_video(Video(frames=8))

    async def fetched(uri: str, path: Path, **options: object) -> Fetched:
        asked.append(uri)
        if len(asked) == 1 and not comes:
            raise VideoNotFetchedError("it is not there")
        return put(path, video)

    monkeypatch.setattr("media_agent.ingest.download.fetch", fetched)

    job = await desk.make()
    after_first = files_with(desk.folder, key)
    if not comes:
        job = await desk.process().resume(job.id)

    assert job.status is JobStatus.COMPLETED
    assert set(asked) == {elsewhere.uri}
    assert after_first == files_with(desk.folder, key) == []


def put(path: Path, content: bytes) -> Fetched:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Fetched(path, len(content), hashlib.sha256(content).hexdigest())


def files_with(folder: Path, text: str) -> list[Path]:
    """Return the files in a folder that hold a text."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if text.encode() in path.read_bytes()]
