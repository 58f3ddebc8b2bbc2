"""The way of a job through crashes, lost replies and refusals, with a provider that counts."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from media_agent.backend.protocol import BackendSettings, BackendSpec
from media_agent.cli.run_job import find_new_warnings
from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.errors import (
    BackendAuthenticationError,
    BackendError,
    BackendResponseError,
    BackendUnavailableError,
    BudgetExceededError,
    ContentRejectedError,
    GenerationFailedError,
    IdempotencyConflictError,
    InvalidRequestError,
    JobError,
    OperationNotFoundError,
    SubmitUncertainError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.jobs.recovery import lost_replies
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import SubmissionState
from media_agent.registry.plugins import Discovery
from media_agent.registry.registry import Registry
from media_agent.testing.simulator.videos import write_video
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    Capabilities,
    ChangePrompt,
    ChunkReady,
    Cost,
    Estimate,
    Finish,
    GenerationRecord,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    JobStatus,
    OperationRef,
    Plan,
    ResumeToken,
    TerminalEvent,
    VideoJob,
    VideoRequest,
)

REQUEST = VideoRequest(prompt="a cat", duration=2, seed=0, model="paid")
STEPS = ("plan", "intent", "submit", "ref", "observe", "collect", "record", "finish")
Reply = Literal["accepted", "refused", "rejected", "lost", "never arrived", "garbage"]
Lookup = Literal["key", "list", "none"]


class Crash(BaseException):
    """The process ends here; nothing that follows is done."""


class Provider:
    """A service elsewhere: it outlives our processes and counts what it accepted."""

    def __init__(self, video: Path, *, lookup: Lookup = "none", resubmits: bool = False) -> None:
        self.video = video
        self.lookup: Lookup = lookup
        self.resubmits = resubmits
        self.replies: list[Reply] = []
        self.accepted: list[str] = []
        self.posts = 0
        self.is_reachable = True
        self.lookup_seconds = 30.0
        self.lists_after = 0  # looks for it that find nothing
        self.forgets = 0  # so many more times
        self.queues = False
        self.ending: Literal["completed", "failed", "working"] = "completed"
        self.cancelled: set[str] = set()
        self.tokens: list[ResumeToken | None] = []
        self.cost = Cost(usd=0.4)


class PaidBackend:
    """One process's way to the provider."""

    def __init__(self, name: str, provider: Provider) -> None:
        self.name = name
        self.provider = provider

    def capabilities(self, model: str | None = None) -> Capabilities:
        return Capabilities(
            backend=self.name,
            model="one",
            default_fps=4,
            seed=True,
            resumable=self.provider.resubmits,
            resubmits=self.provider.resubmits,
            lookup=self.provider.lookup,
            lookup_seconds=self.provider.lookup_seconds,
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        return Estimate(cost_usd=0.5, usd_per_second=0.25)

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        self.provider.posts += 1
        self.provider.tokens.append(resume)
        reply = self.provider.replies.pop(0) if self.provider.replies else "accepted"
        if reply == "refused":
            raise BackendUnavailableError("no room")
        if reply == "rejected":
            raise ContentRejectedError("no cats")
        if reply == "never arrived":
            raise SubmitUncertainError("the connection broke")
        self.provider.accepted.append(key)
        if reply == "lost":
            raise SubmitUncertainError("the connection broke")
        if reply == "garbage":
            raise ZeroDivisionError("what is this?")
        return self.ref(key)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        if not self.provider.is_reachable:
            raise BackendUnavailableError("no network")
        if self.provider.lists_after:
            self.provider.lists_after -= 1
            return None
        return self.ref(key) if key in self.provider.accepted else None

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        provider = self.provider
        if provider.forgets:
            provider.forgets -= 1
            raise OperationNotFoundError("never heard of it")
        if provider.queues:
            yield JobProgressed(phase="queued")
        yield JobStarted()
        if not provider.is_reachable:
            raise BackendUnavailableError("no network")
        for index in range(2):
            token = ResumeToken(backend=self.name, model="one", next_chunk=index + 1)
            yield ChunkReady(index=index, frames=4, resume=token if provider.resubmits else None)
        if ref.operation_id in provider.cancelled:
            yield JobCancelled()
        elif provider.ending == "completed":
            video = Artifact(path=str(provider.video))
            yield JobCompleted(artifacts=(video,), cost=provider.cost)
        elif provider.ending == "failed":
            yield JobFailed(error=to_info(GenerationFailedError("it went wrong there")))
        else:
            raise Crash

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        raise UnsupportedRequestError(f"{self.name} takes no {command.type}")

    async def cancel(self, ref: OperationRef) -> None:
        self.provider.cancelled.add(ref.operation_id)

    async def aclose(self) -> None:
        pass

    def ref(self, key: str) -> OperationRef:
        return OperationRef(backend=self.name, operation_id=f"op-{key}")


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0)


class World:
    """A data folder, providers, and as many processes, one after the other, as a test starts."""

    def __init__(self, folder: Path, **providers: Provider) -> None:
        self.folder = folder
        self.providers = providers
        self.seen: list[str] = []
        self.slept: list[float] = []
        self.now = datetime(2026, 1, 2, tzinfo=UTC)
        self.per_day: float | None = None
        self.ledger = Ledger(
            folder / "data" / "ledger.sqlite", is_owner_alive=lambda owner, silent: False
        )

    def process(self, crash_at: str | None = None) -> VideoClient:
        """Return the client of a new process, which ends at a step."""

        def checkpoint(step: str) -> None:
            self.seen.append(step)
            if step == crash_at:
                raise Crash

        def spec(name: str, provider: Provider) -> BackendSpec:
            def factory(settings: BackendSettings) -> PaidBackend:
                return PaidBackend(name, provider)

            return BackendSpec(name=name, factory=factory)

        specs = {name: spec(name, provider) for name, provider in self.providers.items()}
        return VideoClient(
            settings=load_settings(
                data_dir=self.folder / "data",
                default_backend="paid",
                budget={"max_cost_usd_per_day": self.per_day},
            ),
            registry=Registry(Discovery(specs)),
            store=self.ledger,
            now=lambda: self.now,
            sleep=self.sleep,
            checkpoint=checkpoint,
        )

    async def sleep(self, seconds: float) -> None:
        """Let others work, and note for how long a process would have waited."""
        self.slept.append(seconds)
        await no_sleep(seconds)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "made.mp4"
    write_video(path, np.zeros((8, 16, 16, 3), np.uint8), fps=4)
    return path


@pytest.fixture
def world(tmp_path: Path, video: Path) -> World:
    return World(tmp_path, paid=Provider(video))


@pytest.mark.anyio
async def test_billed_seconds_cost_what_was_quoted_for_each(world: World) -> None:
    world.providers["paid"].cost = Cost(seconds=3, source="paid")

    job = await world.process().generate(REQUEST, out=world.folder / "cat.mp4")

    record = GenerationRecord.model_validate_json((world.folder / "cat.json").read_bytes())
    assert (job.cost_usd, job.cost_source) == (0.75, "billed")
    assert record.cost.usd == 0.75
    assert record.cost.source == "billed: paid: 3 billed seconds at 0.25 USD"


def ends(client: VideoClient, job_id: str) -> list[str]:
    terminal = ("job.completed", "job.failed", "job.cancelled", "job.outcome_unknown")
    types = [numbered.event.type for numbered in client.store.events.read(job_id)]
    return [each for each in types if each in terminal]


@pytest.mark.anyio
@pytest.mark.parametrize("step", STEPS)
async def test_a_job_that_ends_after_any_step_continues_and_is_paid_once(
    world: World, step: str
) -> None:
    provider, out = world.providers["paid"], world.folder / "a.mp4"
    provider.lookup = "key"
    with pytest.raises(Crash):
        await world.process(step).generate(REQUEST, out=out, job_id="mine")

    client = world.process()
    job = await client.resume("mine")

    if step == "intent":  # nothing arrived there, and nothing is sent again
        assert job.status is JobStatus.OUTCOME_UNKNOWN
        assert provider.posts == 0
        return
    assert job.status is JobStatus.COMPLETED
    assert provider.accepted == ["mine"]
    assert out.read_bytes() == provider.video.read_bytes()
    assert GenerationRecord.model_validate_json(out.with_suffix(".json").read_bytes())
    assert ends(client, "mine") == ["job.completed"]
    numbers = [event.sequence for event in client.store.events.read("mine")]
    assert numbers == list(range(len(numbers)))


@pytest.mark.anyio
async def test_the_steps_come_in_their_order(world: World) -> None:
    await world.process().generate(REQUEST)

    assert world.seen == list(STEPS)


@pytest.mark.anyio
@pytest.mark.parametrize("lookup", ["key", "list"])
@pytest.mark.parametrize("reply", ["lost", "garbage"])
async def test_work_whose_reply_was_lost_is_found_and_not_sent_again(
    world: World, lookup: Lookup, reply: Reply
) -> None:
    provider = world.providers["paid"]
    provider.lookup, provider.replies = lookup, [reply]

    job = await world.process().generate(REQUEST)

    assert job.status is JobStatus.COMPLETED
    assert provider.posts == 1


@pytest.mark.anyio
async def test_while_work_is_looked_for_the_caller_hears_who_is_asked(world: World) -> None:
    provider, seen = world.providers["paid"], []
    provider.lookup, provider.replies = "list", ["lost"]

    await world.process().generate(REQUEST, on_event=seen.append)

    assert seen[0].event == JobProgressed(phase="asking paid about work whose reply was lost")


@pytest.mark.anyio
async def test_work_that_is_listed_only_once_it_has_ended_is_looked_for_so_long(
    world: World,
) -> None:
    provider, seen = world.providers["paid"], []
    provider.lookup, provider.replies, provider.lists_after = "list", ["lost"], 9
    provider.lookup_seconds = 900

    job = await world.process().generate(REQUEST, on_event=seen.append)

    assert job.status is JobStatus.COMPLETED
    assert provider.posts == 1
    assert world.slept == [1, 2, 4, 8, 15, 30, 30, 30, 30]
    assert isinstance(seen[0].event, JobProgressed)
    assert "for up to 15 min" in (seen[0].event.phase or "")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("seconds", "passed", "looked"),
    [
        (30, 0, 30),
        (900, 0, 900),
        (40, 0, 40),
        (900, 600, 300),  # killed after ten minutes, and resumed
        (900, 90_000, 30),  # or a day later: what it asks about must be listed by now
        (900, -3600, 900),  # its clock was set back
    ],
)
async def test_a_process_that_resumes_looks_for_what_is_left_of_the_time(
    world: World, seconds: float, passed: float, looked: float
) -> None:
    provider = world.providers["paid"]
    provider.lookup, provider.lookup_seconds, provider.lists_after = "list", seconds, 1000
    with pytest.raises(Crash):
        await world.process("submit").generate(REQUEST, job_id="mine")
    world.now += timedelta(seconds=passed)

    job = await world.process().resume("mine")

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert sum(world.slept) == looked
    assert provider.posts == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("trouble", "looked"),
    [
        (BackendResponseError("a web page"), 30),
        (BackendAuthenticationError("not with this key"), 30),
        (BackendUnavailableError("no network"), 900),  # it may come back
    ],
)
async def test_a_list_that_makes_no_sense_is_not_asked_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: BackendError, looked: float
) -> None:
    async def find(*_: object, **__: object) -> None:
        raise trouble

    provider = world.providers["paid"]
    provider.lookup, provider.replies, provider.lookup_seconds = "list", ["lost"], 900
    monkeypatch.setattr(PaidBackend, "find", find)

    job = await world.process().generate(REQUEST)

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert sum(world.slept) == looked


@pytest.mark.anyio
async def test_a_long_search_ends_when_its_job_is_to_stop(world: World) -> None:
    provider = world.providers["paid"]
    provider.lookup, provider.replies, provider.lists_after = "list", ["lost"], 1000
    provider.lookup_seconds = 900
    begun, for_ever = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        begun.set()
        await for_ever.wait()

    world.sleep = sleep  # type: ignore[method-assign]  # the first pause never ends
    client = world.process()
    task = asyncio.create_task(client.generate(REQUEST, job_id="mine"))
    await begun.wait()
    await client.cancel("mine")
    job = await task

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert job.error is not None
    assert "stopped while being asked" in (job.error.hint or "")


@pytest.mark.anyio
async def test_without_a_lookup_a_lost_reply_stops_with_the_next_step(world: World) -> None:
    provider = world.providers["paid"]
    provider.replies = ["lost"]

    job = await world.process().generate(REQUEST)
    again = await world.process().resume(job.id)
    finding = await world.process().reconcile(job.id)

    assert job.status is again.status is JobStatus.OUTCOME_UNKNOWN
    assert job.error is not None
    assert "check its own page" in (job.error.hint or "")
    assert "cannot be searched" in finding.said
    assert provider.posts == 1


@pytest.mark.anyio
async def test_a_video_that_was_put_in_its_place_is_no_obstacle_after_a_later_failure(
    world: World,
) -> None:
    provider, out = world.providers["paid"], world.folder / "a.mp4"
    provider.resubmits = True
    with pytest.raises(Crash):
        await world.process("record").generate(REQUEST, out=out, job_id="mine")
    provider.replies = ["rejected"]

    failed = await world.process().resume("mine")
    job = await world.process().resume("mine")

    assert failed.status is JobStatus.FAILED
    assert job.status is JobStatus.COMPLETED
    assert ends(world.process(), "mine") == ["job.failed", "job.completed"]


@pytest.mark.anyio
async def test_a_provider_that_never_answers_is_not_waited_for_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = world.providers["paid"]
    provider.lookup, provider.replies = "list", ["lost"]
    monkeypatch.setattr(lost_replies, "_FOR_ANSWERS", 0.01)
    provider.lookup_seconds = 0

    async def never(*args: object, **options: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(PaidBackend, "find", never)
    job = await world.process().generate(REQUEST, job_id="mine")

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert job.error is not None
    assert "within 0.01 s" in (job.error.hint or "")
    assert "jobs reconcile mine" in (job.error.hint or "")


@pytest.mark.anyio
async def test_what_cannot_be_found_now_is_found_by_reconcile_later_and_then_collected(
    world: World,
) -> None:
    provider, out = world.providers["paid"], world.folder / "a.mp4"
    provider.lookup, provider.replies, provider.is_reachable = "list", ["lost"], False
    job = await world.process().generate(REQUEST, out=out)
    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert f"jobs reconcile {job.id}" in str(job.error)
    provider.is_reachable = True

    finding = await world.process().reconcile(job.id)
    client = world.process()
    end = await client.resume(job.id)

    assert finding.ref is not None
    assert f"jobs resume {job.id}" in finding.said
    assert finding.job.status is JobStatus.OUTCOME_UNKNOWN  # finding is not collecting
    assert end.status is JobStatus.COMPLETED
    assert out.exists()
    assert ends(client, job.id) == ["job.outcome_unknown", "job.completed"]
    assert provider.posts == 1


@pytest.mark.anyio
async def test_a_job_that_could_not_be_watched_any_longer_is_watched_again(world: World) -> None:
    provider = world.providers["paid"]
    provider.is_reachable = False
    job = await world.process().generate(REQUEST)
    assert job.status is JobStatus.OUTCOME_UNKNOWN
    provider.is_reachable = True

    assert (await world.process().resume(job.id)).status is JobStatus.COMPLETED
    assert provider.posts == 1


@pytest.mark.anyio
async def test_work_that_costs_nothing_is_submitted_again_from_its_last_token(
    world: World,
) -> None:
    provider, out = world.providers["paid"], world.folder / "a.mp4"
    provider.resubmits, provider.ending = True, "working"
    with pytest.raises(Crash):
        await world.process().generate(REQUEST, out=out, job_id="mine")
    provider.ending = "completed"

    client = world.process()
    job = await client.resume("mine")

    record = GenerationRecord.model_validate_json(out.with_suffix(".json").read_bytes())
    chunks = [
        event for event in client.store.events.read("mine") if event.event.type == "chunk.ready"
    ]
    assert job.status is JobStatus.COMPLETED
    assert [token and token.next_chunk for token in provider.tokens] == [None, 2]
    assert record.lineage.resumed_from_chunk == 2
    assert len(chunks) == 2
    assert client.store.submissions.of("mine")[0].attempts == 2


@pytest.mark.anyio
@pytest.mark.parametrize("waits", [True, False])
async def test_failed_work_of_this_machine_is_resumed_within_the_budget_of_the_day_only(
    world: World, waits: bool
) -> None:
    provider = world.providers["paid"]
    provider.resubmits, provider.ending = True, "failed"
    failed = await world.process().generate(REQUEST, job_id="mine")
    provider.ending = "completed"
    for _ in range(2):
        await world.process().generate(REQUEST)
    world.per_day, posts = 1.0, provider.posts
    client = world.process()

    with pytest.raises(BudgetExceededError) as refused:
        await (client.resume("mine") if waits else client.begin_resume("mine"))

    assert refused.value.message == (
        "paid/one would cost 0.50 USD; of the 1.00 USD for a day (UTC) 0.80 USD are spent or held "
        "and 0.20 USD are left"
    )
    assert failed.status is JobStatus.FAILED
    assert await client.get("mine") == failed
    assert provider.posts == posts
    world.per_day = 1.3
    assert (await world.process().resume("mine")).status is JobStatus.COMPLETED


@pytest.mark.anyio
async def test_of_paid_work_that_the_provider_forgot_nobody_knows_the_outcome(
    world: World,
) -> None:
    world.providers["paid"].forgets = 2

    job = await world.process().generate(REQUEST, job_id="mine")

    assert job.status is JobStatus.OUTCOME_UNKNOWN
    assert job.error is not None
    assert job.error.code == "operation_not_found"
    assert "paid's own page" in (job.error.hint or "")
    assert "media-agent jobs resume mine" in (job.error.hint or "")
    assert world.providers["paid"].posts == 1


@pytest.mark.anyio
@pytest.mark.parametrize(("times", "status"), [(1, JobStatus.COMPLETED), (2, JobStatus.FAILED)])
async def test_free_work_that_was_forgotten_is_submitted_once_more(
    world: World, times: int, status: JobStatus
) -> None:
    provider = world.providers["paid"]
    provider.resubmits, provider.forgets = True, times

    job = await world.process().generate(REQUEST)

    assert job.status is status
    assert provider.posts == 2


@pytest.mark.anyio
async def test_work_that_waits_at_its_provider_is_queued_and_starts_once(world: World) -> None:
    world.providers["paid"].queues = True
    statuses: list[JobStatus] = []
    client = world.process()

    def on_event(numbered: JobEvent) -> None:
        statuses.append(client.store.jobs.get("mine").status)

    await client.generate(REQUEST, job_id="mine", on_event=on_event)

    types = [numbered.event.type for numbered in client.store.events.read("mine")]
    assert types[:2] == ["job.progressed", "job.started"]
    assert types.count("job.started") == 1
    assert statuses[:2] == [JobStatus.QUEUED, JobStatus.IN_PROGRESS]


@pytest.mark.anyio
@pytest.mark.parametrize("resubmits", [True, False])
async def test_a_paid_video_that_cannot_be_put_in_its_place_is_collected_later(
    world: World, resubmits: bool
) -> None:
    provider, video = world.providers["paid"], world.providers["paid"].video
    provider.resubmits, provider.video = resubmits, world.folder / "gone.mp4"
    job = await world.process().generate(REQUEST)
    provider.video = video

    end = await world.process().resume(job.id)

    assert job.error is not None
    assert "it is gone" in job.error.message
    assert job.status is (JobStatus.FAILED if resubmits else JobStatus.OUTCOME_UNKNOWN)
    assert end.status is JobStatus.COMPLETED
    assert provider.posts == (2 if resubmits else 1)  # what costs nothing is made again


# -- several candidates -----------------------------------------------------------------------


async def plans(client: VideoClient, *names: str) -> Sequence[Plan]:
    return [await client.plan(REQUEST.model_copy(update={"model": name})) for name in names]


@pytest.mark.anyio
async def test_after_a_refusal_the_next_candidate_is_asked(world: World, video: Path) -> None:
    world.providers["paid"].replies = ["refused"]
    world.providers["other"] = Provider(video)
    client = world.process()

    job = await client.generate(REQUEST, plans=await plans(client, "paid", "other"))

    assert job.status is JobStatus.COMPLETED
    assert job.plan.backend == "other"
    assert "paid refused (no room); other/one is next" in job.warnings
    assert client.store.submissions.spent(datetime(2025, 1, 1, tzinfo=UTC)) == 0.4
    states = [sent.state for sent in client.store.submissions.of(job.id)]
    assert states == [SubmissionState.REFUSED, SubmissionState.ACCEPTED]


@pytest.mark.anyio
async def test_who_refused_is_in_the_record_and_what_the_next_plan_warns_of(
    world: World, video: Path
) -> None:
    world.providers["paid"].replies = ["refused"]
    world.providers["other"] = Provider(video)
    client, out = world.process(), world.folder / "a.mp4"
    first, second = await plans(client, "paid", "other")
    first = first.model_copy(update={"warnings": ("dear",)})
    second = second.model_copy(update={"warnings": ("slow",)})

    job = await client.generate(REQUEST, plans=(first, second), out=out)

    record = GenerationRecord.model_validate_json(out.with_suffix(".json").read_bytes())
    refused = "paid refused (no room); other/one is next"
    assert record.warnings == ("dear", refused, "slow")
    (asked_before,) = record.refused
    assert (asked_before.backend, asked_before.model, asked_before.key_name) == (
        "paid",
        "one",
        None,
    )
    assert asked_before.error.message == "no room"
    assert find_new_warnings(job, first) == [refused, "slow"]


@pytest.mark.anyio
@pytest.mark.parametrize("reply", ["lost", "garbage", "never arrived", "rejected"])
async def test_after_anything_else_nobody_else_is_asked(
    world: World, video: Path, reply: Reply
) -> None:
    world.providers["paid"].replies = [reply]
    world.providers["other"] = Provider(video)
    client = world.process()

    job = await client.generate(REQUEST, plans=await plans(client, "paid", "other"))

    unknown = reply != "rejected"
    assert job.status is (JobStatus.OUTCOME_UNKNOWN if unknown else JobStatus.FAILED)
    assert world.providers["other"].posts == 0


@pytest.mark.anyio
async def test_a_crash_between_two_candidates_continues_with_the_second(
    world: World, video: Path
) -> None:
    world.providers["paid"].replies = ["refused"]
    world.providers["other"] = Provider(video)
    client = world.process()
    chosen = await plans(client, "paid", "other")
    client = world.process("submit")
    with pytest.raises(Crash):
        await client.generate(REQUEST, plans=chosen, job_id="mine")
    world.providers["other"].lookup = "key"

    job = await world.process().resume("mine")

    assert job.status is JobStatus.COMPLETED
    assert [world.providers[name].posts for name in ("paid", "other")] == [1, 1]


@pytest.mark.anyio
async def test_videos_begun_at_once_stay_within_the_budget_of_a_day(world: World) -> None:
    world.per_day = 1.0
    client = world.process()
    plan = await client.plan(REQUEST)

    jobs = await asyncio.gather(*(client.generate(REQUEST, plans=[plan]) for _ in range(4)))
    later = await client.generate(REQUEST, plans=[plan])

    refused = [job for job in jobs if job.status is JobStatus.FAILED]
    assert world.providers["paid"].posts == len(jobs) - len(refused) == 2
    for job in (*refused, later):
        assert job.error is not None
        assert job.error.code == "budget_exceeded"
        assert "max_cost_usd_per_day" in (job.error.hint or "")
        assert client.store.submissions.of(job.id) == []


@pytest.mark.anyio
async def test_no_plans_are_too_few(world: World) -> None:
    with pytest.raises(InvalidRequestError, match="no plan was given"):
        await world.process().generate(REQUEST, plans=[])


# -- idempotency keys -------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_same_key_is_the_same_job(world: World) -> None:
    out = world.folder / "a.mp4"
    first = await world.process().generate(REQUEST, out=out, idempotency_key="k")

    second = await world.process().generate(REQUEST, out=out, idempotency_key="k")

    assert second == first
    assert world.providers["paid"].posts == 1


@pytest.mark.anyio
async def test_the_same_key_with_another_request_is_refused(world: World) -> None:
    await world.process().generate(REQUEST, idempotency_key="k")

    other = REQUEST.model_copy(update={"prompt": "a dog"})
    with pytest.raises(IdempotencyConflictError, match="another request"):
        await world.process().generate(other, idempotency_key="k")

    assert world.providers["paid"].posts == 1


@pytest.mark.anyio
async def test_the_same_key_resumes_a_job_whose_process_is_gone(world: World) -> None:
    with pytest.raises(Crash):
        await world.process("ref").generate(REQUEST, idempotency_key="k")
    seen: list[str] = []

    job = await world.process().generate(
        REQUEST, idempotency_key="k", on_event=lambda event: seen.append(event.event.type)
    )

    assert job.status is JobStatus.COMPLETED
    assert seen == ["job.started", "chunk.ready", "chunk.ready", "job.completed"]
    assert world.providers["paid"].posts == 1


@pytest.mark.anyio
async def test_two_calls_with_the_same_key_at_once_are_one_job(world: World) -> None:
    client = world.process()

    jobs = await asyncio.gather(
        *(client.generate(REQUEST, idempotency_key="k", out=world.folder / "a.mp4") for _ in "abc")
    )

    assert jobs[0] == jobs[1] == jobs[2]
    assert world.providers["paid"].posts == 1


@pytest.mark.anyio
async def test_a_place_that_is_taken_leaves_no_job_and_the_key_free(world: World) -> None:
    out = world.folder / "a.mp4"
    out.write_bytes(b"old")
    with pytest.raises(InvalidRequestError, match="exists"):
        await world.process().generate(REQUEST, out=out, idempotency_key="k")
    out.unlink()

    job = await world.process().generate(REQUEST, out=out, idempotency_key="k")

    assert job.status is JobStatus.COMPLETED
    assert [kept.id for kept in await world.process().list()] == [job.id]


# -- resume and cancel ------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_job_that_is_over_is_returned_as_it_is(world: World) -> None:
    job = await world.process().generate(REQUEST)

    assert await world.process().resume(job.id) == job
    assert (await world.process().reconcile(job.id)).said == "nothing about it is unknown"


@pytest.mark.anyio
async def test_a_job_under_way_is_not_resumed_beside_itself(world: World) -> None:
    client = world.process()
    ready = asyncio.Event()
    task = asyncio.create_task(
        client.generate(REQUEST, job_id="mine", on_event=lambda event: ready.set())
    )
    await ready.wait()

    with pytest.raises(JobError, match="another process is working on job mine"):
        await client.resume("mine")

    assert (await task).status is JobStatus.COMPLETED


@pytest.mark.anyio
@pytest.mark.parametrize(("step", "posts"), [("plan", 0), ("submit", 1), ("ref", 1)])
async def test_a_job_whose_process_is_gone_is_stopped_at_its_provider(
    world: World, step: str, posts: int
) -> None:
    provider = world.providers["paid"]
    provider.lookup = "list"
    with pytest.raises(Crash):
        await world.process(step).generate(REQUEST, job_id="mine")

    job = await world.process().cancel("mine")

    assert job.status is JobStatus.CANCELLED
    assert provider.posts == posts
    assert provider.cancelled == ({"op-mine"} if posts else set())


@pytest.mark.anyio
async def test_another_video_that_came_to_the_place_meanwhile_is_not_replaced(
    world: World,
) -> None:
    out = world.folder / "a.mp4"
    with pytest.raises(Crash):
        await world.process("ref").generate(REQUEST, out=out, job_id="mine")
    out.write_bytes(b"somebody else's")

    with pytest.raises(InvalidRequestError, match="exists"):
        await world.process().resume("mine")

    assert out.read_bytes() == b"somebody else's"
    out.unlink()
    assert (await world.process().resume("mine")).status is JobStatus.COMPLETED


# -- whatever happens -------------------------------------------------------------------------

replies = some.sampled_from(["accepted", "refused", "rejected", "lost", "never arrived", "garbage"])
crashes = some.sampled_from([None, None, *STEPS])
endings = some.sampled_from(["completed", "failed", "working"])


class JobMachine(RuleBasedStateMachine):
    """One job, two candidates, and processes that begin, crash, resume, ask and cancel."""

    folders: Iterator[Path]
    video: Path

    def __init__(self) -> None:
        super().__init__()
        self.world = World(next(self.folders))
        self.begun = False

    def teardown(self) -> None:
        self.world.ledger.close()
        shutil.rmtree(self.world.folder, ignore_errors=True)

    @precondition(lambda self: not self.begun)
    @rule(
        lookups=some.tuples(*[some.sampled_from(["key", "list", "none"])] * 2),
        resubmits=some.tuples(some.booleans(), some.booleans()),
        sent=some.lists(replies, max_size=2),
        ending=endings,
        crash_at=crashes,
    )
    def submit(
        self,
        lookups: tuple[Lookup, Lookup],
        resubmits: tuple[bool, bool],
        sent: list[Reply],
        ending: Literal["completed", "failed", "working"],
        crash_at: str | None,
    ) -> None:
        for name, lookup, again in zip(("paid", "other"), lookups, resubmits, strict=True):
            self.world.providers[name] = Provider(self.video, lookup=lookup, resubmits=again)
        self.say(sent, ending)
        self.begun = True

        async def begin() -> None:
            chosen = await plans(self.world.process(), "paid", "other")
            client = self.world.process(crash_at)
            out = self.world.folder / "a.mp4"
            await client.generate(REQUEST, plans=chosen, out=out, job_id="mine")

        self.live(begin())

    @precondition(lambda self: self.begun)
    @rule(sent=some.lists(replies, max_size=1), ending=endings, crash_at=crashes)
    def resume(
        self,
        sent: list[Reply],
        ending: Literal["completed", "failed", "working"],
        crash_at: str | None,
    ) -> None:
        self.say(sent, ending)
        self.live(self.world.process(crash_at).resume("mine"))

    @precondition(lambda self: self.begun)
    @rule(crash_at=crashes)
    def cancel(self, crash_at: str | None) -> None:
        self.live(self.world.process(crash_at).cancel("mine"))

    @precondition(lambda self: self.begun)
    @rule()
    def reconcile(self) -> None:
        self.live(self.world.process().reconcile("mine"))

    @precondition(lambda self: self.begun)
    @rule()
    def lose_or_regain_the_network(self) -> None:
        for provider in self.world.providers.values():
            provider.is_reachable = not provider.is_reachable

    @invariant()
    def events_are_gapless_and_the_end_is_one(self) -> None:
        if not self.begun:
            return
        kept = list(self.world.ledger.events.read("mine"))
        assert [event.sequence for event in kept] == list(range(len(kept)))
        chunks = [each.event.index for each in kept if isinstance(each.event, ChunkReady)]
        assert len(chunks) == len(set(chunks))
        for before, after in pairwise(kept):
            if isinstance(before.event, TerminalEvent):  # opened again, by us and no one else
                assert isinstance(after.event, JobStarted)
                assert "found again" in (after.event.message or "")
                assert not isinstance(before.event, JobCompleted)
                paid = not any(each.resubmits for each in self.world.providers.values())
                assert isinstance(before.event, JobOutcomeUnknown) or not paid

    @invariant()
    def at_most_one_submission_is_accepted(self) -> None:
        paid = [each for each in self.world.providers.values() if not each.resubmits]
        assert sum(len(provider.accepted) for provider in paid) <= 1
        assert all(provider.posts <= 1 for provider in paid)

    @invariant()
    def a_job_that_is_unknown_says_what_to_do(self) -> None:
        if self.begun:
            job = self.world.ledger.jobs.get("mine")
            if job.status is JobStatus.OUTCOME_UNKNOWN:
                assert job.error is not None
                assert job.error.hint

    def say(self, sent: list[Reply], ending: Literal["completed", "failed", "working"]) -> None:
        for provider in self.world.providers.values():
            provider.replies, provider.ending = list(sent), ending

    def live(self, work: "asyncio.Future[object] | object") -> None:
        """Let one process live until it ends or crashes."""

        async def life() -> VideoJob | None:
            try:
                await work  # type: ignore[misc]  # any of the client's calls
            except Crash:
                pass
            except BackendUnavailableError:  # reconcile says so
                pass
            return None

        asyncio.run(life())


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, video: Path) -> type[JobMachine]:
    folders = (tmp_path_factory.mktemp(f"machine{number}") for number in range(100_000))
    JobMachine.folders, JobMachine.video = iter(folders), video
    return JobMachine


def test_whatever_happens_a_job_is_paid_once_and_ends_once(machine: type[JobMachine]) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=6,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
