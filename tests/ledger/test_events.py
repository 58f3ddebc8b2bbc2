"""Events: numbered without a gap, none twice, one end, from however many processes."""

import multiprocessing
import multiprocessing.synchronize
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from media_agent.errors import StorageError, to_info
from media_agent.ledger.ledger import Ledger
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    ChunkReady,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    JobStatus,
    PromptChanged,
    ResumeToken,
)
from tests.ledger.samples import NOW, Place, append_all, job, progress


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


def append_chunks(place: Place, first: int, barrier: multiprocessing.synchronize.Barrier) -> None:
    """Append progress events from another process, which opens the file itself."""
    ledger = place.open()
    barrier.wait()
    for number in range(first, first + 25):
        ledger.events.append("one", progress(number), NOW)


def test_processes_that_open_the_file_at_once_number_events_without_a_gap(
    ledger: Ledger, place: Place
) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(5)
    writers = [
        context.Process(target=append_chunks, args=(place, first, barrier))
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
