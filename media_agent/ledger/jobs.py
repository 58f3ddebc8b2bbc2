"""The jobs of the ledger: what each was asked with, how it stands, and where its files go."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from media_agent.errors import IdempotencyConflictError, JobNotFoundError
from media_agent.ledger.costs import cost_of
from media_agent.ledger.owners import SELECT_JOBS, Owners
from media_agent.ledger.pages import JobFilter, find_id, find_whole, read_page
from media_agent.ledger.rows import (
    PUBLISHING,
    artifact_of,
    change_job,
    changeable_of,
    insert,
    job_of,
    replace_artifacts,
    row_of,
    terms_of,
    text_of,
)
from media_agent.ledger.serving.api_keys import check_one_more
from media_agent.ledger.settlement import settle, with_hold_said
from media_agent.ledger.state import JobOptions
from media_agent.ledger.store.database import (
    DamagedRowError,
    Database,
    DuplicateError,
    Row,
    Transaction,
    reads_row,
)
from media_agent.ledger.store.tables import LISTED, UNSETTLED
from media_agent.shorten import shorten
from media_agent.storage.files import is_folder_name
from media_agent_schemas.jobs import JobStatus, JobSummary, VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest

_LOGGER = logging.getLogger(__name__)
_IN_VAIN = """status = 'failed' AND NOT EXISTS
    (SELECT 1 FROM submissions WHERE job_id = jobs.id AND state != 'refused')"""

_FORGET = """
UPDATE jobs SET removed_at = :now, request = '', plans = '[]', title = '', phase = NULL,
    resume = NULL, record_path = NULL, warnings = '[]', error = NULL,
    cancellation = NULL, out = NULL, idempotency_key = NULL, fingerprint = NULL, inputs = '{}'
WHERE id = :id"""
_DISCARD = """
DELETE FROM jobs
WHERE id = :id AND created_at = :created_at AND status = 'queued'
    AND NOT EXISTS (SELECT 1 FROM submissions WHERE job_id = :id)"""


class Jobs:
    """The part of the ledger that knows jobs."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def create(
        self, job: VideoJob, terms: JobOptions | None = None, *, durably: bool = True
    ) -> VideoJob:
        """Keep a new job, owned here, before anything is done for it; see `Database.writing`.

        With an idempotency key that is known already, return the job it belongs to instead; a key
        is free again when its job failed and nobody can have accepted anything of it.

        Raises:
            IdempotencyConflictError: the id is taken, or the key belongs to another request.
            RateLimitError: the caller of a server has as many jobs under way as they may.
        """
        terms = JobOptions(plans=(job.plan,)) if terms is None else terms
        _check_id(job.id)
        with self._database.writing(durably=durably) as transaction:
            known = self._of_key(transaction, terms.idempotency_key, job.request)
            if known is not None:
                return known
            check_one_more(transaction, terms, job.created_at)
            if terms.idempotency_key is not None:
                freed = "UPDATE jobs SET idempotency_key = NULL WHERE idempotency_key = :key"
                transaction.change(freed, key=terms.idempotency_key)
            try:
                owner = self._owners.own_new(transaction, job.id)
                insert(transaction, "jobs", **row_of(job, terms), owner=owner)
            except DuplicateError:
                raise IdempotencyConflictError(f"job {job.id} exists already") from None
            replace_artifacts(transaction, job.id, job.artifacts)
        return job

    def discard(self, job: VideoJob) -> None:
        """Forget a new job of ours for which nothing was done, if it stands here.

        Raises:
            OwnershipLostError: another process has begun it.
        """
        # no more durable than its making was: whoever discards it may have no disk that works
        with self._database.writing(durably=False) as transaction:
            with contextlib.suppress(JobNotFoundError):
                self._owners.own_row(transaction, job.id)
            transaction.change(_DISCARD, id=job.id, created_at=text_of(job.created_at))

    def get(self, job_id: str) -> VideoJob:
        """Return a job as it stands.

        Raises:
            JobNotFoundError: there is none of this id.
            StorageError: what is kept of it cannot be read.
        """
        with self._database.reading() as transaction:
            return with_hold_said(self._job(transaction, self._owners.row(transaction, job_id)))

    def was_removed(self, job_id: str) -> bool:
        """Return whether there once was a job of this id."""
        query = "SELECT 1 FROM jobs WHERE id = :id AND removed_at IS NOT NULL"
        with self._database.reading() as transaction:
            return transaction.row(query, id=job_id) is not None

    def terms(self, job_id: str) -> JobOptions:
        """Return what a job was asked with besides its request."""
        with self._database.reading() as transaction:
            return terms_of(self._owners.row(transaction, job_id))

    def check_may_run(self, job_id: str, now: datetime) -> None:
        """Check that a job that has ended may be under way once more.

        Raises:
            RateLimitError: the caller of a server has as many as they may.
        """
        with self._database.reading() as transaction:
            row = self._owners.row(transaction, job_id)
            if JobStatus(row["status"]).is_terminal:
                check_one_more(transaction, terms_of(row), now)

    def note_inputs(self, job_id: str, digests: Mapping[str, str]) -> None:
        """Keep what was read of files when they were sent, or began to be used."""
        with self._database.writing() as transaction:
            known = terms_of(self._owners.row(transaction, job_id)).inputs
            change_job(transaction, job_id, inputs={**known, **digests})

    def of_key(self, idempotency_key: str, request: VideoRequest | None = None) -> VideoJob | None:
        """Return the job that this key belongs to, None if it is new.

        Raises:
            IdempotencyConflictError: it belongs to another request than the one given.
        """
        with self._database.reading() as transaction:
            return self._of_key(transaction, idempotency_key, request)

    def has_key(self, idempotency_key: str) -> bool:
        """Return whether a job has this key, and it is not free again."""
        with self._database.reading() as transaction:
            return _row_of_key(transaction, idempotency_key) is not None

    def find_repeated(self, fingerprint: str, since: datetime) -> str | None:
        """Return the newest job of a call, unless it is older; a repetition of the call means it.

        One that failed before anybody can have accepted anything is not meant.
        """
        query = f"""
            SELECT id FROM jobs WHERE fingerprint = :fingerprint AND created_at >= :since
            AND NOT ({_IN_VAIN}) ORDER BY created_at DESC, id DESC LIMIT 1"""
        with self._database.reading() as transaction:
            row = transaction.row(query, fingerprint=fingerprint, since=text_of(since))
        return None if row is None else row["id"]

    def list(self, chosen: JobFilter | None = None) -> list[JobSummary]:
        """Return the jobs that pass a filter, newest first, each with its segments in it.

        Raises:
            JobNotFoundError: there is no job that the page goes on behind.
        """
        with self._database.reading() as transaction:
            return read_page(transaction, JobFilter() if chosen is None else chosen)

    def count(self) -> dict[tuple[JobStatus, str], int]:
        """Return how many jobs of each state and backend there are, without segments."""
        query = f"""
            SELECT status, backend, count(*) AS jobs FROM jobs WHERE {LISTED}
            GROUP BY status, backend"""
        with self._database.reading() as transaction:
            return dict(map(_count_of, transaction.rows(query)))

    def find(self, name: str) -> str:
        """Return the id of the job that a name means; see `find_id`."""
        with self._database.reading() as transaction:
            return find_id(transaction, name)

    def unsettled(self) -> tuple[VideoJob, ...]:
        """Return the jobs under way or of unknown outcome, segments too, oldest first.

        One that cannot be read is logged and left out.
        """
        query = f"{SELECT_JOBS} AND {UNSETTLED} ORDER BY created_at, id"
        found = []
        with self._database.reading() as transaction:
            for row in transaction.rows(query):
                try:
                    found.append(with_hold_said(self._job(transaction, row)))
                except DamagedRowError as error:
                    _LOGGER.warning("%s cannot be read from %s", error, self._database.name)
        return tuple(found)

    def segments_of(self, job_id: str) -> tuple[str, ...]:
        """Return the ids of the segments of a job, those that failed too."""
        query = """
            SELECT id FROM jobs WHERE removed_at IS NULL
            AND part_of IN (SELECT key FROM submissions WHERE job_id = :job) ORDER BY id"""
        with self._database.reading() as transaction:
            return tuple(row["id"] for row in transaction.rows(query, job=job_id))

    def whole_of(self, name: str) -> str | None:
        """Return the job that a job or the key of a submission belongs to; None: to none.

        That is the job itself, or of a segment the job that it is a part of.
        """
        with self._database.reading() as transaction:
            return find_whole(transaction, name)

    def artifacts_of(self, job_id: str) -> tuple[Artifact, ...]:
        """Return the files of a job."""
        with self._database.reading() as transaction:
            return tuple(map(artifact_of, _artifact_rows(transaction, job_id)))

    def remove(self, job_id: str) -> None:
        """Forget all of a job of ours but what it cost, and that its id is taken.

        Nobody can find out any more what it cost if that is unknown: then its quote counts.

        Raises:
            JobNotFoundError: there is none of this id.
            OwnershipLostError: another process owns the job.
        """
        with self._database.writing() as transaction:
            self._owners.own_row(transaction, job_id)
            for table in ("events", "artifacts", "commands"):
                transaction.change(f"DELETE FROM {table} WHERE job_id = :id", id=job_id)
            now = datetime.now(UTC)
            settle(transaction, job_id, now)
            transaction.change(_FORGET, id=job_id, now=text_of(now))

    def update(self, job_id: str, change: Callable[[VideoJob], VideoJob]) -> VideoJob:
        """Change fields of a job of ours in one step that no other process can get into."""
        with self._database.writing() as transaction:
            before = self._job(transaction, self._owners.own_row(transaction, job_id))
            after = change(before)
            change_job(transaction, job_id, **changeable_of(after))
        return after

    def replace_plan(self, job_id: str, number: int, plan: Plan) -> None:
        """Keep what policies made of a plan of a job of ours, before it is submitted."""
        with self._database.writing() as transaction:
            row = self._owners.own_row(transaction, job_id)
            plans = list(terms_of(row).plans)
            plans[number] = plan
            texts = tuple(each.model_dump_json() for each in plans)
            change_job(transaction, job_id, plans=texts)

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
        return self.folders / job_id

    @property
    def folders(self) -> Path:
        """The folder of the folders of all jobs."""
        return self._database.folder / "jobs"

    def record_publishing(self, job_id: str, artifact: Artifact) -> None:
        """Keep that this file, by its digest, is about to be put in its place."""
        with self._database.writing() as transaction:
            self._owners.own_row(transaction, job_id)
            replace_artifacts(transaction, job_id, (artifact,), PUBLISHING)

    def find_publishing(self, job_id: str) -> Artifact | None:
        """Return the file that was about to be put in its place when its process ended."""
        query = "SELECT job_id, artifact FROM artifacts WHERE job_id = :job AND number = :number"
        with self._database.reading() as transaction:
            row = transaction.row(query, job=job_id, number=PUBLISHING)
            return None if row is None else artifact_of(row)

    def _job(self, transaction: Transaction, row: Row) -> VideoJob:
        """Return a job as it is kept; one that is shown says as well what is held for it."""
        files = _artifact_rows(transaction, row["id"])
        return job_of(row, files, cost_of(transaction, row["id"]))

    def _of_key(
        self, transaction: Transaction, key: str | None, request: VideoRequest | None
    ) -> VideoJob | None:
        row = None if key is None else _row_of_key(transaction, key)
        if row is None:
            return None
        known = with_hold_said(self._job(transaction, row))
        if request is not None and known.request != request:
            raise IdempotencyConflictError(
                f"idempotency key {key!r} belongs to job {known.id}, which has another request",
                hint="use a new key for a new request",
            )
        return known


@reads_row
def _count_of(row: Row) -> tuple[tuple[JobStatus, str], int]:
    return (JobStatus(row["status"]), row["backend"]), row["jobs"]


def _artifact_rows(transaction: Transaction, job_id: str) -> Sequence[Row]:
    query = """
        SELECT job_id, artifact FROM artifacts WHERE job_id = :job AND number > :publishing
        ORDER BY number"""
    return transaction.rows(query, job=job_id, publishing=PUBLISHING)


def _row_of_key(transaction: Transaction, key: str) -> Row | None:
    query = f"{SELECT_JOBS} AND idempotency_key = :key AND NOT ({_IN_VAIN})"
    return transaction.row(query, key=key)


def _check_id(job_id: str) -> None:
    if not is_folder_name(job_id):
        raise JobNotFoundError(
            f"unknown job {shorten(job_id)!r}", hint="an id is short, and has no / or \\"
        )
