"""What was sent to whom: the intent before it, what became of it after, what it cost."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from media_agent.ledger.owners import OwnedJobs
from media_agent.ledger.rows import (
    change_job,
    change_submission,
    insert,
    submission_of,
    terms_of,
    text_of,
)
from media_agent.ledger.state import JobMovedError, Submission, SubmissionState
from media_agent.negotiation.budget import check_day
from media_agent_schemas.capabilities import Estimate, Plan
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import OperationRef

_SPENT = """
SELECT total(coalesce(json_extract(cost, '$.usd'), json_extract(quote, '$.cost_usd'), 0)
    + CASE WHEN jobs.status IN ('queued', 'in_progress') THEN reserved ELSE 0 END)
FROM submissions JOIN jobs ON jobs.id = job_id
WHERE state != 'refused' AND submissions.created_at >= ?"""
_TAKE_FROM_RESERVED = "UPDATE submissions SET reserved = max(0, reserved - ?) WHERE key = ?"


class OwnedSubmissions(OwnedJobs):
    """The part of the ledger that knows submissions."""

    def submissions(self, job_id: str) -> Sequence[Submission]:
        """Return the submissions of a job, oldest first."""
        query = "SELECT * FROM submissions WHERE job_id = ? ORDER BY number"
        with self._file.reading() as connection:
            return [submission_of(row) for row in connection.execute(query, (job_id,))]

    def last_submission(self, job_id: str) -> Submission | None:
        """Return the newest submission of a job, if anything was ever to be sent."""
        return next(reversed(self.submissions(job_id)), None)

    def job_of(self, key: str) -> str | None:
        """Return the job that a submission was made for, None if there is no such key."""
        query = "SELECT job_id FROM submissions WHERE key = ?"
        with self._file.reading() as connection:
            row = connection.execute(query, (key,)).fetchone()
        return None if row is None else str(row["job_id"])

    def is_of_another(self, submission: Submission, ref: OperationRef) -> bool:
        """Return whether this work belongs to another submission: a list shows all of them."""
        query = """
            SELECT 1 FROM submissions WHERE key != ? AND backend = ?
            AND json_extract(ref, '$.operation_id') = ?"""
        values = (submission.key, submission.backend, ref.operation_id)
        with self._file.reading() as connection:
            return connection.execute(query, values).fetchone() is not None

    def intend(
        self, job_id: str, number: int, time: datetime, *, per_day: float | None = None
    ) -> Submission:
        """Keep that the plan of this number is about to be submitted; once per plan.

        With `per_day` only if all that was intended in the last 24 hours, by any process, stays
        within so many USD. A film in parts takes the price of all its parts at once.

        Raises:
            JobMovedError: another process owns the job, or intended the same.
            BudgetExceededError: it would cost more than is left of the day.
        """
        with self._file.writing() as connection:
            terms = terms_of(self._own_row(connection, job_id))
            plan = terms.plans[number]
            try:
                insert(
                    connection,
                    "submissions",
                    job_id=job_id,
                    number=number,
                    key=job_id if number == 0 else f"{job_id}-{number + 1}",
                    backend=plan.backend,
                    model=plan.model,
                    quote=_quote(plan),
                    reserved=_reserved(plan),
                    state=SubmissionState.INTENDED,
                    attempts=1,
                    created_at=time,
                )
            except sqlite3.IntegrityError:
                raise JobMovedError(f"plan {number} of job {job_id} was submitted before") from None
            if terms.part_of is not None:
                taken = (plan.estimate.cost_usd or 0.0, terms.part_of)
                connection.execute(_TAKE_FROM_RESERVED, taken)
            if per_day is not None:
                spent = _spent(connection, time - timedelta(days=1))
                others = spent - (plan.estimate.cost_usd or 0.0)
                check_day(plan, spent=others, per_day=per_day)
            change_job(connection, job_id, plan_number=number)
            return self._submission(connection, job_id, number)

    def intend_again(self, submission: Submission) -> Submission:
        """Keep that a submission is about to be repeated, where that costs nothing."""
        again = "UPDATE submissions SET attempts = attempts + 1 WHERE key = ?"
        with self._file.writing() as connection:
            self._own_row(connection, submission.job_id)
            connection.execute(again, (submission.key,))
            return self._submission(connection, submission.job_id, submission.number)

    def accept(self, submission: Submission, ref: OperationRef) -> None:
        """Keep where the work is, whoever owns the job by now: a reference is never lost."""
        self._change(submission, state=SubmissionState.ACCEPTED, ref=ref)

    def refuse(self, submission: Submission, error: ErrorInfo) -> None:
        """Keep that nothing was accepted, and why."""
        self._change(submission, state=SubmissionState.REFUSED, error=error)

    def lose(self, submission: Submission) -> None:
        """Keep that nobody knows whether it was accepted."""
        self._change(submission, state=SubmissionState.UNKNOWN)

    def bill(self, submission: Submission, cost: Cost) -> None:
        """Keep what a submission cost."""
        self._change(submission, cost=cost)

    def spent(self, since: datetime) -> float:
        """Return the USD of all that was or may have been accepted since; unbilled: as quoted.

        Of a film in parts that is being made the parts to come count too.
        """
        with self._file.reading() as connection:
            return _spent(connection, since)

    def _change(self, submission: Submission, **values: object) -> None:
        try:
            with self._file.writing() as connection:
                change_submission(connection, submission.key, **values)
        except sqlite3.IntegrityError:
            said = f"job {submission.job_id} has other work that was accepted"
            raise JobMovedError(said) from None

    def _submission(self, connection: sqlite3.Connection, job_id: str, number: int) -> Submission:
        query = "SELECT * FROM submissions WHERE job_id = ? AND number = ?"
        return submission_of(connection.execute(query, (job_id, number)).fetchone())


def _quote(plan: Plan) -> Estimate:
    """Return what a submission is expected to cost; a film in parts is paid part by part."""
    return Estimate(cost_usd=0.0, source="paid by its parts") if plan.parts else plan.estimate


def _reserved(plan: Plan) -> float:
    """Return what the parts of a film are expected to cost together."""
    return (plan.estimate.cost_usd or 0.0) if plan.parts else 0.0


def _spent(connection: sqlite3.Connection, since: datetime) -> float:
    (total,) = connection.execute(_SPENT, (text_of(since),)).fetchone()
    return float(total)
