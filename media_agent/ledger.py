"""The ledger: jobs, what was submitted for them, what happened, and who works on them.

One SQLite file that several processes use at once. Nothing is sent to a backend before the intent
stands here; only this file numbers events and writes the state of a job; and of a job that another
process owns it refuses every change.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import Connection, delete, func, insert, select, update

from media_agent.errors import (
    IdempotencyConflictError,
    JobNotFoundError,
    StorageError,
)
from media_agent.jobs import (
    JobTerms,
    SubmissionState,
    changes_by,
    is_repetition,
)
from media_agent.ledger_owners import JobRow
from media_agent.ledger_rows import (
    CHANGEABLE,
    columns_of,
    job_of,
    row_of,
    standing_of,
    terms_of,
    text_of,
)
from media_agent.ledger_submissions import OwnedSubmissions
from media_agent.ledger_tables import artifacts, events, jobs, submissions
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
_PLACING = -1  # the number of an artifact that is being put in its place


class Ledger(OwnedSubmissions):
    """Keeps jobs, their submissions and their events; each object is one owner."""

    def create(self, job: VideoJob, terms: JobTerms | None = None) -> VideoJob:
        """Keep a new job, owned here, before anything is done for it.

        With an idempotency key that is known already, return the job it belongs to instead.

        Raises:
            IdempotencyConflictError: the id is taken, or the key belongs to another request.
        """
        terms = JobTerms(plans=(job.plan,)) if terms is None else terms
        _check_id(job.id)
        with self._file.writing() as connection:
            known = self._of_key(connection, terms.idempotency_key, job.request)
            if known is not None:
                return known
            if connection.execute(select(jobs.c.id).where(jobs.c.id == job.id)).first():
                raise IdempotencyConflictError(f"job {job.id} exists already")
            owned = {"owner": str(self._owner), "heartbeat": self._clock()}
            connection.execute(insert(jobs).values(**row_of(job, terms), **owned))
            self._write_artifacts(connection, job.id, job.artifacts)
        return job

    def discard(self, job_id: str) -> None:
        """Forget a job of ours for which nothing was done."""
        with self._file.writing() as connection:
            self._own_row(connection, job_id)
            connection.execute(delete(jobs).where(jobs.c.id == job_id))

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

    def of_key(self, idempotency_key: str, request: VideoRequest) -> VideoJob | None:
        """Return the job that this key belongs to, None if it is new.

        Raises:
            IdempotencyConflictError: it belongs to another request.
        """
        with self._file.reading() as connection:
            return self._of_key(connection, idempotency_key, request)

    def list(self) -> list[VideoJob]:
        """Return all jobs, newest first; one that cannot be read is logged and left out."""
        order = jobs.c.created_at.desc(), jobs.c.id.desc()
        found = []
        with self._file.reading() as connection:
            for row in connection.execute(select(jobs).order_by(*order)).all():
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
            changed = {name: getattr(after, name) for name in CHANGEABLE}
            values = columns_of(changed)
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
        return after

    def folder(self, job_id: str) -> Path:
        """Return a folder for the files of a job; it need not exist.

        Raises:
            JobNotFoundError: the id cannot be the name of a folder.
        """
        _check_id(job_id)
        return self._file.path.parent / "jobs" / job_id

    def append(self, job_id: str, event: BackendEvent, time: datetime) -> JobEvent | None:
        """Number and keep an event and move the job by it; None for a repetition.

        After a terminal event every other one is a repetition.

        Raises:
            JobMovedError: another process owns the job.
        """
        durably = not isinstance(event, JobProgressed)
        with self._file.writing(durably=durably) as connection:
            standing = standing_of(self._own_row(connection, job_id))
            if is_repetition(standing, event):
                return None
            numbered = self._write_event(connection, job_id, event, time)
            changes = columns_of({**changes_by(standing, event), "updated_at": time})
            if isinstance(event, ChunkReady):
                token = event.resume
                changes["resume"] = None if token is None else token.model_dump_json()
            if isinstance(event, TerminalEvent):
                self._write_artifacts(connection, job_id, event.artifacts)
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**changes))
        return numbered

    def events(self, job_id: str, after: int = -1) -> Iterator[JobEvent]:
        """Yield the events numbered above `after`, in order, some at a time.

        Raises:
            JobNotFoundError: there is no such job.
        """
        while True:
            chosen = events.c.job_id == job_id, events.c.sequence > after
            query = select(events).where(*chosen).order_by(events.c.sequence).limit(_PAGE)
            with self._file.reading() as connection:
                self._row(connection, job_id)
                rows = connection.execute(query).all()
            for row in rows:
                yield JobEvent.model_validate_json(row.event)
            if len(rows) < _PAGE:
                return
            after = rows[-1].sequence

    def reopen(self, job_id: str, message: str, time: datetime) -> JobEvent | None:
        """Let a job of unknown outcome go on because its work was found; None: it is another.

        The only way out of a terminal state; a backend's event can never take it.
        """
        with self._file.writing() as connection:
            if self._own_row(connection, job_id).status != JobStatus.OUTCOME_UNKNOWN:
                return None
            numbered = self._write_event(connection, job_id, JobStarted(message=message), time)
            changes = {"status": JobStatus.IN_PROGRESS, "error": None, "updated_at": time}
            values = columns_of(changes)
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
            self._write_artifacts(connection, job_id, ())
        return numbered

    def resume_token(self, job_id: str) -> ResumeToken | None:
        """Return the token of the newest chunk, None if it has none."""
        with self._file.reading() as connection:
            text = self._row(connection, job_id).resume
        return None if text is None else ResumeToken.model_validate_json(text)

    def placing(self, job_id: str, artifact: Artifact) -> None:
        """Keep that this file, by its digest, is about to be put in its place."""
        with self._file.writing() as connection:
            self._own_row(connection, job_id)
            self._write_artifacts(connection, job_id, (artifact,), first=_PLACING)

    def placed(self, job_id: str) -> Artifact | None:
        """Return the file that was about to be put in its place when its process ended."""
        chosen = artifacts.c.job_id == job_id, artifacts.c.number == _PLACING
        with self._file.reading() as connection:
            text = connection.execute(select(artifacts.c.artifact).where(*chosen)).scalar()
        return None if text is None else Artifact.model_validate_json(text)

    def _job(self, connection: Connection, row: JobRow) -> VideoJob:
        accepted = (
            submissions.c.job_id == row.id,
            submissions.c.state == SubmissionState.ACCEPTED,
        )
        ref = connection.execute(select(submissions.c.ref).where(*accepted)).scalar()
        files = select(artifacts.c.artifact).where(
            artifacts.c.job_id == row.id, artifacts.c.number > _PLACING
        )
        texts = connection.execute(files.order_by(artifacts.c.number)).scalars()
        try:
            return job_of(row, ref, texts)
        except (ValidationError, ValueError) as error:
            raise StorageError(
                f"job {row.id} cannot be read from {self._file.path}",
                hint="another version of media-agent may have written it",
            ) from error

    def _of_key(
        self, connection: Connection, key: str | None, request: VideoRequest
    ) -> VideoJob | None:
        if key is None:
            return None
        query = select(jobs).where(jobs.c.idempotency_key == key)
        row = connection.execute(query).one_or_none()
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
        self, connection: Connection, job_id: str, event: BackendEvent, time: datetime
    ) -> JobEvent:
        newest = select(func.max(events.c.sequence)).where(events.c.job_id == job_id)
        last = connection.execute(newest).scalar()
        sequence = 0 if last is None else last + 1
        numbered = JobEvent(job_id=job_id, sequence=sequence, time=time, event=event)
        values = {
            "job_id": job_id,
            "sequence": sequence,
            "time": text_of(time),
            "chunk": event.index if isinstance(event, ChunkReady) else None,
            "event": numbered.model_dump_json(),
        }
        connection.execute(insert(events).values(**values))
        return numbered

    def _write_artifacts(
        self, connection: Connection, job_id: str, files: Sequence[Artifact], *, first: int = 0
    ) -> None:
        connection.execute(delete(artifacts).where(artifacts.c.job_id == job_id))
        for number, file in enumerate(files, start=first):
            values = {"path": file.path, "sha256": file.sha256, "artifact": file.model_dump_json()}
            row = insert(artifacts).values(job_id=job_id, number=number, **values)
            connection.execute(row)


def _check_id(job_id: str) -> None:
    if not job_id or job_id.startswith(".") or {"/", "\\", "\0"} & set(job_id):
        raise JobNotFoundError(f"there is no job {job_id!r}", hint="an id has no / or \\")
