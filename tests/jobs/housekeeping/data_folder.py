"""A data folder with jobs and their files, as work leaves them."""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from media_agent.errors import GenerationFailedError, SubmitUncertainError, to_info
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import JobOptions
from media_agent_schemas import (
    Artifact,
    BackendEvent,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobStatus,
)
from tests.ledger.samples import NOW, job, plan

SIZES = {"states/00000001.safetensors": 500, "chunks/00000000.chunk": 200, "video.part.mp4": 30}


class DataFolder:
    """Jobs are kept and end as they are told; times are days before NOW."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.work = folder / "work"

    def keep(
        self,
        name: str,
        status: JobStatus = JobStatus.COMPLETED,
        *,
        days: float = 0,
        part_of: str | None = None,
        out: Path | None = None,
    ) -> None:
        """Keep a job that ended so many days ago, with its work files and its video."""
        planned = plan(cost=1.0)
        ended = NOW - timedelta(days=days)
        kept = job(name, ended).model_copy(update={"plan": planned})
        self.ledger.jobs.create(kept, JobOptions((planned,), part_of=part_of, out=out))
        self.ledger.submissions.record_intent(name, 0, ended)
        for place, size in SIZES.items():
            self.write(self.work / name / place, size)
        video = self.ledger.jobs.folder(name) / "video.mp4" if out is None else out
        artifact = self.write(video, 1000)
        if (end := self._end(status, artifact)) is not None:
            self.ledger.events.append(name, end, ended)
        with self.ledger.owners.claim(name):
            pass  # whoever made it is gone

    def write(self, path: Path, size: int) -> Artifact:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Artifact(path=str(path), size_bytes=size, sha256=digest)

    def left(self, name: str) -> set[str]:
        """Return the files left in the work folder of a job."""
        folder = self.work / name
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)) for path in files}

    def _end(self, status: JobStatus, video: Artifact) -> BackendEvent | None:
        return {
            JobStatus.COMPLETED: JobCompleted(artifacts=(video,)),
            JobStatus.CANCELLED: JobCancelled(artifacts=(video,)),
            JobStatus.FAILED: JobFailed(error=to_info(GenerationFailedError("no"))),
            JobStatus.OUTCOME_UNKNOWN: JobOutcomeUnknown(error=to_info(SubmitUncertainError("?"))),
        }.get(status)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)
