"""Freeing disk: choose what goes of the jobs that have ended, oldest first, and remove it."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from media_agent.errors import JobError, JobNotFoundError
from media_agent.jobs.housekeeping.disk import DiskKind, JobFiles, Names, find_files, measure
from media_agent.ledger.ledger import Ledger
from media_agent.storage.destination import is_there
from media_agent_schemas.jobs import JobStatus, JobSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """What to remove, of which jobs."""

    kinds: frozenset[DiskKind] = frozenset({DiskKind.STATES, DiskKind.WORK})
    statuses: tuple[JobStatus, ...] = (JobStatus.COMPLETED,)
    ended_before: datetime | None = None
    max_bytes: int | None = None
    """Remove no more than is needed so that all files of these kinds take no more than this."""


@dataclass(frozen=True, slots=True)
class PruneItem:
    """What goes of one job."""

    job: JobSummary
    files: JobFiles
    size_bytes: int


def plan_prune(store: Ledger, work_folder: Path, options: PruneOptions) -> tuple[PruneItem, ...]:
    """Return what would go, the job first that ended first; nothing is removed."""
    total, items, names = 0, list[PruneItem](), Names()
    for job in store.jobs.list():
        is_chosen = _is_chosen(job, options)
        if not is_chosen and options.max_bytes is None:
            continue  # only a limit for all files needs to know how large all of them are
        files = find_files(store, work_folder, job.id)
        paths = files.paths(options.kinds)
        if options.max_bytes is not None:
            total += measure(paths, names)
        size = measure(paths)
        is_worth = size > 0 or (options.max_bytes is not None and paths)  # shared with a later one
        if is_worth and is_chosen and not store.owners.is_claimed(job.id):
            items.append(PruneItem(job, files, size))
    items.sort(key=lambda item: (item.job.updated_at, item.job.id))
    if options.max_bytes is not None:
        items = list(_take_until(items, options.kinds, total - options.max_bytes))
    return tuple(items)


def prune(
    store: Ledger, items: Iterable[PruneItem], kinds: Iterable[DiskKind]
) -> tuple[PruneItem, ...]:
    """Remove what was planned, and return what did go: not of a job that is worked on by now.

    Their sizes are what was freed, which is less where a file stayed.
    """
    kinds, gone = frozenset(kinds), []
    for item in items:
        try:
            with store.owners.claim(item.job.id):
                freed = remove_files(item.files, kinds)
        except (JobError, JobNotFoundError):
            continue
        gone.append(replace(item, size_bytes=freed))
    return tuple(gone)


def remove_files(files: JobFiles, kinds: Iterable[DiskKind]) -> int:
    """Remove files of a job, and return how many bytes that freed.

    A video goes only if it is, byte for byte, the one of the job.
    """
    kinds = frozenset(kinds)
    before = measure(files.paths(kinds))
    for path in files.paths(kinds - {DiskKind.VIDEOS}):
        _remove(path)
    if DiskKind.VIDEOS in kinds:
        for video in files.videos:
            if video.path is not None and is_there(video):
                _remove(Path(video.path))
    for folder in {path.parent for path in (*files.states, *files.work)}:
        _remove_if_empty(folder)
    return before - measure(files.paths(kinds))


def _is_chosen(job: JobSummary, options: PruneOptions) -> bool:
    if job.status not in options.statuses or not job.status.is_terminal:
        return False
    return options.ended_before is None or job.updated_at < options.ended_before


def _take_until(
    items: Iterable[PruneItem], kinds: Iterable[DiskKind], excess: int
) -> Iterator[PruneItem]:
    """Yield items until they free so much together; what they share goes with the last of them."""
    names = Names()
    for item in items:
        if excess <= 0:
            return
        yield item
        excess -= measure(item.files.paths(kinds), names)


def _remove(path: Path) -> None:
    """Remove a file or folder; what cannot be removed stays, and shows in the next count."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # not empty, or gone
        return
