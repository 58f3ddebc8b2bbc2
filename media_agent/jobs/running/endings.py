"""The ends that leave the rest to a later run, with how to begin it."""

from media_agent.jobs.running.current_work import CurrentWork
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import JobOutcomeUnknown


def as_unknown(
    work: CurrentWork,
    info: ErrorInfo,
    *,
    is_gone: bool = False,
    end: JobOutcomeUnknown | None = None,
) -> JobOutcomeUnknown:
    """Return the end of work that may continue, and which a later run looks for."""
    looks_again = f"media-agent jobs resume {work.job.id} checks again"
    way_out = f"the work may continue; {looks_again}"
    if is_gone:
        way_out = (
            f"look for the video on {work.backend.name}'s own page before generating it again; "
            f"{looks_again}"
        )
    error = with_way_out(info, looks_again if end is not None else way_out)
    end = JobOutcomeUnknown(error=error) if end is None else end
    return end.model_copy(update={"error": error})


def with_way_out(info: ErrorInfo, hint: str) -> ErrorInfo:
    """Return an error with one more hint."""
    return info.model_copy(update={"hint": f"{info.hint}; {hint}" if info.hint else hint})
