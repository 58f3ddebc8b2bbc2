"""How much disk the jobs use."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from media_agent.jobs.housekeeping.disk import DiskKind, find_files, measure
from media_agent.ledger.ledger import Ledger

_OTHER = "other"
"""What lies in the folders of jobs and belongs to none that is known."""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Bytes by kind, of each job that has files, the largest first, and of all together."""

    jobs: tuple[tuple[str, dict[str, int]], ...]
    total: dict[str, int]


def read_disk_use(store: Ledger, work_folder: Path) -> DiskUse:
    """Return how much disk the jobs use.

    A job's numbers are what removing it frees: what a branch shares counts in the total only.
    """
    found = [find_files(store, work_folder, job.id) for job in store.jobs.list()]
    sizes = {
        files.job_id: {str(kind): measure(files.paths({kind})) for kind in DiskKind}
        for files in found
    }
    total = {
        str(kind): measure(chain.from_iterable(files.paths({kind}) for files in found))
        for kind in DiskKind
    }
    folders = (work_folder, store.jobs.folders)
    known = (path for files in found for path in files.paths(DiskKind))
    within = measure(path for path in known if any(map(path.is_relative_to, folders)))
    total[_OTHER] = max(0, measure(folders) - within)
    jobs = sorted(sizes.items(), key=lambda item: -sum(item[1].values()))
    return DiskUse(tuple(item for item in jobs if any(item[1].values())), total)
