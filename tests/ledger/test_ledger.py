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
from media_agent.ledger.database import LedgerFile
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.owner import Owner, is_alive, process_started
from media_agent.ledger.rows import insert, row_of
from media_agent.ledger.state import JobMovedError, JobTerms, SubmissionState
from media_agent.ledger.tables import STEPS, Step
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
    PlanPart,
    Policy,
    PromptChanged,
    ResumeToken,
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
    numbered = [ledger.append("one", event, NOW) for event in events]
    return [None if event is None else event.sequence for event in numbered]


def progress(number: int) -> JobProgressed:
    return JobProgressed(phase=f"phase {number}")


def test_a_job_comes_back_as_it_was_kept(ledger: Ledger) -> None:
    picture = MediaInput(role=InputRole.FIRST_FRAME, data=b"\xff\x00picture")
    asked = job().request.model_copy(update={"inputs": (picture,)})
    kept = job().model_copy(update={"request": asked, "warnings": ("dark",), "progress": 0.5})

    ledger.create(kept)

    assert ledger.get("one") == kept


def test_what_it_was_asked_with_comes_back_too(ledger: Ledger) -> None:
    terms = JobTerms((plan(), plan("a dog")), Path("/films/a.mp4"), True, "key")

    ledger.create(job(), terms)

    assert ledger.terms("one") == terms


def test_an_id_is_taken_once(ledger: Ledger) -> None:
    ledger.create(job())

    with pytest.raises(IdempotencyConflictError, match="job one exists"):
        ledger.create(job())


@pytest.mark.parametrize("job_id", ["none", "", "..", "../one", ".hidden", "a/b", "a\0b"])
def test_a_job_that_is_not_there_is_named(ledger: Ledger, job_id: str) -> None:
    ledger.create(job())

    with pytest.raises(JobNotFoundError, match="there is no job"):
        ledger.get(job_id)


def test_jobs_are_listed_newest_first_and_a_damaged_one_is_left_out(
    ledger: Ledger, path: Path
) -> None:
    ledger.create(job("old", NOW.replace(year=2025)))
    ledger.create(job("new", NOW))
    ledger.create(job("bad", NOW))
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE jobs SET request = '{' WHERE id = 'bad'")

    assert [kept.id for kept in ledger.list()] == ["new", "old"]
    with pytest.raises(StorageError, match="job bad cannot be read"):
        ledger.get("bad")


def test_an_empty_data_folder_has_no_jobs(ledger: Ledger) -> None:
    assert ledger.list() == []


def test_events_are_numbered_without_a_gap_and_move_the_job(ledger: Ledger) -> None:
    ledger.create(job())
    film = Artifact(path="film.mp4")

    numbers = append_all(
        ledger,
        JobStarted(),
        JobProgressed(phase="denoise", fraction=0.5),
        ChunkReady(index=0, frames=24),
        ChunkReady(index=1, frames=20),
        JobCompleted(artifacts=(film,), warnings=("dark",)),
    )

    assert numbers == [0, 1, 2, 3, 4]
    assert [event.sequence for event in ledger.events("one")] == numbers
    kept = ledger.get("one")
    assert kept.status is JobStatus.COMPLETED
    assert (kept.chunks_ready, kept.frames_ready, kept.progress) == (2, 44, 1.0)
    assert (kept.artifacts, kept.warnings, kept.phase) == ((film,), ("dark",), "denoise")


def test_what_a_backend_repeats_is_not_kept_twice(ledger: Ledger) -> None:
    ledger.create(job())

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
    assert ledger.get("one").frames_ready == 48


def test_after_the_end_nothing_is_kept(ledger: Ledger) -> None:
    ledger.create(job())

    numbers = append_all(ledger, JobCancelled(), JobCompleted(), JobStarted())

    assert numbers == [0, None, None]
    assert ledger.get("one").status is JobStatus.CANCELLED


@pytest.mark.parametrize("end", [JobFailed, JobOutcomeUnknown])
def test_a_bad_end_keeps_its_error(
    ledger: Ledger, end: type[JobFailed | JobOutcomeUnknown]
) -> None:
    ledger.create(job())
    error = to_info(StorageError("the disk is full"))

    append_all(ledger, end(error=error))

    assert ledger.get("one").error == error


def test_events_can_be_read_on_from_a_cursor_also_over_many_pages(ledger: Ledger) -> None:
    ledger.create(job())
    append_all(ledger, *(JobProgressed(phase=f"{number}") for number in range(520)))

    assert [event.sequence for event in ledger.events("one", after=10)] == list(range(11, 520))


def test_the_newest_resume_token_is_kept(ledger: Ledger) -> None:
    tokens = [ResumeToken(backend="b", model="m", next_chunk=number) for number in (1, 2)]
    ledger.create(job())
    assert ledger.resume_token("one") is None

    append_all(
        ledger,
        ChunkReady(index=0, frames=1, resume=tokens[0]),
        ChunkReady(index=1, frames=1, resume=tokens[1]),
        ChunkReady(index=0, frames=1, resume=tokens[0]),
    )

    assert ledger.resume_token("one") == tokens[1]


def test_only_an_unknown_outcome_can_be_opened_again(ledger: Ledger) -> None:
    ledger.create(job())
    error = to_info(StorageError("lost"))
    append_all(ledger, JobOutcomeUnknown(error=error), JobStarted(message="the backend's own"))

    assert ledger.reopen("one", "found", NOW) is not None
    assert (ledger.get("one").status, ledger.get("one").error) == (JobStatus.IN_PROGRESS, None)
    assert append_all(ledger, JobCompleted()) == [2]
    assert ledger.reopen("one", "found", NOW) is None


def test_a_change_that_fails_halfway_leaves_nothing_behind(ledger: Ledger, path: Path) -> None:
    ledger.create(job())
    file = LedgerFile(path)

    def break_off() -> None:
        with file.writing() as connection:
            connection.execute("DELETE FROM jobs")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()

    assert ledger.get("one") == job()
    with file.writing() as connection:
        assert connection.execute("SELECT id FROM jobs").fetchone()["id"] == "one"
    file.close()


def test_one_ledger_serves_many_threads(ledger: Ledger) -> None:
    ledger.create(job())

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda number: append_all(ledger, progress(number)), range(40)))

    assert sorted(kept) == [[number] for number in range(40)]


# -- submissions ------------------------------------------------------------------------------


def test_an_intent_stands_before_anything_is_sent_and_once_per_plan(ledger: Ledger) -> None:
    ledger.create(job(), JobTerms((plan(), plan("a dog"))))

    first = ledger.intend("one", 0, NOW)
    second = ledger.intend("one", 1, NOW)

    assert [first.key, second.key] == ["one", "one-2"]
    assert ledger.submissions("one") == [first, second]
    assert first.state is SubmissionState.INTENDED
    assert ledger.get("one").plan.request.prompt == "a dog"
    with pytest.raises(JobMovedError):
        ledger.intend("one", 1, NOW)


def test_what_became_of_a_submission_is_kept(ledger: Ledger) -> None:
    ledger.create(job(), JobTerms((plan(), plan("a dog"))))
    refused, accepted = ledger.intend("one", 0, NOW), ledger.intend("one", 1, NOW)
    reason = to_info(ContentRejectedError("no cats"))

    ledger.refuse(refused, reason)
    ledger.lose(accepted)
    ledger.intend_again(accepted)
    ledger.accept(accepted, REF)

    first, second = ledger.submissions("one")
    assert (first.state, first.error, first.ref) == (SubmissionState.REFUSED, reason, None)
    assert (second.state, second.ref) == (SubmissionState.ACCEPTED, REF)
    assert (first.attempts, second.attempts) == (1, 2)
    assert ledger.get("one").ref == REF


def test_a_job_can_have_one_accepted_submission_only(ledger: Ledger) -> None:
    ledger.create(job(), JobTerms((plan(), plan("a dog"))))
    ledger.accept(ledger.intend("one", 0, NOW), REF)
    second = ledger.intend("one", 1, NOW)

    with pytest.raises(JobMovedError, match="accepted"):
        ledger.accept(second, REF)


def test_what_was_spent_counts_bills_then_quotes_and_what_nobody_knows(ledger: Ledger) -> None:
    before = NOW.replace(year=2025)
    for name, cost in (("billed", 5.0), ("quoted", 2.0), ("lost", 1.0), ("refused", 9.0)):
        ledger.create(job(name, cost=cost))
    ledger.create(job("old", cost=7.0))
    sent = {name: ledger.intend(name, 0, NOW) for name in ("billed", "quoted", "lost", "refused")}
    ledger.intend("old", 0, before)
    ledger.bill(sent["billed"], Cost(usd=0.5))
    ledger.lose(sent["lost"])
    ledger.refuse(sent["refused"], to_info(ContentRejectedError("no")))

    assert ledger.spent(NOW) == 3.5
    assert ledger.spent(before) == 10.5


def test_what_does_not_fit_into_the_day_is_not_intended(ledger: Ledger) -> None:
    for name, cost in (("first", 0.6), ("second", 0.6), ("small", 0.4), ("free", 0.0)):
        ledger.create(job(name, cost=cost))
    ledger.create(job("unpriced"))
    ledger.intend("first", 0, NOW, per_day=1.0)

    with pytest.raises(BudgetExceededError, match=r"would cost 0\.6 USD; 0\.4 USD are left of the"):
        ledger.intend("second", 0, NOW, per_day=1.0)
    with pytest.raises(BudgetExceededError, match="an unknown price"):
        ledger.intend("unpriced", 0, NOW, per_day=1.0)

    assert ledger.submissions("second") == []
    ledger.intend("small", 0, NOW, per_day=1.0)
    ledger.intend("free", 0, NOW, per_day=1.0)
    assert ledger.spent(NOW) == 1.0
    ledger.intend("second", 0, NOW + timedelta(hours=25), per_day=1.0)


def intend_at_once(path: Path, name: str, barrier: multiprocessing.synchronize.Barrier) -> None:
    ledger = Ledger(path)
    ledger.create(job(name, cost=0.5))
    barrier.wait(30)
    with contextlib.suppress(BudgetExceededError):
        ledger.intend(name, 0, NOW, per_day=1.0)


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
    assert Ledger(path).spent(NOW) == 1.0


def in_parts(name: str, *parts: float) -> tuple[VideoJob, JobTerms]:
    whole = plan(cost=sum(parts))
    pieces = tuple(
        PlanPart(request=whole.request, estimate=Estimate(cost_usd=cost)) for cost in parts
    )
    whole = whole.model_copy(update={"parts": pieces})
    return job(name).model_copy(update={"plan": whole}), JobTerms((whole,))


def part_of(film: str, name: str, cost: float) -> tuple[VideoJob, JobTerms]:
    planned = plan(cost=cost)
    return job(name).model_copy(update={"plan": planned}), JobTerms((planned,), part_of=film)


def test_a_film_in_parts_takes_the_price_of_all_and_its_parts_take_from_that(
    ledger: Ledger,
) -> None:
    ledger.create(*in_parts("film", 0.4, 0.4))
    ledger.create(*part_of("film", "part", 0.4))
    ledger.create(job("other", cost=0.4))

    ledger.intend("film", 0, NOW, per_day=1.0)
    before = ledger.spent(NOW)
    part = ledger.intend("part", 0, NOW, per_day=1.0)
    with pytest.raises(BudgetExceededError):
        ledger.intend("other", 0, NOW, per_day=1.0)
    ledger.bill(part, Cost(usd=0.3))

    assert (before, ledger.spent(NOW)) == (0.8, pytest.approx(0.7))
    ledger.append("film", JobCancelled(), NOW)
    assert ledger.spent(NOW) == 0.3


@pytest.mark.parametrize("names", ["film", "film-2", "another job", ""])
def test_a_label_of_the_caller_takes_nothing_from_what_a_film_in_parts_reserved(
    ledger: Ledger, names: str
) -> None:
    ledger.create(*in_parts("film", 3.0, 2.0))
    ledger.intend("film", 0, NOW)
    labels = {"part_of": names, "part": "1"}
    labelled = plan().request.model_copy(update={"labels": labels})
    of_its_own = plan(cost=4.0).model_copy(update={"request": labelled})
    other = job("other").model_copy(update={"request": labelled, "plan": of_its_own})
    ledger.create(other, JobTerms((of_its_own,)))

    ledger.intend("other", 0, NOW)

    assert ledger.spent(NOW) == 9.0


def test_a_film_in_parts_that_costs_more_than_is_left_of_the_day_is_not_begun(
    ledger: Ledger,
) -> None:
    ledger.create(*in_parts("film", 0.4, 0.4, 0.4))

    with pytest.raises(BudgetExceededError, match=r"1\.2 USD; 1 USD are left"):
        ledger.intend("film", 0, NOW, per_day=1.0)


def test_the_same_key_and_request_are_the_same_job(ledger: Ledger) -> None:
    first = ledger.create(job("one"), JobTerms((plan(),), idempotency_key="k"))

    assert ledger.create(job("two"), JobTerms((plan(),), idempotency_key="k")) == first
    assert [kept.id for kept in ledger.list()] == ["one"]
    assert ledger.of_key("k", first.request) == first
    assert ledger.of_key("other", first.request) is None


def test_the_same_key_with_another_request_is_a_conflict(ledger: Ledger) -> None:
    ledger.create(job("one"), JobTerms((plan(),), idempotency_key="k"))
    other = job("two").model_copy(update={"request": VideoRequest(prompt="a dog")})

    with pytest.raises(IdempotencyConflictError, match="belongs to job one"):
        ledger.create(other, JobTerms((plan(),), idempotency_key="k"))


# -- owners -----------------------------------------------------------------------------------


def rival(path: Path, *, alive: bool) -> Ledger:
    """Return the ledger of a process elsewhere that believes others alive or gone."""
    return Ledger(path, owner=ELSEWHERE, is_owner_alive=lambda owner, silent: alive)


def test_a_job_is_held_by_one_at_a_time(ledger: Ledger, path: Path) -> None:
    ledger.create(job())

    with ledger.hold("one"):
        assert ledger.is_held("one")
        with pytest.raises(JobError, match=f"process {os.getpid()}"), ledger.hold("one"):
            pass
        with pytest.raises(JobError, match="works on job one"), Ledger(path).hold("one"):
            pass
    assert not ledger.is_held("one")


def test_a_job_of_a_process_that_is_gone_can_be_held_and_its_old_owner_writes_nothing_more(
    ledger: Ledger, path: Path
) -> None:
    ledger.create(job())
    sent = ledger.intend("one", 0, NOW)

    with rival(path, alive=False).hold("one"):
        with pytest.raises(JobMovedError, match="process 1 on elsewhere"):
            ledger.append("one", JobStarted(), NOW)
        with pytest.raises(JobMovedError):
            ledger.intend("one", 0, NOW)
        ledger.accept(sent, REF)

    assert ledger.get("one").ref == REF
    assert list(ledger.events("one")) == []


def test_a_job_of_a_living_process_moves_only_by_force(ledger: Ledger, path: Path) -> None:
    ledger.create(job())
    other = rival(path, alive=True)

    with pytest.raises(JobError), other.hold("one"):
        pass
    with other.hold("one", force=True), pytest.raises(JobMovedError):
        ledger.append("one", JobStarted(), NOW)


def test_opening_the_ledger_takes_nothing_from_others(path: Path) -> None:
    rival(path, alive=True).create(job())

    ledger = Ledger(path, is_owner_alive=lambda owner, silent: False)

    assert [kept.status for kept in ledger.list()] == [JobStatus.QUEUED]
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
    ledger.create(job())
    before = ledger.is_cancel_requested("one")

    is_somebody_asked = Ledger(path).request_cancel("one")

    assert is_somebody_asked
    assert (before, ledger.is_cancel_requested("one")) == (False, True)
    with ledger.hold("one"):
        assert ledger.is_cancel_requested("one")


def test_nobody_is_asked_to_stop_a_job_that_nobody_works_on(path: Path) -> None:
    rival(path, alive=False).create(job())
    ledger = Ledger(path, is_owner_alive=lambda owner, silent: False)

    assert not ledger.request_cancel("one")
    with ledger.hold("one"):
        assert not ledger.is_cancel_requested("one")


def test_whoever_lost_a_job_is_told_so_when_it_looks(ledger: Ledger, path: Path) -> None:
    ledger.create(job())

    with rival(path, alive=True).hold("one", force=True) as is_taken_from_living:
        assert is_taken_from_living
        with pytest.raises(JobMovedError):
            ledger.check_owner("one")
        with pytest.raises(JobMovedError):
            ledger.is_cancel_requested("one")


def test_whoever_lost_a_job_has_lost_it_also_when_the_other_one_is_done(
    ledger: Ledger, path: Path
) -> None:
    ledger.create(job())

    with ledger.hold("one"):
        with rival(path, alive=True).hold("one", force=True):
            pass
        with pytest.raises(JobMovedError, match="another process took job one over"):
            ledger.append("one", JobStarted(), NOW)


def test_a_job_without_a_living_owner_is_taken_from_nobody(ledger: Ledger) -> None:
    ledger.create(job())

    with ledger.hold("one", force=True) as is_taken_from_living:
        assert not is_taken_from_living


# -- commands ---------------------------------------------------------------------------------


def test_commands_of_any_process_are_taken_once_and_in_their_order(
    ledger: Ledger, path: Path
) -> None:
    ledger.create(job())
    ledger.create(job("other"))
    left: list[Command] = [ChangePrompt(prompt="a dog"), ChangePrompt(prompt="a fox"), Finish()]

    for command in left:
        rival(path, alive=True).add_command("one", command)
    Ledger(path).add_command("other", Finish())

    assert tuple(ledger.take_commands("one")) == tuple(left)
    assert tuple(ledger.take_commands("one")) == ()
    ledger.add_command("one", Finish())
    assert tuple(ledger.take_commands("one")) == (Finish(),)


def test_no_command_is_lost_or_doubled_while_many_are_left_and_taken(
    ledger: Ledger, path: Path
) -> None:
    ledger.create(job())

    def leave(writer: int) -> None:
        mine = Ledger(path)
        for number in range(20):
            mine.add_command("one", ChangePrompt(prompt=f"{writer} {number}"))
        mine.close()

    taken: list[Command] = []
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(leave, writer) for writer in range(4)]
        while not all(writer.done() for writer in writers):
            taken += ledger.take_commands("one")
    taken += ledger.take_commands("one")

    prompts = [command.prompt for command in taken if isinstance(command, ChangePrompt)]
    for writer in range(4):
        assert [prompt for prompt in prompts if prompt.startswith(f"{writer} ")] == [
            f"{writer} {number}" for number in range(20)
        ]
    assert len(taken) == 80


def test_a_command_that_was_not_done_to_its_end_is_kept(ledger: Ledger) -> None:
    ledger.create(job())
    ledger.add_command("one", ChangePrompt(prompt="a dog"))
    ledger.add_command("one", Finish())

    commands = ledger.take_commands("one")
    assert next(commands) == ChangePrompt(prompt="a dog")
    assert next(commands) == Finish()
    del commands  # as if the process died while it did it

    assert list(ledger.take_commands("one")) == [Finish()]


def test_a_command_waits_for_whoever_works_on_the_job_next(ledger: Ledger, path: Path) -> None:
    ledger.create(job())
    other = rival(path, alive=False)
    ledger.add_command("one", Finish())

    with other.hold("one"):
        with pytest.raises(JobMovedError, match="process 1 on elsewhere"):
            list(ledger.take_commands("one"))
        assert tuple(other.take_commands("one")) == (Finish(),)


def test_a_job_that_has_ended_or_never_was_takes_no_command(ledger: Ledger) -> None:
    ledger.create(job())
    append_all(ledger, JobCompleted())

    with pytest.raises(JobError, match="job one takes no finish: it is completed"):
        ledger.add_command("one", Finish())
    with pytest.raises(JobNotFoundError, match="there is no job 'two'"):
        ledger.add_command("two", Finish())
    assert tuple(ledger.take_commands("one")) == ()


# -- several processes ------------------------------------------------------------------------


def append_chunks(path: Path, first: int, barrier: multiprocessing.synchronize.Barrier) -> None:
    """Append progress events from another process, which opens the file itself."""
    ledger = Ledger(path)
    barrier.wait()
    for number in range(first, first + 25):
        ledger.append("one", progress(number), NOW)


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

    ledger.create(job())
    with ledger.hold("one"):
        pass
    barrier.wait()
    for writer in writers:
        writer.join()

    events = list(ledger.events("one"))
    assert [event.sequence for event in events] == list(range(100))
    phases = {event.event.phase for event in events if isinstance(event.event, JobProgressed)}
    assert phases == {f"phase {number}" for number in range(100)}


def test_a_forked_child_uses_connections_of_its_own(ledger: Ledger) -> None:
    ledger.create(job("parent"))
    child = multiprocessing.get_context("fork").Process(target=ledger.create, args=(job("child"),))

    child.start()
    child.join()

    assert child.exitcode == 0
    assert {kept.id for kept in ledger.list()} == {"parent", "child"}


# -- files that cannot be used ----------------------------------------------------------------


def test_a_file_that_stays_locked_is_said_with_a_way_out(path: Path) -> None:
    ledger = Ledger(path, busy_seconds=0.05)
    ledger.create(job())
    with sqlite3.connect(path) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StorageError, match="is locked") as caught:
            ledger.append("one", JobStarted(), NOW)

    assert "stop the process" in (caught.value.hint or "")
    assert ledger.append("one", JobStarted(), NOW) is not None


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 50])
def test_a_file_that_is_no_database_is_said_with_a_way_out(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(StorageError, match="is no database, or is damaged") as caught:
        Ledger(path).list()

    assert "move it away" in (caught.value.hint or "")
    assert path.read_bytes() == content


def test_a_damaged_file_is_said_with_a_way_out(ledger: Ledger, path: Path) -> None:
    for number in range(50):
        ledger.create(job(f"{number}"))
    ledger.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))

    with pytest.raises(StorageError, match="is damaged") as caught:
        ledger.list()

    assert "move it away" in (caught.value.hint or "")


def test_a_file_of_a_newer_version_is_left_alone(ledger: Ledger, path: Path) -> None:
    ledger.create(job())
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(ConfigurationError, match="version 99, made by a newer") as caught:
        ledger.list()

    assert "upgrade media-agent" in (caught.value.hint or "")


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE accounts (id)")

    with pytest.raises(ConfigurationError, match="no ledger of media-agent"):
        Ledger(path).list()

    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("accounts",)]


def test_a_data_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")

    with pytest.raises(StorageError, match="data folder"):
        Ledger(tmp_path / "data" / "ledger.sqlite").list()


ADD_A_COLUMN: Step = ("ALTER TABLE jobs ADD COLUMN colour TEXT DEFAULT 'red'",)
BREAK_OFF: Step = ("ALTER TABLE jobs ADD COLUMN size TEXT", "SELECT missing")


def test_an_older_file_is_brought_to_the_newest_version_with_what_it_holds(
    ledger: Ledger, path: Path
) -> None:
    ledger.create(job())
    ledger.close()

    with LedgerFile(path, steps=(*STEPS, ADD_A_COLUMN)).reading() as connection:
        row = connection.execute("SELECT id, colour FROM jobs").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()

    assert (tuple(row), version) == (("one", "red"), len(STEPS) + 1)
    with pytest.raises(ConfigurationError, match="made by a newer"):
        ledger.list()


def test_a_step_that_fails_changes_nothing(ledger: Ledger, path: Path) -> None:
    ledger.create(job())
    ledger.close()
    with sqlite3.connect(path) as connection:
        before = list(connection.iterdump())

    with (
        pytest.raises(StorageError, match="no such column: missing"),
        LedgerFile(path, steps=(*STEPS, ADD_A_COLUMN, BREAK_OFF)).reading(),
    ):
        pass

    with sqlite3.connect(path) as connection:
        assert list(connection.iterdump()) == before
    assert ledger.get("one") == job()


def test_a_file_of_the_first_version_opens_and_takes_commands(path: Path) -> None:
    first = LedgerFile(path, steps=STEPS[:1])
    with first.writing() as connection:
        insert(connection, "jobs", **row_of(job(), JobTerms((plan(),))))
    first.close()
    ledger = Ledger(path)

    ledger.add_command("one", Finish())

    assert ledger.get("one") == job()
    assert tuple(ledger.take_commands("one")) == (Finish(),)


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
    ledger.create(job())

    append_all(ledger, *events)

    kept = list(ledger.events("one"))
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
    ledger.create(job())

    told = ledger.append("one", JobProgressed.model_construct(phase="x", fraction=2.0), NOW)

    assert told is None
    assert list(ledger.events("one")) == []
    assert ledger.get("one").phase is None


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
    ledger.create(job())

    with pytest.raises(StorageError, match="could not be read again"):
        ledger.append("one", event, NOW)

    assert list(ledger.events("one")) == []
