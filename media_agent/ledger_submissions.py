"""What was sent to whom: the intent before it, what became of it after, what it cost."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from media_agent.jobs import JobMovedError, Submission, SubmissionState
from media_agent.ledger_owners import OwnedJobs
from media_agent.ledger_rows import submission_of, terms_of, text_of
from media_agent.ledger_tables import jobs, submissions
from media_agent_schemas.capabilities import Estimate, Plan
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import OperationRef


class OwnedSubmissions(OwnedJobs):
    """The part of the ledger that knows submissions."""

    def submissions(self, job_id: str) -> Sequence[Submission]:
        """Return the submissions of a job, oldest first."""
        chosen = submissions.c.job_id == job_id
        query = select(submissions).where(chosen).order_by(submissions.c.number)
        with self._file.reading() as connection:
            return [submission_of(row) for row in connection.execute(query)]

    def is_of_another(self, submission: Submission, ref: OperationRef) -> bool:
        """Return whether this work belongs to another submission: a list shows all of them."""
        same = submissions.c.key != submission.key, submissions.c.backend == submission.backend
        number = func.json_extract(submissions.c.ref, "$.operation_id")
        query = select(submissions.c.id).where(*same, number == ref.operation_id)
        with self._file.reading() as connection:
            return connection.execute(query).first() is not None

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
                "quote": _quote(plan).model_dump_json(),
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
        settled = update(submissions).where(*_same(submission)).values(values)
        try:
            with self._file.writing() as connection:
                connection.execute(settled)
        except IntegrityError:
            said = f"job {submission.job_id} has other work that was accepted"
            raise JobMovedError(said) from None

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

    def _submission(self, connection: Connection, job_id: str, number: int) -> Submission:
        chosen = submissions.c.job_id == job_id, submissions.c.number == number
        return submission_of(connection.execute(select(submissions).where(*chosen)).one())


def _same(submission: Submission) -> tuple[ColumnElement[bool], ...]:
    job_id, number = submission.job_id, submission.number
    return submissions.c.job_id == job_id, submissions.c.number == number


def _quote(plan: Plan) -> Estimate:
    """Return what a submission is expected to cost; a film in parts is paid part by part."""
    return Estimate(cost_usd=0.0, source="paid by its parts") if plan.parts else plan.estimate
