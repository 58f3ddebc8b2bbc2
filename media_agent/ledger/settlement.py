"""What is held in the budgets, and when a hold is settled.

A submission is held from its intent on, with the most that it may cost. When its outcome is known
it is settled: with what was billed, else with its quote. One of unknown outcome stays held.
"""

from datetime import datetime

from media_agent.ledger.rows import text_of
from media_agent.ledger.store.database import Transaction

HELD = """CASE
    WHEN submissions.settled_at IS NOT NULL OR submissions.state = 'refused' THEN 0.0
    WHEN submissions.attempts > 1 THEN coalesce(submissions.billed_usd, 0)
        + coalesce(submissions.held_usd, submissions.quoted_usd, 0)
    ELSE coalesce(submissions.billed_usd, submissions.held_usd, submissions.quoted_usd, 0) END"""
"""What a submission holds; one that is made again costs that beside what it cost before."""

TAKEN = f"""CASE
    WHEN submissions.state = 'refused' THEN 0.0
    WHEN submissions.settled_at IS NOT NULL
        THEN coalesce(submissions.billed_usd, submissions.quoted_usd, 0)
    ELSE {HELD} END
    + CASE WHEN jobs.status IN ('queued', 'in_progress') AND jobs.removed_at IS NULL
        THEN submissions.reserved_usd ELSE 0 END"""
"""What a submission takes of the budgets: what it holds, then what it cost."""

_HELD_OF_JOB = """
SELECT key FROM submissions
WHERE settled_at IS NULL AND state != 'refused' AND (job_id = :job OR job_id IN (
    SELECT id FROM jobs WHERE part_of IN (SELECT key FROM submissions WHERE job_id = :job)))
ORDER BY id"""


def settle(transaction: Transaction, job_id: str, time: datetime) -> None:
    """End the holds of a job, whose outcome is known."""
    settled = "UPDATE submissions SET settled_at = :time WHERE job_id = :job AND settled_at IS NULL"
    transaction.change(settled, job=job_id, time=text_of(time))


def settle_by_hand(transaction: Transaction, job_id: str, usd: float, time: datetime) -> bool:
    """End the holds of a job and of its segments with what was found out; False: there are none."""
    keys = [row["key"] for row in transaction.rows(_HELD_OF_JOB, job=job_id)]
    for key in keys:
        transaction.update("submissions", {"key": key}, {"settled_at": text_of(time)})
    if keys:  # the newest is the one that nobody knows of: it kept all others from being sent
        transaction.update("submissions", {"key": keys[-1]}, {"billed_usd": usd})
    return bool(keys)


def hold_again(transaction: Transaction, job_id: str, *, was_unknown: bool) -> None:
    """Hold what a job may cost that continues after its end.

    One whose outcome `was_unknown` is not over: what was settled by hand holds no more.
    """
    held = "UPDATE submissions SET settled_at = NULL WHERE job_id = :job AND state != 'refused'"
    transaction.change(held, job=job_id)
    if was_unknown:
        unbilled = "UPDATE submissions SET billed_usd = NULL WHERE job_id = :job"
        transaction.change(unbilled, job=job_id)
