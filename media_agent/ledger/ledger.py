"""The ledger: jobs, what was submitted for them, what happened, and who works on them.

One SQLite file that several processes use at once. Nothing is sent to a backend before the intent
stands here; only this file numbers events and writes the state of a job; and of a job that another
process owns it refuses every change.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from media_agent.errors import IdempotencyConflictError, JobNotFoundError, StorageError
from media_agent.ledger.kept_text import readable
from media_agent.ledger.owners import SELECT_JOBS
from media_agent.ledger.rows import (
    change_job,
    changeable_of,
    insert,
    job_of,
    row_of,
    standing_of,
    terms_of,
)
from media_agent.ledger.state import JobTerms, changes_by, is_repetition
from media_agent.ledger.submissions import OwnedSubmissions
from media_agent_schemas.events import (
    BackendEvent,
    ChunkReady,
    JobEvent,
    JobProgressed,
    JobStarted,
    TerminalEvent,
)
from media_agent_schemas.jobs import JobStatus, ResumeToken, VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

_LOGGER = logging.getLogger(__name__)
_PAGE = 500  # events read at once
_REOPENED = (JobStatus.OUTCOME_UNKNOWN, JobStatus.FAILED, JobStatus.CANCELLED)
_IN_VAIN = """status = 'failed' AND NOT EXISTS
    (SELECT 1 FROM submissions WHERE job_id = jobs.id AND state != 'refused')"""
_PLACING = -1  # the number of an artifact that is being put in its place


class Ledger(OwnedSubmissions):
    """Keeps jobs, their submissions and their events; each object is one owner."""

    def create(self, job: VideoJob, terms: JobTerms | None = None) -> VideoJob:
        """Keep a new job, owned here, before anything is done for it.

        With an idempotency key that is known already, return the job it belongs to instead; a key
        is free again when its job failed and nobody can have accepted anything of it.

        Raises:
            IdempotencyConflictError: the id is taken, or the key belongs to another request.
        """
        terms = JobTerms(plans=(job.plan,)) if terms is None else terms
        _check_id(job.id)
        with self._file.writing() as connection:
            known = self._of_key(connection, terms.idempotency_key, job.request)
            if known is not None:
                return known
            if terms.idempotency_key is not None:
                freed = "UPDATE jobs SET idempotency_key = NULL WHERE idempotency_key = ?"
                connection.execute(freed, (terms.idempotency_key,))
            owned = {"owner": str(self._owner), "heartbeat": self._clock()}
            whole = {"inputs": dict(terms.inputs), "part_of": terms.part_of}
            try:
                insert(connection, "jobs", **row_of(job, terms), **owned, **whole)
            except sqlite3.IntegrityError:
                raise IdempotencyConflictError(f"job {job.id} exists already") from None
            self._write_artifacts(connection, job.id, job.artifacts)
        return job

    def discard(self, job_id: str) -> None:
        """Forget a job of ours for which nothing was done."""
        with self._file.writing() as connection:
            self._own_row(connection, job_id)
            connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def get(self, job_id: str) -> VideoJob:
        """Return a job as it stands.

        Raises:
            JobNotFoundError: there is none of this id.
            StorageError: what is kept of it cannot be read.
        """
        with self._file.reading() as connection:
            return self._job(connection, self._row(connection, job_id))

    def terms(self, job_id: str) -> JobTerms:
        """Return what a job was asked with besides its request."""
        with self._file.reading() as connection:
            return terms_of(self._row(connection, job_id))

    def note_inputs(self, job_id: str, digests: Mapping[str, str]) -> None:
        """Keep what was read of files when they were sent, or began to be used."""
        with self._file.writing() as connection:
            known = terms_of(self._row(connection, job_id)).inputs
            change_job(connection, job_id, inputs={**known, **digests})

    def of_key(self, idempotency_key: str, request: VideoRequest) -> VideoJob | None:
        """Return the job that this key belongs to, None if it is new.

        Raises:
            IdempotencyConflictError: it belongs to another request.
        """
        with self._file.reading() as connection:
            return self._of_key(connection, idempotency_key, request)

    def has_key(self, idempotency_key: str) -> bool:
        """Return whether a job has this key, and it is not free again."""
        with self._file.reading() as connection:
            return _row_of_key(connection, idempotency_key) is not None

    def list(self) -> list[VideoJob]:
        """Return all jobs, newest first; one that cannot be read is logged and left out."""
        query = f"{SELECT_JOBS} ORDER BY created_at DESC, id DESC"
        found = []
        with self._file.reading() as connection:
            for row in connection.execute(query):
                try:
                    found.append(self._job(connection, row))
                except StorageError as error:
                    _LOGGER.warning("%s", error)
        return found

    def update(self, job_id: str, change: Callable[[VideoJob], VideoJob]) -> VideoJob:
        """Change fields of a job of ours in one step that no other process can get into."""
        with self._file.writing() as connection:
            before = self._job(connection, self._own_row(connection, job_id))
            after = change(before)
            change_job(connection, job_id, **changeable_of(after))
        return after

    def warn(self, job_id: str, said: str) -> None:
        """Add a warning to a job of ours, unless it has it already."""

        def warned(job: VideoJob) -> VideoJob:
            warnings = tuple(dict.fromkeys((*job.warnings, said)))
            return job.model_copy(update={"warnings": warnings})

        self.update(job_id, warned)

    def folder(self, job_id: str) -> Path:
        """Return a folder for the files of a job; it need not exist.

        Raises:
            JobNotFoundError: the id cannot be the name of a folder.
        """
        _check_id(job_id)
        return self._file.path.parent / "jobs" / job_id

    def append(self, job_id: str, event: BackendEvent, time: datetime) -> JobEvent | None:
        """Number and keep an event and move the job by it; None for a repetition.

        After a terminal event every other one is a repetition. Progress that could not be read
        again is left out; half a character in any event becomes a mark.

        Raises:
            JobMovedError: another process owns the job.
            StorageError: the event could not be read again.
        """
        durably = not isinstance(event, JobProgressed)
        try:
            event = readable(event)
        except StorageError:
            if durably:
                raise
            return None
        with self._file.writing(durably=durably) as connection:
            standing = standing_of(self._own_row(connection, job_id))
            if is_repetition(standing, event):
                return None
            numbered = self._write_event(connection, job_id, event, time)
            changes = {**changes_by(standing, event), "updated_at": time}
            if isinstance(event, ChunkReady):
                changes["resume"] = event.resume
            if isinstance(event, TerminalEvent):
                self._write_artifacts(connection, job_id, event.artifacts)
            change_job(connection, job_id, **changes)
        return numbered

    def events(self, job_id: str, after: int = -1) -> Iterator[JobEvent]:
        """Yield the events numbered above `after`, in order, some at a time.

        Raises:
            JobNotFoundError: there is no such job.
        """
        query = """
            SELECT sequence, event FROM events WHERE job_id = ? AND sequence > ?
            ORDER BY sequence LIMIT ?"""
        while True:
            with self._file.reading() as connection:
                self._row(connection, job_id)
                rows = connection.execute(query, (job_id, after, _PAGE)).fetchall()
            for _, text in rows:
                try:
                    yield JobEvent.model_validate_json(text)
                except ValidationError as error:
                    raise self._unreadable(job_id) from error
            if len(rows) < _PAGE:
                return
            after = rows[-1]["sequence"]

    def reopen(self, job_id: str, message: str, time: datetime) -> JobEvent | None:
        """Let a job go on whose work was found, or that can go on where it ended; None: it is over.

        The only way out of a terminal state; a backend's event can never take it.
        """
        with self._file.writing() as connection:
            if self._own_row(connection, job_id)["status"] not in _REOPENED:
                return None
            numbered = self._write_event(connection, job_id, JobStarted(message=message), time)
            status = JobStatus.IN_PROGRESS
            change_job(connection, job_id, status=status, error=None, updated_at=time)
            self._write_artifacts(connection, job_id, ())
        return numbered

    def resume_token(self, job_id: str) -> ResumeToken | None:
        """Return the token of the newest chunk, None if it has none."""
        with self._file.reading() as connection:
            text = self._row(connection, job_id)["resume"]
        return None if text is None else ResumeToken.model_validate_json(text)

    def placing(self, job_id: str, artifact: Artifact) -> None:
        """Keep that this file, by its digest, is about to be put in its place."""
        with self._file.writing() as connection:
            self._own_row(connection, job_id)
            self._write_artifacts(connection, job_id, (artifact,), _PLACING)

    def placed(self, job_id: str) -> Artifact | None:
        """Return the file that was about to be put in its place when its process ended."""
        query = "SELECT artifact FROM artifacts WHERE job_id = ? AND number = ?"
        with self._file.reading() as connection:
            row = connection.execute(query, (job_id, _PLACING)).fetchone()
        return None if row is None else Artifact.model_validate_json(row["artifact"])

    def _job(self, connection: sqlite3.Connection, row: sqlite3.Row) -> VideoJob:
        query = "SELECT artifact FROM artifacts WHERE job_id = ? AND number > ? ORDER BY number"
        files = connection.execute(query, (row["id"], _PLACING)).fetchall()
        try:
            return job_of(row, files)
        except ValueError as error:  # pydantic's is one
            raise self._unreadable(row["id"]) from error

    def _unreadable(self, job_id: str) -> StorageError:
        return StorageError(
            f"job {job_id} cannot be read from {self._file.path}",
            hint="another version of media-agent may have written it",
        )

    def _of_key(
        self, connection: sqlite3.Connection, key: str | None, request: VideoRequest
    ) -> VideoJob | None:
        row = None if key is None else _row_of_key(connection, key)
        if row is None:
            return None
        known = self._job(connection, row)
        if known.request != request:
            raise IdempotencyConflictError(
                f"idempotency key {key!r} belongs to job {known.id}, which has another request",
                hint="use a new key for a new request",
            )
        return known

    def _write_event(
        self, connection: sqlite3.Connection, job_id: str, event: BackendEvent, time: datetime
    ) -> JobEvent:
        following = "SELECT coalesce(max(sequence) + 1, 0) FROM events WHERE job_id = ?"
        (sequence,) = connection.execute(following, (job_id,)).fetchone()
        numbered = JobEvent(job_id=job_id, sequence=sequence, time=time, event=event)
        insert(
            connection,
            "events",
            job_id=job_id,
            sequence=sequence,
            time=time,
            chunk=event.index if isinstance(event, ChunkReady) else None,
            event=numbered.model_dump_json(),  # its event is known to be readable
        )
        return numbered

    def _write_artifacts(
        self, connection: sqlite3.Connection, job_id: str, files: Sequence[Artifact], first: int = 0
    ) -> None:
        """Replace the files of a job from a number on: what is being placed outlives a failure."""
        chosen = "DELETE FROM artifacts WHERE job_id = ? AND number >= ?"
        connection.execute(chosen, (job_id, first))
        for number, file in enumerate(files, start=first):
            values = {"path": file.path, "sha256": file.sha256, "artifact": file}
            insert(connection, "artifacts", job_id=job_id, number=number, **values)


def _row_of_key(connection: sqlite3.Connection, key: str) -> sqlite3.Row | None:
    query = f"{SELECT_JOBS} WHERE idempotency_key = ? AND NOT ({_IN_VAIN})"
    row: sqlite3.Row | None = connection.execute(query, (key,)).fetchone()
    return row


def _check_id(job_id: str) -> None:
    if not job_id or job_id.startswith(".") or {"/", "\\", "\0"} & set(job_id):
        raise JobNotFoundError(f"there is no job {job_id!r}", hint="an id has no / or \\")
