"""What goes by itself: the states of a video some days after it was completed."""

import contextlib
import logging
import time
from datetime import datetime
from pathlib import Path

from media_agent.errors import MediaAgentError
from media_agent.jobs.housekeeping.disk import DiskKind, find_files
from media_agent.jobs.housekeeping.prune import remove_files
from media_agent.ledger.ledger import Ledger
from media_agent_schemas.jobs import JobStatus

_LOGGER = logging.getLogger(__name__)
_LAST = ".states-expired"
"""In the work folder: its time is that of the last look."""
_PAUSE = 3600.0  # seconds between two looks at all folders; states are kept for days


def expire_states(store: Ledger, work_folder: Path, before: datetime) -> None:
    """Remove the states of jobs that were completed before a time; trouble is only logged.

    It looks once an hour, of all processes, and only at folders that have states, so that it costs
    little however many jobs there are.
    """
    try:
        if not _is_due(work_folder):
            return
        names = [path.parent.name for path in work_folder.glob("*/states")]
        for name in names:
            job_id = store.jobs.whole_of(name)
            if job_id is not None:
                _expire(store, work_folder, job_id, before)
    except (MediaAgentError, OSError):
        _LOGGER.debug("old states were not removed", exc_info=True)


def _is_due(work_folder: Path) -> bool:
    """Return whether the last look was long ago, and remember this one."""
    if not work_folder.is_dir():
        return False
    last = work_folder / _LAST
    with contextlib.suppress(FileNotFoundError):
        if abs(time.time() - last.stat().st_mtime) < _PAUSE:  # a clock may be set back
            return False
    last.touch()
    return True


def _expire(store: Ledger, work_folder: Path, job_id: str, before: datetime) -> None:
    job = store.jobs.get(job_id)
    if job.status is not JobStatus.COMPLETED or job.updated_at >= before:
        return
    try:
        with store.owners.claim(job_id):
            remove_files(find_files(store, work_folder, job_id), {DiskKind.STATES})
    except MediaAgentError:
        _LOGGER.debug("the states of job %s were not removed", job_id, exc_info=True)
