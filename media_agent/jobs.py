"""Jobs on disk: a folder each, the state in `job.json`, the numbered events in `events.jsonl`.

Only this file writes the state of a job and numbers its events. Several processes may share a data
folder: every write happens under a lock of the job's folder, and `job.json` is replaced whole.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol, assert_never

from pydantic import ValidationError

from media_agent.errors import IdempotencyConflictError, JobNotFoundError, StorageError
from media_agent.files import storage_errors, write_atomically
from media_agent_schemas.events import (
    BackendEvent,
    ChunkReady,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    PromptChanged,
)
from media_agent_schemas.jobs import JobStatus, VideoJob

_LOGGER = logging.getLogger(__name__)
_TAIL = 1 << 16  # bytes; more than any event has


class JobStore(Protocol):
    """Keeps jobs and their events."""

    def create(self, job: VideoJob) -> None:
        """Keep a new job, durably, before anything is submitted.

        Raises:
            IdempotencyConflictError: the id is taken.
        """
        ...

    def get(self, job_id: str) -> VideoJob:
        """Return a job as it stands.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        ...

    def list(self) -> list[VideoJob]:
        """Return all jobs, newest first."""
        ...

    def update(self, job_id: str, change: Callable[[VideoJob], VideoJob]) -> VideoJob:
        """Change a job in one step that no other process can get into."""
        ...

    def append(self, job_id: str, event: BackendEvent, time: datetime) -> JobEvent | None:
        """Number and keep an event and move the job by it; None for a repetition.

        After a terminal event every other one is a repetition.
        """
        ...

    def events(self, job_id: str, after: int = -1) -> Iterator[JobEvent]:
        """Yield the events numbered above `after`, in order, one by one."""
        ...

    def folder(self, job_id: str) -> Path:
        """Return a folder for the files of a job."""
        ...

    def hold(self, job_id: str) -> contextlib.AbstractContextManager[None]:
        """Own the work on a job while the context lasts, or until this process dies."""
        ...

    def is_held(self, job_id: str) -> bool:
        """Return whether a living process works on the job."""
        ...


class FolderJobStore:
    """A `JobStore` in a folder of folders; no database, no server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, job: VideoJob) -> None:
        """Make the job's folder, then its state."""
        with storage_errors(f"the job folder {self._folder}"):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                self.folder(job.id).mkdir()
            except FileExistsError:
                raise IdempotencyConflictError(f"job {job.id} exists already") from None
            self._write(job)

    def get(self, job_id: str) -> VideoJob:
        """Read `job.json`."""
        try:
            return VideoJob.model_validate_json(self._state_path(job_id).read_bytes())
        except FileNotFoundError:
            raise JobNotFoundError(
                f"there is no job {job_id!r} in {self._folder}",
                hint="media-agent jobs list shows the jobs there are",
            ) from None
        except (ValidationError, OSError) as error:
            raise StorageError(
                f"the state of job {job_id} cannot be read from {self._state_path(job_id)}",
                hint="move the folder away if it is damaged",
            ) from error

    def list(self) -> list[VideoJob]:
        """Read every job; a damaged one is logged and left out."""
        jobs = []
        for path in self._folder.glob("*/job.json"):
            try:
                jobs.append(self.get(path.parent.name))
            except (StorageError, JobNotFoundError) as error:
                _LOGGER.warning("%s", error)
        return sorted(jobs, key=lambda job: (job.created_at, job.id), reverse=True)

    def update(self, job_id: str, change: Callable[[VideoJob], VideoJob]) -> VideoJob:
        """Read, change and replace `job.json` under the lock."""
        with self._locked(job_id):
            job = change(self.get(job_id))
            self._write(job)
        return job

    def append(self, job_id: str, event: BackendEvent, time: datetime) -> JobEvent | None:
        """Write a line to `events.jsonl`, then the state that follows from it."""
        with self._locked(job_id):
            job = self.get(job_id)
            if _is_repetition(job, event):
                return None
            numbered = self._write_event(job_id, event, time)
            self._write(_moved(job, event, time), durably=not isinstance(event, JobProgressed))
        return numbered

    def events(self, job_id: str, after: int = -1) -> Iterator[JobEvent]:
        """Read `events.jsonl`; a last line that was never finished is not an event."""
        self.get(job_id)
        with contextlib.suppress(FileNotFoundError), self._events_path(job_id).open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    numbered = JobEvent.model_validate_json(line)
                    if numbered.sequence > after:
                        yield numbered

    def folder(self, job_id: str) -> Path:
        """Return the job's own folder.

        Raises:
            JobNotFoundError: the id cannot be the name of a folder here.
        """
        if not job_id or job_id.startswith(".") or {"/", "\\", "\0"} & set(job_id):
            raise JobNotFoundError(f"there is no job {job_id!r}", hint="an id has no / or \\")
        return self._folder / job_id

    @contextlib.contextmanager
    def hold(self, job_id: str) -> Iterator[None]:
        """Lock `owner.lock`; the system lets go of it when the process dies."""
        with contextlib.ExitStack() as stack:
            with storage_errors(f"job {job_id}"):
                file = stack.enter_context(self._owner_path(job_id).open("ab"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    def is_held(self, job_id: str) -> bool:
        """Try the lock."""
        try:
            with self._owner_path(job_id).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def _write_event(self, job_id: str, event: BackendEvent, time: datetime) -> JobEvent:
        path = self._events_path(job_id)
        with storage_errors(f"the events of job {job_id}"), path.open("a+b") as file:
            last = _repaired_last_line(file.fileno())
            sequence = 0 if last is None else JobEvent.model_validate_json(last).sequence + 1
            numbered = JobEvent(job_id=job_id, sequence=sequence, time=time, event=event)
            file.write(numbered.model_dump_json().encode() + b"\n")
            file.flush()
            if not isinstance(event, JobProgressed):
                os.fsync(file.fileno())
        return numbered

    def _write(self, job: VideoJob, *, durably: bool = True) -> None:
        with storage_errors(f"the state of job {job.id}"):
            content = job.model_dump_json(indent=2).encode() + b"\n"
            write_atomically(self._state_path(job.id), content, durably=durably)

    @contextlib.contextmanager
    def _locked(self, job_id: str) -> Iterator[None]:
        self.get(job_id)
        with (self.folder(job_id) / "write.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _state_path(self, job_id: str) -> Path:
        return self.folder(job_id) / "job.json"

    def _events_path(self, job_id: str) -> Path:
        return self.folder(job_id) / "events.jsonl"

    def _owner_path(self, job_id: str) -> Path:
        return self.folder(job_id) / "owner.lock"


def _is_repetition(job: VideoJob, event: BackendEvent) -> bool:
    """Return whether a backend, observed again, tells what is known already."""
    if job.status.is_terminal:
        return True
    match event:
        case JobStarted():
            return job.status is not JobStatus.QUEUED
        case ChunkReady():
            return event.index < job.chunks_ready
        case PromptChanged():
            return event.chunk < job.chunks_ready
        case _:
            return False


def _moved(job: VideoJob, event: BackendEvent, time: datetime) -> VideoJob:
    """Return the job after the event."""
    changes: dict[str, object] = {"updated_at": time}
    match event:
        case JobStarted() | PromptChanged():
            changes["status"] = JobStatus.IN_PROGRESS
        case JobProgressed():
            changes |= {"progress": event.fraction, "phase": event.phase}
            changes["status"] = JobStatus.IN_PROGRESS
        case ChunkReady():
            changes |= {"chunks_ready": event.index + 1, "status": JobStatus.IN_PROGRESS}
            changes["frames_ready"] = job.frames_ready + event.frames
        case JobCompleted():
            changes |= {"status": JobStatus.COMPLETED, "progress": 1.0}
        case JobFailed():
            changes |= {"status": JobStatus.FAILED, "error": event.error}
        case JobCancelled():
            changes["status"] = JobStatus.CANCELLED
        case JobOutcomeUnknown():
            changes |= {"status": JobStatus.OUTCOME_UNKNOWN, "error": event.error}
        case _:
            assert_never(event)
    if isinstance(event, JobCompleted | JobFailed | JobCancelled | JobOutcomeUnknown):
        changes["artifacts"] = event.artifacts
        changes["warnings"] = (*job.warnings, *event.warnings)
    return job.model_copy(update=changes)


def _repaired_last_line(file: int) -> bytes | None:
    """Cut off a line that was never finished and return the last finished one."""
    size = os.fstat(file).st_size
    start = max(0, size - _TAIL)
    tail = os.pread(file, size - start, start)
    end = tail.rfind(b"\n") + 1
    if end < len(tail):
        os.ftruncate(file, start + end)
    lines = tail[:end].splitlines()
    return lines[-1] if lines else None
