"""What was sent to whom: the intent before it, what became of it after, what it cost."""

from collections.abc import Sequence
from datetime import UTC, datetime

from media_agent.errors import InvalidRequestError, JobError
from media_agent.ledger.outcomes import record_refusal
from media_agent.ledger.owners import Owners
from media_agent.ledger.rows import (
    change_job,
    change_submission,
    insert,
    plan_columns,
    submission_of,
    terms_of,
)
from media_agent.ledger.serving.api_keys import LOCAL
from media_agent.ledger.settlement import settle
from media_agent.ledger.spending import check_again, check_caller_budgets, spent_since
from media_agent.ledger.state import OwnershipLostError, Submission, SubmissionState
from media_agent.ledger.store.database import Database, DuplicateError, Transaction
from media_agent.negotiation.budget import begin_of_day, check_day
from media_agent_schemas.base import format_usd
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import Cost
from media_agent_schemas.jobs import JobStatus, OperationRef
from media_agent_schemas.plan import Plan

_UNSETTLED = """
SELECT key, job_id FROM submissions
WHERE settled_at IS NULL AND state != 'refused' AND (job_id = :job OR job_id IN (
    SELECT id FROM jobs WHERE part_of IN (SELECT key FROM submissions WHERE job_id = :job)))
ORDER BY id"""
_SUBMISSION = """
SELECT job_id, number, key, backend, model, state, ref, error, attempts, created_at
FROM submissions WHERE job_id = :job AND number = :number"""
_MOST_USD = 1e6  # that one job can cost
_TAKE_FROM_RESERVED = """
UPDATE submissions
SET reserved_usd = CASE WHEN reserved_usd > :usd THEN reserved_usd - :usd ELSE 0 END
WHERE key = :key"""


class Submissions:
    """The part of the ledger that knows submissions."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def of(self, job_id: str) -> Sequence[Submission]:
        """Return the submissions of a job, oldest first."""
        query = "SELECT * FROM submissions WHERE job_id = :job ORDER BY number"
        with self._database.reading() as transaction:
            return [submission_of(row) for row in transaction.rows(query, job=job_id)]

    def last(self, job_id: str) -> Submission | None:
        """Return the newest submission of a job, if anything was ever to be sent."""
        return next(reversed(self.of(job_id)), None)

    def job_of(self, key: str) -> str | None:
        """Return the job that a submission was made for, None if there is no such key."""
        query = "SELECT job_id FROM submissions WHERE key = :key"
        with self._database.reading() as transaction:
            row = transaction.row(query, key=key)
        return None if row is None else str(row["job_id"])

    def list_keys(self) -> Sequence[tuple[str, str]]:
        """Return key and job of every submission, and every job by its id; no segments."""
        query = """
            SELECT id AS key, id AS job_id FROM jobs WHERE part_of IS NULL
            UNION SELECT key, job_id FROM submissions JOIN jobs ON jobs.id = job_id
            WHERE part_of IS NULL ORDER BY 2, 1"""
        with self._database.reading() as transaction:
            return [(row["key"], row["job_id"]) for row in transaction.rows(query)]

    def is_of_another(self, submission: Submission, ref: OperationRef) -> bool:
        """Return whether this work belongs to another submission: a list shows all of them."""
        query = """
            SELECT 1 FROM submissions
            WHERE key != :key AND backend = :backend AND operation_id = :operation"""
        names = {"key": submission.key, "backend": submission.backend}
        with self._database.reading() as transaction:
            return transaction.row(query, operation=ref.operation_id, **names) is not None

    def record_intent(
        self,
        job_id: str,
        number: int,
        time: datetime,
        *,
        per_day: float | None = None,
        durably: bool = True,
    ) -> Submission:
        """Keep that the plan of this number is about to be submitted; once per plan.

        Unless `durably`, nothing may be sent before the ledger is flushed.

        What it may cost is held from now on, until it is settled. With `per_day` only if all that
        was intended on this day (UTC), by any process, stays within so many USD; and of a server's
        caller only if their keys allow it. A video in parts holds the price of all its parts.

        Raises:
            OwnershipLostError: another process owns the job, or intended the same.
            BudgetExceededError: it would cost more than is left of the day, or of a budget.
        """
        with self._database.writing(durably=durably) as transaction:
            terms = terms_of(self._owners.own_row(transaction, job_id))
            plan = terms.plans[number]
            price = plan.estimate.bound_usd or 0.0
            try:
                insert(
                    transaction,
                    "submissions",
                    job_id=job_id,
                    number=number,
                    key=_key_of(job_id, number),
                    backend=plan.backend,
                    model=plan.model,
                    # the parts of a video are paid one by one
                    quoted_usd=0.0 if plan.segments else plan.estimate.cost_usd,
                    held_usd=0.0 if plan.segments else plan.estimate.bound_usd,
                    has_old_price=plan.estimate.has_old_price(time.astimezone(UTC).date()),
                    resale_factor=terms.resale_factor,
                    reserved_usd=price if plan.segments else 0.0,
                    state=SubmissionState.INTENDED,
                    attempts=1,
                    created_at=time,
                )
            except DuplicateError:
                raise OwnershipLostError(
                    f"plan {number} of job {job_id} was submitted before"
                ) from None
            if terms.part_of is not None:
                transaction.change(_TAKE_FROM_RESERVED, usd=price, key=terms.part_of)
            if per_day is not None:
                spent = spent_since(transaction, begin_of_day(time))
                check_day(plan, spent=spent - price, per_day=per_day)
            if terms.caller is not None:
                check_caller_budgets(transaction, terms.caller, plan, time, already=price)
            change_job(transaction, job_id, plan_number=number, **plan_columns(plan))
            return self._submission(transaction, job_id, number)

    def withdraw(self, job_id: str, number: int) -> None:
        """Forget an intent of a job of ours of which nothing was ever sent, if it stands here.

        Raises:
            OwnershipLostError: another process took the job over, and looks for the work.
        """
        intended = "key = :key AND state = 'intended' AND attempts = 1"
        key = _key_of(job_id, number)
        # no more durable than the intent was: what keeps it from the disk may last
        with self._database.writing(durably=False) as transaction:
            terms = terms_of(self._owners.own_row(transaction, job_id))
            if transaction.row(f"SELECT 1 FROM submissions WHERE {intended}", key=key) is None:
                return
            transaction.change(f"DELETE FROM submissions WHERE {intended}", key=key)
            if terms.part_of is not None:
                price = terms.plans[number].estimate.bound_usd or 0.0
                transaction.change(_TAKE_FROM_RESERVED, usd=-price, key=terms.part_of)

    def record_retry(
        self, submission: Submission, time: datetime, *, per_day: float | None = None
    ) -> Submission:
        """Keep that a submission is about to be repeated, for which no bill is sent.

        Raises:
            OwnershipLostError: another process owns the job.
            BudgetExceededError: as `check_again`.
        """
        again = "UPDATE submissions SET attempts = attempts + 1 WHERE key = :key"
        with self._database.writing() as transaction:
            row = self._owners.own_row(transaction, submission.job_id)
            check_again(transaction, row, time, per_day)
            transaction.change(again, key=submission.key)
            return self._submission(transaction, submission.job_id, submission.number)

    def check_again(self, job_id: str, time: datetime, *, per_day: float | None = None) -> None:
        """Check that what a job may cost that has ended, and is made again, is within the budgets.

        Raises:
            BudgetExceededError: it would cost more than is left.
        """
        with self._database.reading() as transaction:
            check_again(transaction, self._owners.row(transaction, job_id), time, per_day)

    def mark_accepted(self, submission: Submission, ref: OperationRef) -> None:
        """Keep where the work is, whoever owns the job by now: a reference is never lost."""
        state = SubmissionState.ACCEPTED
        self._change(submission, state=state, ref=ref, operation_id=ref.operation_id)

    def mark_refused(self, submission: Submission, error: ErrorInfo, time: datetime) -> None:
        """Keep that nothing was accepted, and why."""
        with self._database.writing() as transaction:
            change_submission(
                transaction, submission.key, state=SubmissionState.REFUSED, error=error
            )
            record_refusal(transaction, submission.key, error, time)

    def mark_unknown(self, submission: Submission) -> None:
        """Keep that nobody knows whether it was accepted."""
        self._change(submission, state=SubmissionState.UNKNOWN)

    def bill(self, submission: Submission, cost: Cost) -> None:
        """Keep what a submission cost, as far as that is said; what ran before counts too."""
        if cost.usd is None:
            return
        query = "SELECT attempts, billed_usd FROM submissions WHERE key = :key"
        with self._database.writing() as transaction:
            (row,) = transaction.rows(query, key=submission.key)
            before = row["billed_usd"] if row["attempts"] > 1 else None
            values = {"billed_usd": cost.usd + (before or 0.0), "refunded_usd": cost.refunded_usd}
            change_submission(transaction, submission.key, **values)

    def settle(self, job_id: str, usd: float, time: datetime) -> None:
        """Keep what a person found out that a job of unknown outcome cost; its hold ends.

        Of a video in segments it is what the segment of unknown outcome cost, whose hold it is.

        Raises:
            InvalidRequestError: nothing can cost that.
            JobError: the job is under way, or nothing of it is held.
        """
        if isinstance(usd, bool):
            raise InvalidRequestError(f"a job cannot have cost {usd}; it is a number of USD")
        if not 0 <= usd <= _MOST_USD:
            raise InvalidRequestError(
                f"a job cannot have cost {usd:g} USD; it is 0 to {format_usd(_MOST_USD)} USD"
            )
        with self._database.writing() as transaction:
            row = self._owners.row(transaction, job_id)
            open_ones = transaction.rows(_UNSETTLED, job=job_id)
            if row["status"] != JobStatus.OUTCOME_UNKNOWN or not open_ones:
                raise JobError(
                    f"job {job_id} is {row['status']}: nothing of it waits to be settled",
                    hint="only the cost of a job of unknown outcome is settled by hand",
                )
            change_submission(transaction, open_ones[-1]["key"], billed_usd=usd)
            for each in open_ones:
                settle(transaction, each["job_id"], time)

    def spent(self, since: datetime) -> float:
        """Return the USD that are spent or held of all that may have been accepted since.

        What nobody has billed counts as quoted; of a video in parts that is being made the parts
        to come count too.
        """
        with self._database.reading() as transaction:
            return spent_since(transaction, since)

    def check_allowed(self, caller: str, plan: Plan, now: datetime) -> None:
        """Check a plan against what is left of the budgets of a server's caller.

        Raises:
            BudgetExceededError: it would cost more, or its price is unknown.
        """
        if caller == LOCAL:
            return
        with self._database.reading() as transaction:
            check_caller_budgets(transaction, caller, plan, now)

    def _change(self, submission: Submission, **values: object) -> None:
        try:
            with self._database.writing() as transaction:
                change_submission(transaction, submission.key, **values)
        except DuplicateError:
            said = f"job {submission.job_id} has other work that was accepted"
            raise OwnershipLostError(said) from None

    def _submission(self, transaction: Transaction, job_id: str, number: int) -> Submission:
        (row,) = transaction.rows(_SUBMISSION, job=job_id, number=number)
        return submission_of(row)


def _key_of(job_id: str, number: int) -> str:
    return job_id if number == 0 else f"{job_id}-{number + 1}"
