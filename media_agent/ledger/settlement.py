"""What is held in the budgets, and when a hold is settled.

A submission is held from its intent on, with the most that it may cost. When its outcome is known
it is settled: with what was billed, else with its quote. One of unknown outcome stays held.
"""

from datetime import datetime

from media_agent.ledger.rows import text_of
from media_agent.ledger.store.database import Transaction
from media_agent_schemas.base import format_usd
from media_agent_schemas.jobs import JobStatus, VideoJob

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


def with_hold_said(job: VideoJob) -> VideoJob:
    """Return a job with a warning of what is held for it now, where its outcome is unknown."""
    if job.status is not JobStatus.OUTCOME_UNKNOWN or job.held_usd == 0:
        return job
    said = (
        f"{format_usd(job.held_usd)} USD stay held in the budgets until the outcome is known: "
        "media-agent jobs resume looks again, jobs settle ends it by hand"
    )
    return job.model_copy(update={"warnings": (*job.warnings, said)})


def settle(transaction: Transaction, job_id: str, time: datetime) -> None:
    """End the holds of a job, whose outcome is known."""
    settled = "UPDATE submissions SET settled_at = :time WHERE job_id = :job AND settled_at IS NULL"
    transaction.change(settled, job=job_id, time=text_of(time))


def hold_again(transaction: Transaction, job_id: str) -> None:
    """Hold what a job may cost that continues after its end.

    What a person or an earlier end said of the same attempt is open again; only what earlier
    attempts cost stays.
    """
    held = """
        UPDATE submissions
        SET settled_at = NULL, billed_usd = CASE WHEN attempts > 1 THEN billed_usd END
        WHERE job_id = :job AND state != 'refused'"""
    transaction.change(held, job=job_id)
