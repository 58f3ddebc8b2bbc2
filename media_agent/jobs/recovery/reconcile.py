"""Work whose reply was lost: what its backend says of it now."""

from dataclasses import dataclass

from media_agent.errors import BackendResponseError, in_full
from media_agent.jobs.context import JobContext
from media_agent.jobs.recovery.lost_replies import LostReplies
from media_agent.ledger.state import Submission, SubmissionState
from media_agent_schemas.jobs import JobStatus, OperationRef, VideoJob


@dataclass(frozen=True, slots=True)
class Finding:
    """What a backend says of work whose reply was lost."""

    job: VideoJob
    ref: OperationRef | None
    said: str


async def reconcile(job_id: str, context: JobContext) -> Finding:
    """Ask a backend whether it knows of lost work; nothing is started.

    Raises:
        JobNotFoundError: there is no such job.
        JobError: a living process works on it.
        BackendError: the backend could not be asked.
    """
    store = context.store
    job = store.jobs.get(job_id)
    last = store.submissions.last(job_id)
    is_over = job.status.is_terminal and job.status is not JobStatus.OUTCOME_UNKNOWN
    if is_over or last is None or last.state is SubmissionState.REFUSED:
        return Finding(job, None, "nothing about it is unknown")
    with store.owners.claim(job_id):
        try:
            ref = await LostReplies(job_id, store.jobs.terms(job_id).plans, context).find()
        except BackendResponseError as error:  # it was asked, and nobody can be sure
            return Finding(store.jobs.get(job_id), None, in_full(error))
    lookup = (await context.open_backend(job.plan)).capabilities(job.plan.model).lookup
    return Finding(store.jobs.get(job_id), ref, _said(job, last, ref, lookup))


def _said(job: VideoJob, last: Submission, ref: OperationRef | None, lookup: str) -> str:
    """Say in one line what is known of a submission, and what to do."""
    who = f"{last.backend}, asked at {last.created_at:%Y-%m-%d %H:%M:%S} UTC,"
    if ref is not None:
        return f"{who} accepted it as {ref.operation_id}: media-agent jobs resume {job.id}"
    if lookup == "none":
        return f"{who} cannot be searched: check its own page of jobs or bills"
    how = f"under the key {last.key}" if lookup == "key" else "in its list"
    return (
        f"{who} has no such work {how}, which proves nothing: check its own page of jobs or "
        "bills before you submit it again"
    )
