"""Whether there is anything left to do of a job that has ended."""

from media_agent.jobs.context import JobContext
from media_agent_schemas.jobs import JobStatus, VideoJob


async def can_resume(job: VideoJob, context: JobContext) -> bool:
    """Return whether a job that has ended can be taken up again.

    Raises:
        BudgetExceededError: what it would cost is not left of a budget.
    """
    match job.status:
        case JobStatus.OUTCOME_UNKNOWN:
            return True
        case JobStatus.FAILED | JobStatus.CANCELLED if job.plan.segments:
            return True
        case JobStatus.FAILED | JobStatus.CANCELLED:
            if context.store.events.resume_token(job.id) is None and job.plan.origin is None:
                return False
            backend = await context.open_backend(job.plan)
            if not backend.capabilities(job.plan.model).resubmits:
                return False
            now, per_day = context.now(), context.max_cost_usd_per_day
            context.store.submissions.check_again(job.id, now, per_day=per_day)
            return True
    return False
