"""Jobs on disk: whole states, gapless events, one end, and two processes at once."""

import multiprocessing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from media_agent.errors import IdempotencyConflictError, JobNotFoundError, StorageError, to_info
from media_agent.jobs import FolderJobStore
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
    Plan,
    Policy,
    PromptChanged,
    VideoJob,
    VideoRequest,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def job(job_id: str = "one", created_at: datetime = NOW) -> VideoJob:
    request = VideoRequest(prompt="a cat", num_frames=48, fps=24)
    plan = Plan(backend="b", model="m", policy=Policy.ADJUST, request=request)
    return VideoJob(
        id=job_id, created_at=created_at, updated_at=created_at, request=request, plan=plan
    )


@pytest.fixture
def store(tmp_path: Path) -> FolderJobStore:
    return FolderJobStore(tmp_path / "jobs")


def append_all(store: FolderJobStore, *events: BackendEvent) -> list[int | None]:
    """Append events and return the number of each, None for a repetition."""
    numbered = [store.append("one", event, NOW) for event in events]
    return [None if event is None else event.sequence for event in numbered]


def test_a_job_comes_back_as_it_was_kept(store: FolderJobStore) -> None:
    store.create(job())

    assert store.get("one") == job()


def test_an_id_is_taken_once(store: FolderJobStore) -> None:
    store.create(job())

    with pytest.raises(IdempotencyConflictError, match="job one exists"):
        store.create(job())


@pytest.mark.parametrize("job_id", ["none", "", "..", "../one", ".hidden", "a/b", "a\0b"])
def test_a_job_that_is_not_there_is_named(store: FolderJobStore, job_id: str) -> None:
    store.create(job())

    with pytest.raises(JobNotFoundError, match="there is no job"):
        store.get(job_id)


def test_jobs_are_listed_newest_first_and_a_damaged_one_is_left_out(
    store: FolderJobStore, tmp_path: Path
) -> None:
    store.create(job("old", NOW.replace(year=2025)))
    store.create(job("new", NOW))
    store.create(job("bad", NOW))
    (tmp_path / "jobs" / "bad" / "job.json").write_text("{")

    assert [kept.id for kept in store.list()] == ["new", "old"]
    with pytest.raises(StorageError, match="state of job bad"):
        store.get("bad")


def test_an_empty_data_folder_has_no_jobs(store: FolderJobStore) -> None:
    assert store.list() == []


def test_events_are_numbered_without_a_gap_and_move_the_job(store: FolderJobStore) -> None:
    store.create(job())
    film = Artifact(path="film.mp4")

    numbers = append_all(
        store,
        JobStarted(),
        JobProgressed(phase="denoise", fraction=0.5),
        ChunkReady(index=0, frames=24),
        ChunkReady(index=1, frames=20),
        JobCompleted(artifacts=(film,), warnings=("dark",)),
    )

    assert numbers == [0, 1, 2, 3, 4]
    assert [event.sequence for event in store.events("one")] == numbers
    kept = store.get("one")
    assert kept.status is JobStatus.COMPLETED
    assert (kept.chunks_ready, kept.frames_ready, kept.progress) == (2, 44, 1.0)
    assert (kept.artifacts, kept.warnings, kept.phase) == ((film,), ("dark",), "denoise")


def test_what_a_backend_repeats_is_not_kept_twice(store: FolderJobStore) -> None:
    store.create(job())

    numbers = append_all(
        store,
        JobStarted(),
        PromptChanged(chunk=0, prompt="a dog"),
        ChunkReady(index=0, frames=24),
        JobStarted(),
        PromptChanged(chunk=0, prompt="a dog"),
        ChunkReady(index=0, frames=24),
        ChunkReady(index=1, frames=24),
    )

    assert numbers == [0, 1, 2, None, None, None, 3]
    assert store.get("one").frames_ready == 48


def test_after_the_end_nothing_is_kept(store: FolderJobStore) -> None:
    store.create(job())

    numbers = append_all(store, JobCancelled(), JobCompleted(), JobStarted())

    assert numbers == [0, None, None]
    assert store.get("one").status is JobStatus.CANCELLED


@pytest.mark.parametrize("end", [JobFailed, JobOutcomeUnknown])
def test_a_bad_end_keeps_its_error(
    store: FolderJobStore, end: type[JobFailed | JobOutcomeUnknown]
) -> None:
    store.create(job())
    error = to_info(StorageError("the disk is full"))

    append_all(store, end(error=error))

    assert store.get("one").error == error


def test_events_can_be_read_on_from_a_cursor(store: FolderJobStore) -> None:
    store.create(job())
    append_all(store, JobStarted(), ChunkReady(index=0, frames=1), ChunkReady(index=1, frames=1))

    assert [event.sequence for event in store.events("one", after=0)] == [1, 2]


@pytest.mark.parametrize("torn", [b'{"schema_ver', b"\x00" * 40, b'{"job_id": "one"}'])
def test_a_last_line_that_was_never_finished_is_cut_off(
    store: FolderJobStore, tmp_path: Path, torn: bytes
) -> None:
    store.create(job())
    append_all(store, JobStarted())
    with (tmp_path / "jobs" / "one" / "events.jsonl").open("ab") as file:
        file.write(torn)

    assert [event.sequence for event in store.events("one")] == [0]
    assert append_all(store, ChunkReady(index=0, frames=24)) == [1]
    assert [event.sequence for event in store.events("one")] == [0, 1]


def test_a_first_line_that_was_never_finished_is_cut_off(
    store: FolderJobStore, tmp_path: Path
) -> None:
    store.create(job())
    (tmp_path / "jobs" / "one" / "events.jsonl").write_bytes(b'{"schema')

    assert append_all(store, JobStarted()) == [0]


def test_no_half_written_file_is_left_behind(store: FolderJobStore, tmp_path: Path) -> None:
    store.create(job())
    append_all(store, JobStarted(), JobCompleted())

    names = {path.name for path in (tmp_path / "jobs" / "one").iterdir()}
    assert names == {"job.json", "events.jsonl", "write.lock"}


def append_chunks(folder: Path, first: int, barrier: "multiprocessing.synchronize.Barrier") -> None:
    """Append progress events from another process."""
    store = FolderJobStore(folder)
    barrier.wait()
    for number in range(first, first + 50):
        store.append("one", JobProgressed(phase=f"phase {number}"), NOW)


def test_two_processes_number_events_without_a_gap(store: FolderJobStore, tmp_path: Path) -> None:
    store.create(job())
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    writers = [
        context.Process(target=append_chunks, args=(tmp_path / "jobs", first, barrier))
        for first in (0, 50)
    ]

    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    events = list(store.events("one"))
    assert [event.sequence for event in events] == list(range(100))
    phases = {event.event.phase for event in events if isinstance(event.event, JobProgressed)}
    assert phases == {f"phase {number}" for number in range(100)}


def test_a_job_is_held_by_one_at_a_time(store: FolderJobStore) -> None:
    store.create(job())

    assert not store.is_held("one")
    with store.hold("one"):
        assert store.is_held("one")
        with pytest.raises(StorageError, match="another process works on it"), store.hold("one"):
            pass
    assert not store.is_held("one")


def test_a_full_disk_is_said_in_one_line(
    store: FolderJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)

    with pytest.raises(StorageError, match="the disk is full"):
        store.create(job())


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


@given(events=story())
def test_whatever_a_backend_says_numbers_are_gapless_and_the_end_is_one(
    folders: Iterator[Path], events: list[BackendEvent]
) -> None:
    store = FolderJobStore(next(folders))
    store.create(job())

    append_all(store, *events)

    kept = list(store.events("one"))
    ends = [
        event for event in kept if isinstance(event.event, JobCompleted | JobCancelled | JobFailed)
    ]
    chunks = [event.event.index for event in kept if isinstance(event.event, ChunkReady)]
    assert [event.sequence for event in kept] == list(range(len(kept)))
    assert len(ends) <= 1
    assert ends == kept[len(kept) - len(ends) :]
    assert len(set(chunks)) == len(chunks)
