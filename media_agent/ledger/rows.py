"""Between the rows of the ledger and the objects they stand for."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel

from media_agent.ledger.state import JobCost, JobOptions, JobState, Submission, SubmissionState
from media_agent.ledger.store.database import Column, Row, Transaction, reads_row
from media_agent.ledger.store.kept_text import mend, text_that_reads_back
from media_agent.storage.files import is_folder_name
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import JobEvent
from media_agent_schemas.jobs import Cancellation, JobStatus, OperationRef, ResumeToken, VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest

_CHANGEABLE = (
    "status",
    "updated_at",
    "progress",
    "phase",
    "chunks_ready",
    "frames_ready",
    "record_path",
    "warnings",
    "error",
    "cancellation",
)


_LONGEST_TITLE = 100  # characters
_SHORT = 20_000  # characters; longer ones have whole images in them

PUBLISHING = -1
"""The number of an artifact that is being put in its place."""


def insert(transaction: Transaction, table: str, **values: object) -> None:
    """Put a row into a table; each value as its column keeps it."""
    transaction.insert(table, _columns(values))


def change_job(transaction: Transaction, job_id: str, **values: object) -> None:
    """Change columns of a job."""
    transaction.update("jobs", {"id": job_id}, _columns(values))


def change_submission(transaction: Transaction, key: str, **values: object) -> None:
    """Change columns of a submission."""
    transaction.update("submissions", {"key": key}, _columns(values))


def replace_artifacts(
    transaction: Transaction, job_id: str, files: Sequence[Artifact], first: int = 0
) -> None:
    """Replace the files of a job from a number on: what is being placed outlives a failure."""
    chosen = "DELETE FROM artifacts WHERE job_id = :job AND number >= :first"
    transaction.change(chosen, job=job_id, first=first)
    for number, file in enumerate(files, start=first):
        values = {"path": file.path, "sha256": file.sha256, "artifact": file}
        insert(transaction, "artifacts", job_id=job_id, number=number, **values)


def row_of(job: VideoJob, terms: JobOptions) -> dict[str, object]:
    """Return the columns of a new job."""
    return {
        "id": job.id,
        "created_at": job.created_at,
        "request": job.request,
        "plans": tuple(plan.model_dump_json() for plan in terms.plans),
        "plan_number": terms.plans.index(job.plan),
        "out": terms.out,
        "overwrite": terms.overwrite,
        "idempotency_key": terms.idempotency_key,
        "inputs": dict(terms.inputs),
        "part_of": terms.part_of,
        "label": terms.label,
        "caller": terms.caller,
        "fingerprint": terms.fingerprint,
        "resale_factor": terms.resale_factor,
        "title": _title_of(job.request),
        **plan_columns(job.plan),
        "cancel_requested": False,
        **changeable_of(job),
    }


def plan_columns(plan: Plan) -> dict[str, object]:
    """Return the columns of a job that say which plan is followed, apart from its number."""
    return {
        "backend": plan.backend,
        "model": plan.model,
        "quote_usd": plan.estimate.cost_usd,
    }


def changeable_of(job: VideoJob) -> dict[str, object]:
    """Return the columns of a job that change; the other fields have tables of their own."""
    return {name: getattr(job, name) for name in _CHANGEABLE}


@reads_row
def job_of(row: Row, artifacts: Iterable[Row], cost: JobCost) -> VideoJob:
    """Return the job of a row of `jobs`, with its `ref`, its `artifacts` and what it cost."""
    plan = plan_of(json.loads(row["plans"])[row["plan_number"]])
    return VideoJob(
        id=_folder_name(row["id"]),
        status=JobStatus(row["status"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        request=_request_of(row["request"]),
        plan=plan,
        ref=None if row["ref"] is None else OperationRef.model_validate_json(row["ref"]),
        progress=row["progress"],
        phase=row["phase"],
        chunks_ready=row["chunks_ready"],
        frames_ready=row["frames_ready"],
        artifacts=tuple(map(artifact_of, artifacts)),
        record_path=row["record_path"],
        warnings=tuple(json.loads(row["warnings"])),
        error=None if row["error"] is None else ErrorInfo.model_validate_json(row["error"]),
        cancellation=None
        if row["cancellation"] is None
        else Cancellation.model_validate_json(row["cancellation"]),
        label=row["label"],
        caller=row["caller"],
        quote_usd=plan.estimate.cost_usd,
        cost_usd=cost.usd,
        cost_source=cost.source,
        held_usd=cost.held_usd,
    )


@reads_row
def state_of(row: Row) -> JobState:
    """Return what decides about the next event, without reading the request."""
    status, warnings = JobStatus(row["status"]), tuple(json.loads(row["warnings"]))
    return JobState(status, row["chunks_ready"], row["frames_ready"], warnings)


@reads_row
def terms_of(row: Row) -> JobOptions:
    """Return what a job was asked with besides its request."""
    return JobOptions(
        plans=tuple(map(plan_of, json.loads(row["plans"]))),
        out=None if row["out"] is None else Path(row["out"]),
        overwrite=bool(row["overwrite"]),
        idempotency_key=row["idempotency_key"],
        inputs=json.loads(row["inputs"]),
        part_of=row["part_of"],
        label=row["label"],
        caller=row["caller"],
        fingerprint=row["fingerprint"],
        resale_factor=float(row["resale_factor"]),
    )


@reads_row
def submission_of(row: Row) -> Submission:
    """Return the submission of a row."""
    return Submission(
        job_id=row["job_id"],
        number=row["number"],
        key=_folder_name(row["key"]),
        backend=row["backend"],
        model=row["model"],
        state=SubmissionState(row["state"]),
        ref=None if row["ref"] is None else OperationRef.model_validate_json(row["ref"]),
        error=None if row["error"] is None else ErrorInfo.model_validate_json(row["error"]),
        attempts=row["attempts"],
        created_at=datetime.fromisoformat(row["created_at"]),
    )


def text_of(time: datetime) -> str:
    """Return a time in UTC, so that texts sort as times do."""
    return time.astimezone(UTC).isoformat()


@reads_row
def artifact_of(row: Row) -> Artifact:
    """Return the file of a row of `artifacts`."""
    return Artifact.model_validate_json(row["artifact"])


@reads_row
def event_of(row: Row) -> JobEvent:
    """Return the event of a row of `events`."""
    return JobEvent.model_validate_json(row["event"])


@reads_row
def token_of(row: Row) -> ResumeToken | None:
    """Return the resume token of a row of `jobs`."""
    return None if row["resume"] is None else ResumeToken.model_validate_json(row["resume"])


def _folder_name(text: str) -> str:
    """Return a name that folders are called by; another one could lead out of the data folder."""
    if not is_folder_name(text):
        raise ValueError("it is no name of a folder")
    return text


def plan_of(text: str) -> Plan:
    """Return the plan of a JSON text."""
    return _known_plan(text) if len(text) <= _SHORT else Plan.model_validate_json(text)


def _request_of(text: str) -> VideoRequest:
    return _known_request(text) if len(text) <= _SHORT else VideoRequest.model_validate_json(text)


@lru_cache(maxsize=256)
def _known_plan(text: str) -> Plan:
    """Read a plan, which is frozen, once: a job is read again and again as it goes its way."""
    return Plan.model_validate_json(text)


@lru_cache(maxsize=256)
def _known_request(text: str) -> VideoRequest:
    return VideoRequest.model_validate_json(text)


def _title_of(request: VideoRequest) -> str:
    prompts = " / ".join(request.prompts())
    return " ".join(str(mend(prompts)).split())[:_LONGEST_TITLE]


def _columns(values: Mapping[str, object]) -> dict[str, Column]:
    return {name: _column_of(value) for name, value in values.items()}


def _column_of(value: object) -> Column:
    match value:
        case None | str() | int() | float():  # also the words of a StrEnum
            return value
        case datetime():
            return text_of(value)
        case BaseModel():
            return text_that_reads_back(value)
        case Path():
            return str(value)
        case tuple() | dict():
            return json.dumps(mend(value))
        case _:
            raise TypeError(f"no column keeps {value!r}")
