"""The commands about disk space: what jobs use, and freeing it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from media_agent.cli.arguments import Flag, Yes, check_limit, read_since, read_size
from media_agent.cli.screen import (
    agree,
    format_size,
    write_json,
    write_stderr,
    write_stdout,
    write_table,
)

if TYPE_CHECKING:
    from media_agent.jobs.housekeeping.prune import PruneItem, PruneOptions

_SHOWN = 20  # jobs


def du(*, limit: Annotated[int, Parameter(metavar="NUMBER")] = _SHOWN, json: Flag = False) -> int:
    """Show how much disk the jobs use: states, other work files, and delivered videos.

    A job's numbers are what removing it would free; what a branch shares counts in the total only.

    Args:
        limit: Number of jobs to show, the largest first.
        json: Print JSON, in bytes: {"data": [job, ...], "total": {...}}.
    """
    from media_agent.cli.store import open_ledger
    from media_agent.config.settings import load_settings
    from media_agent.jobs.housekeeping.usage import read_disk_use

    check_limit(limit)
    use = read_disk_use(open_ledger(), load_settings().work_folder)
    if json:
        rows = [{"job": job_id, **sizes} for job_id, sizes in use.jobs[:limit]]
        write_json({"data": rows, "total": use.total})
        return 0
    kinds = tuple(use.total)
    rows_of = [*use.jobs[:limit], ("total", use.total)]
    write_table(
        ("JOB", *(kind.upper() for kind in kinds)),
        [(name, *(format_size(sizes.get(kind, 0)) for kind in kinds)) for name, sizes in rows_of],
    )
    if len(use.jobs) > limit:
        write_stderr(f"{len(use.jobs) - limit} smaller jobs are only in the total; --limit")
    return 0


def prune(
    *,
    older_than: str | None = None,
    status: tuple[Literal["completed", "failed", "cancelled"], ...] = ("completed",),
    max_size: Annotated[str | None, Parameter(metavar="SIZE")] = None,
    states: Flag = False,
    work: Flag = False,
    videos: Flag = False,
    yes: Yes = False,
    json: Flag = False,
) -> int:
    """Free disk space: remove files of jobs that have ended; the jobs themselves stay listed.

    Shows what goes, and asks. Without --states, --work or --videos: the whole work folders.

    Args:
        older_than: Only of jobs that ended before a span such as 7d or 12h, or before a date.
        status: Of jobs in this state; may be repeated. A failed job cannot be resumed afterwards.
        max_size: Remove no more, oldest first, than is needed to get below this, such as 5GB.
        states: Remove what a video is branched or extended from seamlessly.
        work: Remove whole work folders: chunks, segments and states.
        videos: Remove delivered videos, wherever they are, if nobody has changed them.
        yes: Do not ask.
        json: Print JSON and ask nothing: without --yes nothing is removed.
    """
    from media_agent.cli.store import open_ledger
    from media_agent.config.settings import load_settings
    from media_agent.jobs.housekeeping.prune import plan_prune
    from media_agent.jobs.housekeeping.prune import prune as remove

    options = _build_options(older_than, status, max_size, states, work, videos)
    store = open_ledger()
    items = plan_prune(store, load_settings().work_folder, options)
    if not json:
        _show(items)
    if not items and not json:
        return 0
    removes = yes if json else yes or agree("remove it?", otherwise="nothing was removed")
    gone = remove(store, items, options.kinds) if removes else ()
    freed = sum(item.size_bytes for item in gone)
    if json:
        rows = [
            {"job": item.job.id, "bytes": item.size_bytes} for item in (gone if removes else items)
        ]
        write_json({"data": rows, "removed": removes, "freed_bytes": freed})
    elif removes:
        write_stdout(f"freed {format_size(freed)} of {len(gone)} jobs")
    return 0


def _build_options(
    older_than: str | None,
    status: Sequence[str],
    max_size: str | None,
    states: bool,
    work: bool,
    videos: bool,
) -> "PruneOptions":
    from datetime import UTC, datetime

    from media_agent.jobs.housekeeping.disk import DiskKind
    from media_agent.jobs.housekeeping.prune import PruneOptions
    from media_agent_schemas.jobs import JobStatus

    kinds = set()
    if states or work or not videos:
        kinds.add(DiskKind.STATES)
    if work or not (states or videos):
        kinds.add(DiskKind.WORK)
    if videos:
        kinds.add(DiskKind.VIDEOS)
    now = datetime.now(UTC)
    return PruneOptions(
        kinds=frozenset(kinds),
        statuses=tuple(map(JobStatus, status)),
        ended_before=None if older_than is None else read_since("older-than", older_than, now),
        max_bytes=None if max_size is None else read_size("max-size", max_size),
    )


def _show(items: "Sequence[PruneItem]") -> None:
    """Show what would go."""
    if not items:
        write_stdout("nothing to remove")
        return
    rows = [
        (
            f"{item.job.updated_at.astimezone():%Y-%m-%d %H:%M}",
            item.job.status,
            format_size(item.size_bytes),
            item.job.id,
        )
        for item in items[:_SHOWN]
    ]
    write_table(("ENDED", "STATUS", "SIZE", "JOB"), rows)
    more = f", {len(items) - _SHOWN} of them not shown" if len(items) > _SHOWN else ""
    total = format_size(sum(item.size_bytes for item in items))
    write_stdout(f"{total} of {len(items)} jobs{more}")
