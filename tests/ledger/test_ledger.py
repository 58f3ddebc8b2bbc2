"""The ledger: whole states, gapless events, one end, owners, and files that cannot be used."""

import contextlib
import multiprocessing
import multiprocessing.synchronize
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from media_agent.errors import (
    BudgetExceededError,
    ConfigurationError,
    ContentRejectedError,
    IdempotencyConflictError,
    JobError,
    JobNotFoundError,
    StorageError,
    to_info,
)
from media_agent.ledger import database
from media_agent.ledger.database import Database
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import Owner, is_alive, process_started
from media_agent.ledger.state import JobOptions, OwnershipLostError, SubmissionState
from media_agent.ledger.tables import LEDGER_VERSION, TABLES
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    ChangePrompt,
    ChunkReady,
    Command,
    Cost,
    Estimate,
    Finish,
    InputRole,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    JobStatus,
    MediaInput,
    OperationRef,
    Plan,
    Policy,
    PromptChanged,
    ResumeToken,
    Segment,
    VideoJob,
    VideoRequest,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REF = OperationRef(backend="b", operation_id="op-1")
ELSEWHERE = Owner(host="elsewhere", pid=1, started="then", token="t")


def plan(prompt: str = "a cat", cost: float | None = None) -> Plan:
    request = VideoRequest(prompt=prompt, num_frames=48, fps=24)
    estimate = Estimate(cost_usd=cost)
    return Plan(backend="b", model="m", policy=Policy.ADJUST, request=request, estimate=estimate)


def job(job_id: str = "one", created_at: datetime = NOW, cost: float | None = None) -> VideoJob:
    planned = plan(cost=cost)
    return VideoJob(
        id=job_id,
        created_at=created_at,
        updated_at=created_at,
        request=planned.request,
        plan=planned,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def append_all(ledger: Ledger, *events: BackendEvent) -> list[int | None]:
    """Append events and return the number of each, None for a repetition."""
    numbered = [ledger.events.append("one", event, NOW) for event in events]
    return [None if event is None else event.sequence for event in numbered]


def progress(number: int) -> JobProgressed:
    return JobProgressed(phase=f"phase {number}")


def test_a_job_comes_back_as_it_was_kept(ledger: Ledger) -> None:
    image = MediaInput(role=InputRole.FIRST_FRAME, data=b"\xff\x00image")
    asked = job().request.model_copy(update={"inputs": (image,)})
    kept = job().model_copy(update={"request": asked, "warnings": ("dark",), "progress": 0.5})

    ledger.jobs.create(kept)

    assert ledger.jobs.get("one") == kept


def test_what_it_was_asked_with_comes_back_too(ledger: Ledger) -> None:
    terms = JobOptions((plan(), plan("a dog")), Path("/videos/a.mp4"), True, "key")

    ledger.jobs.create(job(), terms)

    assert ledger.jobs.terms("one") == terms


def test_an_id_is_taken_once(ledger: Ledger) -> None:
    ledger.jobs.create(job())

    with pytest.raises(IdempotencyConflictError, match="job one exists"):
        ledger.jobs.create(job())


@pytest.mark.parametrize("job_id", ["none", "", "..", "../one", ".hidden", "a/b", "a\0b"])
def test_a_job_that_is_not_there_is_named(ledger: Ledger, job_id: str) -> None:
    ledger.jobs.create(job())

    with pytest.raises(JobNotFoundError, match="unknown job"):
        ledger.jobs.get(job_id)


def test_jobs_are_listed_newest_first_and_a_damaged_one_is_left_out(
    ledger: Ledger, path: Path
) -> None:
    ledger.jobs.create(job("old", NOW.replace(year=2025)))
    ledger.jobs.create(job("new", NOW))
    ledger.jobs.create(job("bad", NOW))
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE jobs SET request = '{' WHERE id = 'bad'")

    assert [kept.id for kept in ledger.jobs.list()] == ["new", "old"]
    with pytest.raises(StorageError, match="job bad cannot be read"):
        ledger.jobs.get("bad")


def test_an_empty_data_folder_has_no_jobs(ledger: Ledger) -> None:
    assert ledger.jobs.list() == []


def test_events_are_numbered_without_a_gap_and_move_the_job(ledger: Ledger) -> None:
    ledger.jobs.create(job())
    video = Artifact(path="video.mp4")

    numbers = append_all(
        ledger,
        JobStarted(),
        JobProgressed(phase="denoise", fraction=0.5),
        ChunkReady(index=0, frames=24),
        ChunkReady(index=1, frames=20),
        JobCompleted(artifacts=(video,), warnings=("dark",)),
    )

    assert numbers == [0, 1, 2, 3, 4]
    assert [event.sequence for event in ledger.events.read("one")] == numbers
    kept = ledger.jobs.get("one")
    assert kept.status is JobStatus.COMPLETED
    assert (kept.chunks_ready, kept.frames_ready, kept.progress) == (2, 44, 1.0)
    assert (kept.artifacts, kept.warnings, kept.phase) == ((video,), ("dark",), "denoise")


def test_what_a_backend_repeats_is_not_kept_twice(ledger: Ledger) -> None:
    ledger.jobs.create(job())

    numbers = append_all(
        ledger,
        JobStarted(),
        PromptChanged(chunk=0, prompt="a dog"),
        ChunkReady(index=0, frames=24),
        JobStarted(),
        PromptChanged(chunk=0, prompt="a dog"),
        ChunkReady(index=0, frames=24),
        ChunkReady(index=1, frames=24),
    )

    assert numbers == [0, 1, 2, None, None, None, 3]
    assert ledger.jobs.get("one").frames_ready == 48


def test_after_the_end_nothing_is_kept(ledger: Ledger) -> None:
    ledger.jobs.create(job())

    numbers = append_all(ledger, JobCancelled(), JobCompleted(), JobStarted())

    assert numbers == [0, None, None]
    assert ledger.jobs.get("one").status is JobStatus.CANCELLED


@pytest.mark.parametrize("end", [JobFailed, JobOutcomeUnknown])
def test_a_bad_end_keeps_its_error(
    ledger: Ledger, end: type[JobFailed | JobOutcomeUnknown]
) -> None:
    ledger.jobs.create(job())
    error = to_info(StorageError("the disk is full"))

    append_all(ledger, end(error=error))

    assert ledger.jobs.get("one").error == error


def test_events_can_be_read_on_from_a_cursor_also_over_many_pages(ledger: Ledger) -> None:
    ledger.jobs.create(job())
    append_all(ledger, *(JobProgressed(phase=f"{number}") for number in range(520)))

    assert [event.sequence for event in ledger.events.read("one", after=10)] == list(range(11, 520))


def test_the_newest_resume_token_is_kept(ledger: Ledger) -> None:
    tokens = [ResumeToken(backend="b", model="m", next_chunk=number) for number in (1, 2)]
    ledger.jobs.create(job())
    assert ledger.events.resume_token("one") is None

    append_all(
        ledger,
        ChunkReady(index=0, frames=1, resume=tokens[0]),
        ChunkReady(index=1, frames=1, resume=tokens[1]),
        ChunkReady(index=0, frames=1, resume=tokens[0]),
    )

    assert ledger.events.resume_token("one") == tokens[1]


def test_only_an_unknown_outcome_can_be_opened_again(ledger: Ledger) -> None:
    ledger.jobs.create(job())
    error = to_info(StorageError("lost"))
    append_all(ledger, JobOutcomeUnknown(error=error), JobStarted(message="the backend's own"))

    assert ledger.events.reopen("one", "found", NOW) is not None
    assert (ledger.jobs.get("one").status, ledger.jobs.get("one").error) == (
        JobStatus.IN_PROGRESS,
        None,
    )
    assert append_all(ledger, JobCompleted()) == [2]
    assert ledger.events.reopen("one", "found", NOW) is None


def test_a_change_that_fails_halfway_leaves_nothing_behind(ledger: Ledger, path: Path) -> None:
    ledger.jobs.create(job())
    file = Database(path)

    def break_off() -> None:
        with file.writing() as transaction:
            transaction.change("DELETE FROM jobs")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()

    assert ledger.jobs.get("one") == job()
    with file.writing() as transaction:
        assert [row["id"] for row in transaction.rows("SELECT id FROM jobs")] == ["one"]
    file.close()


def test_one_ledger_serves_many_threads(ledger: Ledger) -> None:
    ledger.jobs.create(job())

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda number: append_all(ledger, progress(number)), range(40)))

    assert sorted(kept) == [[number] for number in range(40)]


# -- submissions ------------------------------------------------------------------------------


def test_an_intent_stands_before_anything_is_sent_and_once_per_plan(ledger: Ledger) -> None:
    ledger.jobs.create(job(), JobOptions((plan(), plan("a dog"))))

    first = ledger.submissions.record_intent("one", 0, NOW)
    second = ledger.submissions.record_intent("one", 1, NOW)

    assert [first.key, second.key] == ["one", "one-2"]
    assert ledger.submissions.of("one") == [first, second]
    assert first.state is SubmissionState.INTENDED
    assert ledger.jobs.get("one").plan.request.prompt == "a dog"
    with pytest.raises(OwnershipLostError):
        ledger.submissions.record_intent("one", 1, NOW)


def test_what_became_of_a_submission_is_kept(ledger: Ledger) -> None:
    ledger.jobs.create(job(), JobOptions((plan(), plan("a dog"))))
    refused, accepted = (
        ledger.submissions.record_intent("one", 0, NOW),
        ledger.submissions.record_intent("one", 1, NOW),
    )
    reason = to_info(ContentRejectedError("no cats"))

    ledger.submissions.mark_refused(refused, reason)
    ledger.submissions.mark_unknown(accepted)
    ledger.submissions.record_retry(accepted)
    ledger.submissions.mark_accepted(accepted, REF)

    first, second = ledger.submissions.of("one")
    assert (first.state, first.error, first.ref) == (SubmissionState.REFUSED, reason, None)
    assert (second.state, second.ref) == (SubmissionState.ACCEPTED, REF)
    assert (first.attempts, second.attempts) == (1, 2)
    assert ledger.jobs.get("one").ref == REF


def test_a_job_can_have_one_accepted_submission_only(ledger: Ledger) -> None:
    ledger.jobs.create(job(), JobOptions((plan(), plan("a dog"))))
    ledger.submissions.mark_accepted(ledger.submissions.record_intent("one", 0, NOW), REF)
    second = ledger.submissions.record_intent("one", 1, NOW)

    with pytest.raises(OwnershipLostError, match="accepted"):
        ledger.submissions.mark_accepted(second, REF)


def test_what_was_spent_counts_bills_then_quotes_and_what_nobody_knows(ledger: Ledger) -> None:
    before = NOW.replace(year=2025)
    for name, cost in (("billed", 5.0), ("quoted", 2.0), ("lost", 1.0), ("refused", 9.0)):
        ledger.jobs.create(job(name, cost=cost))
    ledger.jobs.create(job("old", cost=7.0))
    sent = {
        name: ledger.submissions.record_intent(name, 0, NOW)
        for name in ("billed", "quoted", "lost", "refused")
    }
    ledger.submissions.record_intent("old", 0, before)
    ledger.submissions.bill(sent["billed"], Cost(usd=0.5))
    ledger.submissions.mark_unknown(sent["lost"])
    ledger.submissions.mark_refused(sent["refused"], to_info(ContentRejectedError("no")))

    assert ledger.submissions.spent(NOW) == 3.5
    assert ledger.submissions.spent(before) == 10.5


def test_what_does_not_fit_into_the_day_is_not_intended(ledger: Ledger) -> None:
    for name, cost in (("first", 0.6), ("second", 0.6), ("small", 0.4), ("free", 0.0)):
        ledger.jobs.create(job(name, cost=cost))
    ledger.jobs.create(job("unpriced"))
    ledger.submissions.record_intent("first", 0, NOW, per_day=1.0)

    with pytest.raises(BudgetExceededError, match=r"would cost 0\.6 USD; 0\.4 USD are left of the"):
        ledger.submissions.record_intent("second", 0, NOW, per_day=1.0)
    with pytest.raises(BudgetExceededError, match="an unknown price"):
        ledger.submissions.record_intent("unpriced", 0, NOW, per_day=1.0)

    assert ledger.submissions.of("second") == []
    ledger.submissions.record_intent("small", 0, NOW, per_day=1.0)
    ledger.submissions.record_intent("free", 0, NOW, per_day=1.0)
    assert ledger.submissions.spent(NOW) == 1.0
    ledger.submissions.record_intent("second", 0, NOW + timedelta(hours=25), per_day=1.0)


def intend_at_once(path: Path, name: str, barrier: multiprocessing.synchronize.Barrier) -> None:
    ledger = Ledger(path)
    ledger.jobs.create(job(name, cost=0.5))
    barrier.wait(30)
    with contextlib.suppress(BudgetExceededError):
        ledger.submissions.record_intent(name, 0, NOW, per_day=1.0)


def test_processes_that_intend_at_once_do_not_cross_the_budget_together(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [
        context.Process(target=intend_at_once, args=(path, name, barrier)) for name in "abc"
    ]

    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert Ledger(path).submissions.spent(NOW) == 1.0


def in_parts(name: str, *parts: float) -> tuple[VideoJob, JobOptions]:
    whole = plan(cost=sum(parts))
    pieces = tuple(
        Segment(request=whole.request, estimate=Estimate(cost_usd=cost)) for cost in parts
    )
    whole = whole.model_copy(update={"segments": pieces})
    return job(name).model_copy(update={"plan": whole}), JobOptions((whole,))


def part_of(video: str, name: str, cost: float) -> tuple[VideoJob, JobOptions]:
    planned = plan(cost=cost)
    return job(name).model_copy(update={"plan": planned}), JobOptions((planned,), part_of=video)


def test_a_video_in_parts_takes_the_price_of_all_and_its_parts_take_from_that(
    ledger: Ledger,
) -> None:
    ledger.jobs.create(*in_parts("video", 0.4, 0.4))
    ledger.jobs.create(*part_of("video", "part", 0.4))
    ledger.jobs.create(job("other", cost=0.4))

    ledger.submissions.record_intent("video", 0, NOW, per_day=1.0)
    before = ledger.submissions.spent(NOW)
    part = ledger.submissions.record_intent("part", 0, NOW, per_day=1.0)
    with pytest.raises(BudgetExceededError):
        ledger.submissions.record_intent("other", 0, NOW, per_day=1.0)
    ledger.submissions.bill(part, Cost(usd=0.3))

    assert (before, ledger.submissions.spent(NOW)) == (0.8, pytest.approx(0.7))
    ledger.events.append("video", JobCancelled(), NOW)
    assert ledger.submissions.spent(NOW) == 0.3


@pytest.mark.parametrize("names", ["video", "video-2", "another job", ""])
def test_a_label_of_the_caller_takes_nothing_from_what_a_video_in_parts_reserved(
    ledger: Ledger, names: str
) -> None:
    ledger.jobs.create(*in_parts("video", 3.0, 2.0))
    ledger.submissions.record_intent("video", 0, NOW)
    labels = {"part_of": names, "part": "1"}
    labelled = plan().request.model_copy(update={"labels": labels})
    of_its_own = plan(cost=4.0).model_copy(update={"request": labelled})
    other = job("other").model_copy(update={"request": labelled, "plan": of_its_own})
    ledger.jobs.create(other, JobOptions((of_its_own,)))

    ledger.submissions.record_intent("other", 0, NOW)

    assert ledger.submissions.spent(NOW) == 9.0


def test_a_video_in_parts_that_costs_more_than_is_left_of_the_day_is_not_begun(
    ledger: Ledger,
) -> None:
    ledger.jobs.create(*in_parts("video", 0.4, 0.4, 0.4))

    with pytest.raises(BudgetExceededError, match=r"1\.2 USD; 1 USD are left"):
        ledger.submissions.record_intent("video", 0, NOW, per_day=1.0)


def test_the_same_key_and_request_are_the_same_job(ledger: Ledger) -> None:
    first = ledger.jobs.create(job("one"), JobOptions((plan(),), idempotency_key="k"))

    assert ledger.jobs.create(job("two"), JobOptions((plan(),), idempotency_key="k")) == first
    assert [kept.id for kept in ledger.jobs.list()] == ["one"]
    assert ledger.jobs.of_key("k", first.request) == first
    assert ledger.jobs.of_key("other", first.request) is None


def test_the_same_key_with_another_request_is_a_conflict(ledger: Ledger) -> None:
    ledger.jobs.create(job("one"), JobOptions((plan(),), idempotency_key="k"))
    other = job("two").model_copy(update={"request": VideoRequest(prompt="a dog")})

    with pytest.raises(IdempotencyConflictError, match="belongs to job one"):
        ledger.jobs.create(other, JobOptions((plan(),), idempotency_key="k"))


# -- owners -----------------------------------------------------------------------------------


def rival(path: Path, *, alive: bool) -> Ledger:
    """Return the ledger of a process elsewhere that believes others alive or gone."""
    return Ledger(path, owner=ELSEWHERE, is_owner_alive=lambda owner, silent: alive)


def test_a_job_is_held_by_one_at_a_time(ledger: Ledger, path: Path) -> None:
    ledger.jobs.create(job())

    with ledger.owners.claim("one"):
        assert ledger.owners.is_claimed("one")
        with pytest.raises(JobError, match=f"process {os.getpid()}"), ledger.owners.claim("one"):
            pass
        with pytest.raises(JobError, match="works on job one"), Ledger(path).owners.claim("one"):
            pass
    assert not ledger.owners.is_claimed("one")


def test_a_job_of_a_process_that_is_gone_can_be_held_and_its_old_owner_writes_nothing_more(
    ledger: Ledger, path: Path
) -> None:
    ledger.jobs.create(job())
    sent = ledger.submissions.record_intent("one", 0, NOW)

    with rival(path, alive=False).owners.claim("one"):
        with pytest.raises(OwnershipLostError, match="process 1 on elsewhere"):
            ledger.events.append("one", JobStarted(), NOW)
        with pytest.raises(OwnershipLostError):
            ledger.submissions.record_intent("one", 0, NOW)
        ledger.submissions.mark_accepted(sent, REF)

    assert ledger.jobs.get("one").ref == REF
    assert list(ledger.events.read("one")) == []


def test_a_job_of_a_living_process_moves_only_by_force(ledger: Ledger, path: Path) -> None:
    ledger.jobs.create(job())
    other = rival(path, alive=True)

    with pytest.raises(JobError), other.owners.claim("one"):
        pass
    with other.owners.claim("one", force=True), pytest.raises(OwnershipLostError):
        ledger.events.append("one", JobStarted(), NOW)


def test_opening_the_ledger_takes_nothing_from_others(path: Path) -> None:
    rival(path, alive=True).jobs.create(job())

    ledger = Ledger(path, is_owner_alive=lambda owner, silent: False)

    assert [kept.status for kept in ledger.jobs.list()] == [JobStatus.QUEUED]
    with sqlite3.connect(path) as connection:
        (owner,) = connection.execute("SELECT owner FROM jobs").fetchone()
    assert Owner.parse(owner) == ELSEWHERE


def test_a_heartbeat_counts_for_owners_on_other_hosts_only() -> None:
    here = Owner.current()

    assert is_alive(here, silent_seconds=1e9)
    assert not is_alive(Owner(here.host, here.pid, "earlier", "t"), silent_seconds=0)
    assert is_alive(ELSEWHERE, silent_seconds=10)
    assert not is_alive(ELSEWHERE, silent_seconds=100)


def test_a_process_that_ended_has_no_start() -> None:
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    assert process.pid is not None
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert process_started(process.pid) is None  # a zombie works on nothing
    process.join()
    assert process_started(process.pid) is None


def test_being_asked_to_stop_is_known_to_whoever_works_on_the_job(
    ledger: Ledger, path: Path
) -> None:
    ledger.jobs.create(job())
    before = ledger.owners.is_cancel_requested("one")

    is_somebody_asked = Ledger(path).owners.request_cancel("one")

    assert is_somebody_asked
    assert (before, ledger.owners.is_cancel_requested("one")) == (False, True)
    with ledger.owners.claim("one"):
        assert ledger.owners.is_cancel_requested("one")


def test_nobody_is_asked_to_stop_a_job_that_nobody_works_on(path: Path) -> None:
    rival(path, alive=False).jobs.create(job())
    ledger = Ledger(path, is_owner_alive=lambda owner, silent: False)

    assert not ledger.owners.request_cancel("one")
    with ledger.owners.claim("one"):
        assert not ledger.owners.is_cancel_requested("one")


def test_whoever_lost_a_job_is_told_so_when_it_looks(ledger: Ledger, path: Path) -> None:
    ledger.jobs.create(job())

    with rival(path, alive=True).owners.claim("one", force=True) as is_taken_from_living:
        assert is_taken_from_living
        with pytest.raises(OwnershipLostError):
            ledger.owners.check("one")
        with pytest.raises(OwnershipLostError):
            ledger.owners.is_cancel_requested("one")


def test_whoever_lost_a_job_has_lost_it_also_when_the_other_one_is_done(
    ledger: Ledger, path: Path
) -> None:
    ledger.jobs.create(job())

    with ledger.owners.claim("one"):
        with rival(path, alive=True).owners.claim("one", force=True):
            pass
        with pytest.raises(OwnershipLostError, match="another process took job one over"):
            ledger.events.append("one", JobStarted(), NOW)


def test_a_job_without_a_living_owner_is_taken_from_nobody(ledger: Ledger) -> None:
    ledger.jobs.create(job())

    with ledger.owners.claim("one", force=True) as is_taken_from_living:
        assert not is_taken_from_living


# -- commands ---------------------------------------------------------------------------------


def test_commands_of_any_process_are_taken_once_and_in_their_order(
    ledger: Ledger, path: Path
) -> None:
    ledger.jobs.create(job())
    ledger.jobs.create(job("other"))
    left: list[Command] = [ChangePrompt(prompt="a dog"), ChangePrompt(prompt="a fox"), Finish()]

    for command in left:
        rival(path, alive=True).commands.add("one", command)
    Ledger(path).commands.add("other", Finish())

    numbered = ledger.commands.read("one")
    assert [command for _, command in numbered] == left
    assert ledger.commands.read("one", after=numbered[0][0]) == numbered[1:]
    assert ledger.commands.read("one", after=numbered[-1][0]) == []
    ledger.commands.add("one", Finish())
    ((_, last),) = ledger.commands.read("one", after=numbered[-1][0])
    assert last == Finish()


def test_no_command_is_lost_or_doubled_while_many_are_left_and_taken(
    ledger: Ledger, path: Path
) -> None:
    ledger.jobs.create(job())

    def leave(writer: int) -> None:
        mine = Ledger(path)
        for number in range(20):
            mine.commands.add("one", ChangePrompt(prompt=f"{writer} {number}"))
        mine.close()

    taken: list[tuple[int, Command]] = []
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(leave, writer) for writer in range(4)]
        while not all(writer.done() for writer in writers):
            taken += ledger.commands.read("one", taken[-1][0] if taken else 0)
    taken += ledger.commands.read("one", taken[-1][0])

    prompts = [command.prompt for _, command in taken if isinstance(command, ChangePrompt)]
    for writer in range(4):
        assert [prompt for prompt in prompts if prompt.startswith(f"{writer} ")] == [
            f"{writer} {number}" for number in range(20)
        ]
    assert len(taken) == 80


def test_whoever_resumes_a_job_gets_its_commands_again(ledger: Ledger, path: Path) -> None:
    ledger.jobs.create(job())
    ledger.commands.add("one", ChangePrompt(prompt="a dog"))
    ledger.commands.add("one", Finish())

    read = ledger.commands.read("one")
    other = rival(path, alive=False)  # the first died while it handed them over

    with other.owners.claim("one"):
        assert other.commands.read("one") == read
    assert len(read) == 2


def test_a_command_waits_for_whoever_works_on_the_job_next(ledger: Ledger, path: Path) -> None:
    ledger.jobs.create(job())
    other = rival(path, alive=False)
    ledger.commands.add("one", Finish())

    with other.owners.claim("one"):
        with pytest.raises(OwnershipLostError, match="process 1 on elsewhere"):
            ledger.commands.read("one")
        assert [command for _, command in other.commands.read("one")] == [Finish()]


def test_a_job_that_has_ended_or_never_was_takes_no_command(ledger: Ledger) -> None:
    ledger.jobs.create(job())
    append_all(ledger, JobCompleted())

    with pytest.raises(JobError, match="job one takes no finish: it is completed"):
        ledger.commands.add("one", Finish())
    with pytest.raises(JobNotFoundError, match="unknown job 'two'"):
        ledger.commands.add("two", Finish())
    assert ledger.commands.read("one") == []


# -- several processes ------------------------------------------------------------------------


def append_chunks(path: Path, first: int, barrier: multiprocessing.synchronize.Barrier) -> None:
    """Append progress events from another process, which opens the file itself."""
    ledger = Ledger(path)
    barrier.wait()
    for number in range(first, first + 25):
        ledger.events.append("one", progress(number), NOW)


def test_processes_that_open_the_file_at_once_number_events_without_a_gap(
    ledger: Ledger, path: Path
) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(5)
    writers = [
        context.Process(target=append_chunks, args=(path, first, barrier))
        for first in range(0, 100, 25)
    ]
    for writer in writers:
        writer.start()

    ledger.jobs.create(job())
    with ledger.owners.claim("one"):
        pass
    barrier.wait()
    for writer in writers:
        writer.join()

    events = list(ledger.events.read("one"))
    assert [event.sequence for event in events] == list(range(100))
    phases = {event.event.phase for event in events if isinstance(event.event, JobProgressed)}
    assert phases == {f"phase {number}" for number in range(100)}


def test_a_forked_child_uses_connections_of_its_own(ledger: Ledger) -> None:
    ledger.jobs.create(job("parent"))
    child = multiprocessing.get_context("fork").Process(
        target=ledger.jobs.create, args=(job("child"),)
    )

    child.start()
    child.join()

    assert child.exitcode == 0
    assert {kept.id for kept in ledger.jobs.list()} == {"parent", "child"}


# -- files that cannot be used ----------------------------------------------------------------


def test_a_file_that_stays_locked_is_said_with_a_way_out(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    ledger.jobs.create(job())
    with sqlite3.connect(path) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StorageError, match="is locked") as caught:
            ledger.events.append("one", JobStarted(), NOW)

    assert "stop the process" in (caught.value.hint or "")
    assert ledger.events.append("one", JobStarted(), NOW) is not None


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 50])
def test_a_file_that_is_no_database_is_said_with_a_way_out(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(StorageError, match="is no database, or is damaged") as caught:
        Ledger(path).jobs.list()

    assert "move it away" in (caught.value.hint or "")
    assert path.read_bytes() == content


def test_a_damaged_file_is_said_with_a_way_out(ledger: Ledger, path: Path) -> None:
    for number in range(50):
        ledger.jobs.create(job(f"{number}"))
    ledger.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))

    with pytest.raises(StorageError, match="is damaged") as caught:
        ledger.jobs.list()

    assert "move it away" in (caught.value.hint or "")


def test_a_file_of_a_newer_version_is_left_alone(ledger: Ledger, path: Path) -> None:
    ledger.jobs.create(job())
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(ConfigurationError, match="version 99, made by a newer") as caught:
        ledger.jobs.list()

    assert "upgrade media-agent" in (caught.value.hint or "")


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE accounts (id)")

    with pytest.raises(ConfigurationError, match="no ledger of media-agent"):
        Ledger(path).jobs.list()

    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("accounts",)]


def test_a_data_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")

    with pytest.raises(StorageError, match="data folder"):
        Ledger(tmp_path / "data" / "ledger.sqlite").jobs.list()


@pytest.mark.parametrize("version", [1, LEDGER_VERSION - 1])
def test_a_file_of_an_older_version_is_left_alone(ledger: Ledger, path: Path, version: int) -> None:
    ledger.jobs.create(job())
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        before = list(connection.iterdump())

    with pytest.raises(ConfigurationError, match=f"version {version}, made by an older") as caught:
        ledger.jobs.list()

    assert str(path) in caught.value.message
    assert "move the file away" in (caught.value.hint or "")
    with sqlite3.connect(path) as connection:
        assert list(connection.iterdump()) == before
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)


def test_tables_that_could_not_be_made_leave_an_empty_file_that_serves_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(path)
    with monkeypatch.context() as patched:
        patched.setattr(database, "TABLES", (*TABLES, "SELECT missing"))
        with pytest.raises(StorageError, match="no such column: missing"):
            ledger.jobs.list()

    with sqlite3.connect(path) as connection:
        assert list(connection.iterdump()) == ["BEGIN TRANSACTION;", "COMMIT;"]
    assert ledger.jobs.list() == []


def story() -> some.SearchStrategy[list[BackendEvent]]:
    """Draw what a bad backend might say, repetitions and all."""
    chunk = some.builds(ChunkReady, index=some.integers(0, 5), frames=some.integers(1, 24))
    ends: some.SearchStrategy[BackendEvent] = some.sampled_from(
        [JobCompleted(), JobCancelled(), JobFailed(error=to_info(StorageError("x")))]
    )
    progress = some.builds(JobProgressed, phase=some.just("p"), fraction=some.floats(0, 1))
    return some.lists(some.one_of(some.just(JobStarted()), chunk, progress, ends), max_size=25)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return iter(tmp_path_factory.mktemp(f"story{number}") for number in range(10_000))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=story())
def test_whatever_a_backend_says_numbers_are_gapless_and_the_end_is_one(
    folders: Iterator[Path], events: list[BackendEvent]
) -> None:
    ledger = Ledger(next(folders) / "ledger.sqlite")
    ledger.jobs.create(job())

    append_all(ledger, *events)

    kept = list(ledger.events.read("one"))
    ledger.close()
    ends = [
        event for event in kept if isinstance(event.event, JobCompleted | JobCancelled | JobFailed)
    ]
    chunks = [event.event.index for event in kept if isinstance(event.event, ChunkReady)]
    assert [event.sequence for event in kept] == list(range(len(kept)))
    assert len(ends) <= 1
    assert ends == kept[len(kept) - len(ends) :]
    assert len(set(chunks)) == len(chunks)


def test_progress_that_could_not_be_read_again_is_left_out(ledger: Ledger) -> None:
    ledger.jobs.create(job())

    told = ledger.events.append("one", JobProgressed.model_construct(phase="x", fraction=2.0), NOW)

    assert told is None
    assert list(ledger.events.read("one")) == []
    assert ledger.jobs.get("one").phase is None


@pytest.mark.parametrize(
    "event",
    [
        ChunkReady.model_construct(index=-1, frames=4),
        ChunkReady.model_construct(index=0, frames=-4),
        JobCompleted.model_construct(frames=-4),
    ],
    ids=repr,
)
def test_any_other_event_that_could_not_be_read_again_is_an_error(
    ledger: Ledger, event: BackendEvent
) -> None:
    ledger.jobs.create(job())

    with pytest.raises(StorageError, match="could not be read again"):
        ledger.events.append("one", event, NOW)

    assert list(ledger.events.read("one")) == []
