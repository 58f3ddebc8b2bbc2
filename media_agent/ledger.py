"""The ledger: jobs, what was submitted for them, what happened, and who works on them.

One SQLite file that several processes use at once. Nothing is sent to a backend before the intent
stands here; only this file numbers events and writes the state of a job; and of a job that another
process owns it refuses every change.
"""

import contextlib
import logging
import time as time_module
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from media_agent.errors import (
    IdempotencyConflictError,
    JobError,
    JobNotFoundError,
    MediaAgentError,
    StorageError,
)
from media_agent.jobs import (
    JobMovedError,
    JobTerms,
    Submission,
    SubmissionState,
    changes_by,
    is_repetition,
)
from media_agent.ledger_file import BUSY_SECONDS, LedgerFile
from media_agent.ledger_rows import (
    CHANGEABLE,
    columns_of,
    job_of,
    row_of,
    standing_of,
    submission_of,
    terms_of,
    text_of,
)
from media_agent.ledger_tables import artifacts, events, jobs, submissions
from media_agent.owner import Owner, beating, is_alive
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import (
    BackendEvent,
    ChunkReady,
    Cost,
    JobEvent,
    JobProgressed,
    JobStarted,
    TerminalEvent,
)
from media_agent_schemas.jobs import JobStatus, OperationRef, ResumeToken, VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

_LOGGER = logging.getLogger(__name__)
_PAGE = 500  # events read at once
_ROW = Row[tuple[object, ...]]
_PLACING = -1  # the number of an artifact that is being put in its place


class Ledger:
    """Keeps jobs, their submissions and their events; each object is one owner."""

    def __init__(
        self,
        path: Path,
        *,
        owner: Owner | None = None,
        is_owner_alive: Callable[[Owner, float], bool] = is_alive,
        clock: Callable[[], float] = time_module.time,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._file = LedgerFile(path, busy_seconds=busy_seconds)
        self._owner = Owner.current() if owner is None else owner
        self._is_owner_alive = is_owner_alive
        self._clock = clock
        self._held: set[str] = set()

    # -- jobs ----------------------------------------------------------------------------------

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

    # -- events --------------------------------------------------------------------------------

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

    # -- submissions ---------------------------------------------------------------------------

    def submissions(self, job_id: str) -> Sequence[Submission]:
        """Return the submissions of a job, oldest first."""
        chosen = submissions.c.job_id == job_id
        query = select(submissions).where(chosen).order_by(submissions.c.number)
        with self._file.reading() as connection:
            return [submission_of(row) for row in connection.execute(query)]

    def intend(self, job_id: str, number: int, time: datetime) -> Submission:
        """Keep that the plan of this number is about to be submitted; once per plan.

        Raises:
            JobMovedError: another process owns the job, or intended the same.
        """
        with self._file.writing() as connection:
            plan = terms_of(self._own_row(connection, job_id)).plans[number]
            values = {
                "job_id": job_id,
                "number": number,
                "key": job_id if number == 0 else f"{job_id}-{number + 1}",
                "backend": plan.backend,
                "model": plan.model,
                "quote": plan.estimate.model_dump_json(),
                "state": SubmissionState.INTENDED,
                "attempts": 1,
                "created_at": text_of(time),
            }
            try:
                connection.execute(insert(submissions).values(**values))
            except IntegrityError:
                raise JobMovedError(f"plan {number} of job {job_id} was submitted before") from None
            chosen = jobs.c.id == job_id
            connection.execute(update(jobs).where(chosen).values(plan_number=number))
            return self._submission(connection, job_id, number)

    def intend_again(self, submission: Submission) -> Submission:
        """Keep that a submission is about to be repeated, where that costs nothing."""
        with self._file.writing() as connection:
            self._own_row(connection, submission.job_id)
            again = {"attempts": submissions.c.attempts + 1}
            connection.execute(update(submissions).where(*_same(submission)).values(again))
            return self._submission(connection, submission.job_id, submission.number)

    def accept(self, submission: Submission, ref: OperationRef) -> None:
        """Keep where the work is, whoever owns the job by now: a reference is never lost."""
        self._settle(submission, SubmissionState.ACCEPTED, ref=ref.model_dump_json())

    def refuse(self, submission: Submission, error: ErrorInfo) -> None:
        """Keep that nothing was accepted, and why."""
        self._settle(submission, SubmissionState.REFUSED, error=error.model_dump_json())

    def lose(self, submission: Submission) -> None:
        """Keep that nobody knows whether it was accepted."""
        self._settle(submission, SubmissionState.UNKNOWN)

    def _settle(self, submission: Submission, state: SubmissionState, **values: str) -> None:
        values["state"] = state
        with self._file.writing() as connection:
            connection.execute(update(submissions).where(*_same(submission)).values(values))

    def bill(self, submission: Submission, cost: Cost) -> None:
        """Keep what a submission cost."""
        with self._file.writing() as connection:
            values = {"cost": cost.model_dump_json()}
            connection.execute(update(submissions).where(*_same(submission)).values(values))

    def spent(self, since: datetime) -> float:
        """Return the USD of all that was or may have been accepted since; unbilled: as quoted."""
        billed = func.json_extract(submissions.c.cost, "$.usd")
        quoted = func.json_extract(submissions.c.quote, "$.cost_usd")
        counted = submissions.c.state != SubmissionState.REFUSED
        total = select(func.coalesce(func.sum(func.coalesce(billed, quoted)), 0.0))
        with self._file.reading() as connection:
            recent = submissions.c.created_at >= text_of(since)
            return float(connection.execute(total.where(counted, recent)).scalar_one())

    # -- places --------------------------------------------------------------------------------

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

    # -- owners --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def hold(
        self,
        job_id: str,
        *,
        force: bool = False,
        on_cancel: Callable[[], None] | None = None,
    ) -> Iterator[None]:
        """Own the work on a job while the context lasts, or until this process dies.

        `on_cancel` is called, from another thread, when another process asks to stop. With `force`
        the job is taken from an owner that seems to live.

        Raises:
            JobError: a living owner has it.
        """
        self._claim(job_id, force=force)
        try:
            with beating(lambda: self._beat(job_id, on_cancel)):
                yield
        finally:
            self._held.discard(job_id)
            self._release(job_id)

    def is_held(self, job_id: str) -> bool:
        """Return whether a living process works on the job."""
        with self._file.reading() as connection:
            return self._living_owner(self._row(connection, job_id)) is not None

    def request_cancel(self, job_id: str) -> None:
        """Ask the process that works on the job to stop it."""
        with self._file.writing() as connection:
            self._row(connection, job_id)
            chosen = jobs.c.id == job_id
            connection.execute(update(jobs).where(chosen).values(cancel_requested=True))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def _claim(self, job_id: str, *, force: bool) -> None:
        with self._file.writing() as connection:
            row = self._row(connection, job_id)
            living = self._living_owner(row)
            if job_id in self._held or (living not in (None, self._owner) and not force):
                who = (living or self._owner).place
                raise JobError(f"{who} works on job {job_id}", hint="wait for it, or cancel it")
            seen = jobs.c.id == job_id, jobs.c.owner.is_not_distinct_from(row.owner)
            values = {"owner": str(self._owner), "heartbeat": self._clock()}
            if row.owner != str(self._owner):
                values["cancel_requested"] = False  # was asked of the owner before
            connection.execute(update(jobs).where(*seen).values(**values))
        self._held.add(job_id)

    def _beat(self, job_id: str, on_cancel: Callable[[], None] | None) -> None:
        mine = jobs.c.id == job_id, jobs.c.owner == str(self._owner)
        beat = update(jobs).where(*mine).values(heartbeat=self._clock())
        try:
            with self._file.writing(durably=False) as connection:
                asked = connection.execute(beat.returning(jobs.c.cancel_requested)).scalar()
        except MediaAgentError as error:
            _LOGGER.debug("no heartbeat for %s: %s", job_id, error)
            return
        if asked and on_cancel is not None:
            on_cancel()

    def _release(self, job_id: str) -> None:
        mine = jobs.c.id == job_id, jobs.c.owner == str(self._owner)
        free = {"owner": None, "heartbeat": None, "cancel_requested": False}
        with self._file.writing() as connection:
            connection.execute(update(jobs).where(*mine).values(**free))

    def _living_owner(self, row: _ROW) -> Owner | None:
        if row.owner is None:
            return None
        owner = Owner.parse(row.owner)
        silent = self._clock() - (row.heartbeat or 0.0)
        return owner if owner == self._owner or self._is_owner_alive(owner, silent) else None

    # -- rows ----------------------------------------------------------------------------------

    def _row(self, connection: Connection, job_id: str) -> _ROW:
        row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
        if row is None:
            raise JobNotFoundError(
                f"there is no job {job_id!r} in {self._file.path}",
                hint="media-agent jobs list shows the jobs there are",
            )
        return row

    def _own_row(self, connection: Connection, job_id: str) -> _ROW:
        row = self._row(connection, job_id)
        if row.owner not in (None, str(self._owner)):
            raise JobMovedError(f"{Owner.parse(row.owner).place} works on job {job_id} now")
        return row

    def _job(self, connection: Connection, row: _ROW) -> VideoJob:
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

    def _submission(self, connection: Connection, job_id: str, number: int) -> Submission:
        chosen = submissions.c.job_id == job_id, submissions.c.number == number
        return submission_of(connection.execute(select(submissions).where(*chosen)).one())

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


def _same(submission: Submission) -> tuple[ColumnElement[bool], ...]:
    job_id, number = submission.job_id, submission.number
    return submissions.c.job_id == job_id, submissions.c.number == number


def _check_id(job_id: str) -> None:
    if not job_id or job_id.startswith(".") or {"/", "\\", "\0"} & set(job_id):
        raise JobNotFoundError(f"there is no job {job_id!r}", hint="an id has no / or \\")
