"""Between the rows of the ledger and the objects they stand for."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Row

from media_agent.jobs import JobTerms, Standing, Submission, SubmissionState
from media_agent_schemas.capabilities import Plan
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.jobs import JobStatus, OperationRef, VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

CHANGEABLE = (
    "status",
    "updated_at",
    "progress",
    "phase",
    "chunks_ready",
    "frames_ready",
    "record_path",
    "warnings",
    "error",
)
"""The fields of a job that are columns and change; the others have tables of their own."""


def row_of(job: VideoJob, terms: JobTerms) -> dict[str, object]:
    """Return the columns of a new job."""
    return {
        "id": job.id,
        "created_at": text_of(job.created_at),
        "request": job.request.model_dump_json(),
        "plans": [plan.model_dump_json() for plan in terms.plans],
        "plan_number": terms.plans.index(job.plan),
        "out": None if terms.out is None else str(terms.out),
        "overwrite": terms.overwrite,
        "idempotency_key": terms.idempotency_key,
        "cancel_requested": False,
        **columns_of({name: getattr(job, name) for name in CHANGEABLE}),
    }


def columns_of(changes: Mapping[str, object]) -> dict[str, object]:
    """Return the columns that these fields of a job are kept in."""
    columns = dict(changes)
    for name, value in changes.items():
        match value:
            case datetime():
                columns[name] = text_of(value)
            case ErrorInfo():
                columns[name] = value.model_dump_json()
            case tuple():
                columns[name] = list(value)
    return columns


def job_of(row: Row[tuple[object, ...]], ref: str | None, artifacts: Iterable[str]) -> VideoJob:
    """Return the job of a row of `jobs` and of what belongs to it in other tables."""
    return VideoJob(
        id=row.id,
        status=JobStatus(row.status),
        created_at=datetime.fromisoformat(row.created_at),
        updated_at=datetime.fromisoformat(row.updated_at),
        request=VideoRequest.model_validate_json(row.request),
        plan=Plan.model_validate_json(row.plans[row.plan_number]),
        ref=None if ref is None else OperationRef.model_validate_json(ref),
        progress=row.progress,
        phase=row.phase,
        chunks_ready=row.chunks_ready,
        frames_ready=row.frames_ready,
        artifacts=tuple(Artifact.model_validate_json(text) for text in artifacts),
        record_path=row.record_path,
        warnings=tuple(row.warnings),
        error=None if row.error is None else ErrorInfo.model_validate_json(row.error),
    )


def standing_of(row: Row[tuple[object, ...]]) -> Standing:
    """Return what decides about the next event, without reading the request."""
    status, warnings = JobStatus(row.status), tuple(row.warnings)
    return Standing(status, row.chunks_ready, row.frames_ready, warnings)


def terms_of(row: Row[tuple[object, ...]]) -> JobTerms:
    """Return what a job was asked with besides its request."""
    return JobTerms(
        plans=tuple(Plan.model_validate_json(text) for text in row.plans),
        out=None if row.out is None else Path(row.out),
        overwrite=row.overwrite,
        idempotency_key=row.idempotency_key,
    )


def submission_of(row: Row[tuple[object, ...]]) -> Submission:
    """Return the submission of a row."""
    return Submission(
        job_id=row.job_id,
        number=row.number,
        key=row.key,
        backend=row.backend,
        state=SubmissionState(row.state),
        ref=None if row.ref is None else OperationRef.model_validate_json(row.ref),
        error=None if row.error is None else ErrorInfo.model_validate_json(row.error),
        attempts=row.attempts,
        created_at=datetime.fromisoformat(row.created_at),
    )


def text_of(time: datetime) -> str:
    """Return a time in UTC, so that texts sort as times do."""
    return time.astimezone(UTC).isoformat()
