"""What happened to jobs: events, numbered and kept once, and the state they move a job to."""

from collections.abc import Iterator
from datetime import datetime

from media_agent.errors import JobNotFoundError, StorageError
from media_agent.ledger.outcomes import record_end, record_start
from media_agent.ledger.owners import Owners
from media_agent.ledger.rows import (
    change_job,
    event_of,
    insert,
    replace_artifacts,
    state_of,
    terms_of,
    token_of,
)
from media_agent.ledger.serving.api_keys import check_one_more
from media_agent.ledger.serving.deliveries import announce
from media_agent.ledger.settlement import hold_again, settle
from media_agent.ledger.state import changes_by, is_repetition
from media_agent.ledger.store.database import Database, Row, Transaction, reads_row
from media_agent.ledger.store.kept_text import readable
from media_agent_schemas.events import (
    BackendEvent,
    ChunkReady,
    JobEvent,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    TerminalEvent,
)
from media_agent_schemas.jobs import JobStatus, ResumeToken

_PAGE = 500  # events read at once
_REOPENED = (JobStatus.OUTCOME_UNKNOWN, JobStatus.FAILED, JobStatus.CANCELLED)


class Events:
    """The part of the ledger that knows events; nothing else moves a job from state to state."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def append(self, job_id: str, event: BackendEvent, time: datetime) -> JobEvent | None:
        """Number and keep an event and move the job by it; None for a repetition.

        After a terminal event every other one is a repetition. Progress that could not be read
        again is left out; half a character in any event becomes a mark.

        Raises:
            OwnershipLostError: another process owns the job.
            StorageError: the event could not be read again.
        """
        is_needed = not isinstance(event, JobProgressed)
        try:
            event = readable(event)
        except StorageError:
            if is_needed:
                raise
            return None
        is_told_again = isinstance(event, JobProgressed | JobStarted)  # whatever crashed
        with self._database.writing(durably=not is_told_again) as transaction:
            state = state_of(self._owners.own_row(transaction, job_id))
            if is_repetition(state, event):
                return None
            numbered = _write(transaction, job_id, event, time)
            changes = {**changes_by(state, event), "updated_at": time}
            if isinstance(event, ChunkReady) and event.resume is not None:
                changes["resume"] = event.resume
            if isinstance(event, TerminalEvent):
                changes["seconds"] = _seconds_of(event)
                if not isinstance(event, JobOutcomeUnknown):  # which stays held in the budgets
                    settle(transaction, job_id, time)
                replace_artifacts(transaction, job_id, event.artifacts)
                status = JobStatus(str(changes["status"]))
                announce(transaction, job_id, status, sequence=numbered.sequence, time=time)
                record_end(transaction, job_id, event, time)
            elif isinstance(event, JobStarted):
                record_start(transaction, job_id, time)
            change_job(transaction, job_id, **changes)
        return numbered

    def read(self, job_id: str, after: int = -1) -> Iterator[JobEvent]:
        """Yield the events numbered above `after`, in order, some at a time.

        Raises:
            JobNotFoundError: there is no such job.
        """
        query = """
            SELECT job_id, sequence, event FROM events WHERE job_id = :job AND sequence > :after
            ORDER BY sequence LIMIT :page"""
        while True:
            with self._database.reading() as transaction:
                self._owners.row(transaction, job_id)
                rows = transaction.rows(query, job=job_id, after=after, page=_PAGE)
                events = [*map(event_of, rows)]
            yield from events
            if len(rows) < _PAGE:
                return
            after = rows[-1]["sequence"]

    def newest(self, job_id: str) -> tuple[int, JobStatus]:
        """Return the number of the newest event of a job, -1 if there is none, and its state.

        Raises:
            JobNotFoundError: there is no such job.
        """
        query = """
            SELECT id, status, (SELECT max(sequence) FROM events WHERE job_id = :job) AS newest
            FROM jobs WHERE id = :job AND removed_at IS NULL"""
        with self._database.reading() as transaction:
            row = transaction.row(query, job=job_id)
            if row is None:
                raise JobNotFoundError(f"unknown job {job_id!r}")
            return _newest_of(row)

    def newest_chunk(self, job_id: str) -> JobEvent | None:
        """Return the event of the newest chunk of a job; None: it has none of its own."""
        query = """
            SELECT job_id, event FROM events WHERE job_id = :job AND chunk IS NOT NULL
            ORDER BY chunk DESC LIMIT 1"""
        with self._database.reading() as transaction:
            row = transaction.row(query, job=job_id)
            return None if row is None else event_of(row)

    def chunk_lengths(self, job_id: str) -> tuple[int, ...]:
        """Return how many frames each chunk of a job has that it made itself, in order."""
        query = """
            SELECT frames FROM events
            WHERE job_id = :job AND chunk IS NOT NULL ORDER BY chunk"""
        with self._database.reading() as transaction:
            return tuple(row["frames"] for row in transaction.rows(query, job=job_id))

    def reopen(self, job_id: str, message: str, time: datetime) -> JobEvent | None:
        """Reopen a job whose work was found, or that can be resumed; None: it is over.

        The only way out of a terminal state; a backend's event can never take it.

        Raises:
            RateLimitError: the caller of a server has as many jobs under way as they may.
        """
        with self._database.writing() as transaction:
            row = self._owners.own_row(transaction, job_id)
            if row["status"] not in _REOPENED:
                return None
            check_one_more(transaction, terms_of(row), time)
            numbered = _write(transaction, job_id, JobStarted(message=message), time)
            status = JobStatus.IN_PROGRESS
            cleared = {"error": None, "cancellation": None, "seconds": None}
            change_job(transaction, job_id, status=status, updated_at=time, **cleared)
            hold_again(transaction, job_id)
            replace_artifacts(transaction, job_id, ())
        return numbered

    def resume_token(self, job_id: str) -> ResumeToken | None:
        """Return the token of the newest chunk that has one, None if none has."""
        with self._database.reading() as transaction:
            return token_of(self._owners.row(transaction, job_id))


def _seconds_of(end: TerminalEvent) -> float | None:
    facts = end.artifacts[0].metadata if end.artifacts else None
    return None if facts is None else facts.duration


@reads_row
def _newest_of(row: Row) -> tuple[int, JobStatus]:
    return -1 if row["newest"] is None else row["newest"], JobStatus(row["status"])


@reads_row
def _sequence_of(row: Row) -> int:
    return int(row["sequence"])


def _write(transaction: Transaction, job_id: str, event: BackendEvent, time: datetime) -> JobEvent:
    newest = """
        SELECT job_id, sequence FROM events WHERE job_id = :job
        ORDER BY sequence DESC LIMIT 1"""
    last = transaction.row(newest, job=job_id)
    sequence = 0 if last is None else _sequence_of(last) + 1
    numbered = JobEvent(job_id=job_id, sequence=sequence, time=time, event=event)
    insert(
        transaction,
        "events",
        job_id=job_id,
        sequence=sequence,
        time=time,
        chunk=event.index if isinstance(event, ChunkReady) else None,
        frames=event.frames if isinstance(event, ChunkReady) else None,
        event=numbered.model_dump_json(),  # its event is known to be readable
    )
    return numbered
