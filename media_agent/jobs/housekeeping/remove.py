"""Forgetting a job on request: its files and its rows go, what it cost stays."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from media_agent.errors import JobError
from media_agent.jobs.delivering.checks import REFUSED
from media_agent.jobs.housekeeping.disk import DiskKind, JobFiles, find_files
from media_agent.jobs.housekeeping.prune import remove_files
from media_agent.ledger.ledger import Ledger
from media_agent.provenance.record import read_record
from media_agent_schemas.base import format_usd
from media_agent_schemas.jobs import JobStatus, VideoJob

INPUTS = "inputs"
"""In the folder of a job: what a caller sent for it."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of the files of a job that was removed."""

    job_id: str
    freed_bytes: int
    removed_videos: tuple[str, ...]
    kept_videos: tuple[str, ...]


def remove_job(
    store: Ledger, work_folder: Path, job_id: str, *, force: bool = False, videos: bool = False
) -> Removal:
    """Remove a job with its segments and work files; its videos and record only with `videos`.

    What it cost still counts in sums and budgets, and its id is not given to another job.

    Raises:
        JobNotFoundError: there is none of this id.
        JobError: a process works on it, or on a branch that is about to use it; it is a segment;
            its outcome is unknown and money is held for it; or, without `force`, it has not ended
            or its outcome is unknown.
    """
    job = store.jobs.get(job_id)
    family = (job_id, *store.jobs.segments_of(job_id))
    _check_removable(store, job, family, force=force)
    kinds = frozenset(DiskKind) if videos else frozenset({DiskKind.STATES, DiskKind.WORK})
    with contextlib.ExitStack() as stack:
        for name in family:
            stack.enter_context(store.owners.claim(name))
        files = find_files(store, work_folder, job_id)
        freed = remove_files(files, kinds)
        if videos:
            _remove_record(job)
        for folder in (INPUTS, REFUSED):
            shutil.rmtree(store.jobs.folder(job_id) / folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty, or never there
            store.jobs.folder(job_id).rmdir()
        for name in reversed(family):  # if it ends in between, the job still has what is left
            store.jobs.remove(name)
    return _report(files, freed)


def _check_removable(store: Ledger, job: VideoJob, family: tuple[str, ...], *, force: bool) -> None:
    whole = store.jobs.whole_of(job.id)
    if whole != job.id:
        raise JobError(
            f"job {job.id} is a segment of job {whole}", hint=f"media-agent jobs rm {whole}"
        )
    if any(store.owners.is_claimed(name) for name in family):
        raise JobError(
            f"a process is working on job {job.id}", hint=f"media-agent jobs cancel {job.id} first"
        )
    for other in store.jobs.unsettled():
        if other.plan.origin is not None and other.plan.origin.job_id == job.id:
            raise JobError(
                f"job {other.id}, which branches from job {job.id}, has not ended",
                hint="resume or cancel that one first",
            )
    if job.status is JobStatus.OUTCOME_UNKNOWN and job.held_usd:
        raise JobError(
            f"the outcome of job {job.id} is unknown, and it may have been paid for: "
            f"{format_usd(job.held_usd)} USD are held for it until it is settled",
            hint=f"media-agent jobs reconcile {job.id} asks its backend; media-agent jobs settle "
            f"{job.id} --usd AMOUNT keeps what it cost, then it can be removed with --force",
        )
    if force:
        return
    if job.status is JobStatus.OUTCOME_UNKNOWN:
        raise JobError(
            f"the outcome of job {job.id} is unknown, and it may have been paid for",
            hint=f"media-agent jobs reconcile {job.id} asks its backend; --force removes it anyway",
        )
    if not job.status.is_terminal:
        raise JobError(
            f"job {job.id} is {job.status} and can be resumed",
            hint=f"media-agent jobs cancel {job.id} ends it; --force removes it as it is",
        )


def _remove_record(job: VideoJob) -> None:
    """Remove the record beside the video, unless another job has replaced it."""
    record = read_record(job)
    if record is not None and record.job_id == job.id and job.record_path is not None:
        with contextlib.suppress(OSError):
            Path(job.record_path).unlink()


def _report(files: JobFiles, freed: int) -> Removal:
    paths = [video.path for video in files.videos if video.path is not None]
    kept = tuple(path for path in paths if Path(path).exists())
    return Removal(
        files.job_id,
        freed_bytes=freed,
        removed_videos=tuple(path for path in paths if path not in kept),
        kept_videos=kept,
    )
