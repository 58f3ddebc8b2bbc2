"""The end of jobs of which nothing was ever sent."""

import contextlib

from media_agent.errors import MediaAgentError, to_info
from media_agent.jobs.context import JobContext
from media_agent.ledger.state import OwnershipLostError
from media_agent_schemas.events import JobFailed, TerminalEvent


def fail_unsent(job_id: str, error: MediaAgentError, context: JobContext) -> None:
    """End a job that could not begin: nothing was sent, so nothing will come."""
    with contextlib.suppress(MediaAgentError, OwnershipLostError):
        end_unsent(job_id, JobFailed(error=to_info(error)), context)


def end_unsent(job_id: str, end: TerminalEvent, context: JobContext) -> bool:
    """End a job for which nothing was ever to be sent; return whether it is one.

    Raises:
        JobError: a living process works on it.
    """
    with context.store.owners.claim(job_id):
        if context.store.submissions.of(job_id):
            return False
        context.store.events.append(job_id, end, context.now())
    return True
