"""Whether work may have been accepted, and whether it was paid: what decides if one buys again."""

from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.jobs import JobStatus, VideoJob

_MAYBE = frozenset({"internal"})
_ACCEPTED = frozenset(
    {"submit_uncertain", "generation_failed", "video_not_fetched", "backend_response"}
)
"""Codes of errors after which a provider has, or may have, the work."""


def may_be_accepted(code: str) -> bool | None:
    """Return whether a provider may have accepted work, by the code of an error; None: unknown."""
    return None if code in _MAYBE else code in _ACCEPTED


def choose_next_step(error: ErrorInfo, *, accepted: bool | None) -> str:
    """Return what to do after an error of a call."""
    if accepted is not False:
        return "look among the videos there are (GET /v1/videos) before you create it again"
    if error.retryable:
        return "send the same call again later"
    return error.hint or "change the call: the same one fails again"


def was_accepted(job: VideoJob) -> bool | None:
    """Return whether a provider has, or may have, accepted the work of a job; None: unknown."""
    if job.ref is not None or job.status in (JobStatus.COMPLETED, JobStatus.OUTCOME_UNKNOWN):
        return True
    if job.error is not None:
        return may_be_accepted(job.error.code)
    return False if job.status is JobStatus.QUEUED else None


def was_billed(job: VideoJob) -> bool | None:
    """Return whether a job has cost anything so far; None: unknown."""
    return None if job.cost_usd is None else job.cost_usd > 0
