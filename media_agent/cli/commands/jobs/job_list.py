"""The command that lists jobs, a page at a time."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag, JobStatuses, check_limit, read_since
from media_agent.cli.screen import write_json, write_stderr, write_table
from media_agent.cli.store import find_job, open_ledger
from media_agent.shorten import shorten

if TYPE_CHECKING:
    from media_agent.ledger.ledger import Ledger
    from media_agent.ledger.pages import JobFilter
    from media_agent_schemas.jobs import JobSummary, VideoJob

_HEADS = ("DATE", "STATUS", "MODEL", "LENGTH", "COST", "LABEL", "ID", "PROMPT")


def list_jobs(
    *,
    status: JobStatuses = (),
    since: str | None = None,
    backend: str | None = None,
    label: str | None = None,
    before: str | None = None,
    limit: Annotated[int, Parameter(metavar="NUMBER")] = 20,
    json: Flag = False,
) -> int:
    """List the jobs, newest first; the segments of a video are in its line.

    Args:
        status: Only jobs in this state; may be repeated.
        since: Only jobs since a span such as 7d, 12h or 2w ago, or since a date such as 2026-06-01.
        backend: Only jobs of this NAME or NAME/MODEL.
        label: Only jobs with this label.
        before: Continue the list after this job, the last one of the page before.
        limit: Number of jobs to list.
        json: Print JSON, times in UTC: {"data": [job, ...], "next": ID for --before or null}.
    """
    store = open_ledger()
    jobs = store.jobs.list(_build_filter(status, since, backend, label, before, limit))
    page = jobs[:limit]
    rest = page[-1].id if len(jobs) > limit else None
    if json:
        write_json({"data": [job.model_dump(mode="json") for job in page], "next": rest})
        return 0
    write_table(_HEADS, [_format_job(job, store) for job in page])
    if rest is not None:
        write_stderr(f"there are more: --before {rest} continues, --limit lists more at once")
    return 0


def format_status(job: "JobSummary | VideoJob", store: "Ledger") -> str:
    """Return the state of a job, and what to do if nobody works on it."""
    if job.status.is_terminal or store.owners.is_claimed(job.id):
        return job.status
    from media_agent.config.settings import load_settings

    if load_settings().jobs.runner == "inline":
        return f"{job.status} (its process is gone; use jobs resume)"
    return f"{job.status} (waits for a worker)"


def _build_filter(
    status: JobStatuses,
    since: str | None,
    backend: str | None,
    label: str | None,
    before: str | None,
    limit: int,
) -> "JobFilter":
    from datetime import UTC, datetime

    from media_agent.ledger.pages import JobFilter
    from media_agent_schemas.jobs import JobStatus

    check_limit(limit)
    return JobFilter(
        statuses=tuple(map(JobStatus, status)),
        since=None if since is None else read_since("since", since, datetime.now(UTC)),
        backend=backend,
        label=label,
        before=None if before is None else _find_last(before),
        limit=limit + 1,  # one more shows whether there are more
    )


def _find_last(name: str) -> str:
    """Return the job that a list goes on behind, also if it was removed since."""
    from media_agent.errors import JobNotFoundError

    try:
        return find_job(name)
    except JobNotFoundError:
        return name  # whole, or the list refuses it


def _format_job(job: "JobSummary", store: "Ledger") -> tuple[str, ...]:
    segments = f" ({job.segments} segments)" if job.segments else ""
    return (
        f"{job.created_at.astimezone():%Y-%m-%d %H:%M}",
        format_status(job, store),
        f"{job.backend}/{job.model}{segments}",
        "-" if job.seconds is None else f"{job.seconds:.1f} s",
        _format_cost(job),
        job.label or "-",
        job.id,
        shorten(job.title, 40),
    )


def _format_cost(job: "JobSummary") -> str:
    from media_agent_schemas.base import format_usd

    if job.cost_usd is None:
        return "unknown"
    if job.cost_source in (None, "free"):
        is_free = not job.quote_usd  # else it was settled with nothing
        return "-" if job.cost_source is None else "free" if is_free else "0.00 USD"
    return ("" if job.cost_source == "billed" else "~") + f"{format_usd(job.cost_usd)} USD"
