"""What is kept of a job beside its face, and how an event moves it; the ledger does the keeping."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import (
    BackendEvent,
    ChunkReady,
    Cost,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    PromptChanged,
)
from media_agent_schemas.jobs import CostSource, JobStatus, OperationRef
from media_agent_schemas.plan import Plan


class SubmissionState(StrEnum):
    """What is known of one submission."""

    INTENDED = "intended"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Submission:
    """The intent to have a plan made, kept before anything is sent, and what became of it."""

    job_id: str
    number: int  # of the plan among the candidates of the job
    key: str
    backend: str
    model: str
    state: SubmissionState
    ref: OperationRef | None
    error: ErrorInfo | None  # why it was refused
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What a job was asked with besides its request: the candidates, and where the video goes."""

    plans: tuple[Plan, ...]
    out: Path | None = None  # None: the job's own folder
    overwrite: bool = False
    idempotency_key: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    """The digests of the files that go in, by path, taken when they were first read."""
    part_of: str | None = None
    """The key of the submission of the video that this job makes a part of."""
    label: str | None = None
    """The caller's own word, to count costs under."""
    caller: str | None = None
    """Who asked a server for it; None: this machine."""
    fingerprint: str | None = None
    """Of the call: the same for a repetition that has no idempotency key."""
    resale_factor: float = 1.0
    """By which the caller pays for it: that of the API key that it was asked with."""


@dataclass(frozen=True, slots=True)
class JobCost:
    """What a job has cost so far; unknown if it is of any of its segments."""

    usd: float | None
    source: CostSource | None
    held_usd: float = 0.0
    """Held in the budgets for what is not over, or of unknown outcome."""

    def as_cost(self, quoted_by: str | None, billed_by: str | None) -> Cost:
        """Return it as a record says it: the word for the source, then where the figure is from."""
        if self.source is None:
            return Cost(usd=self.usd, source="unknown" if self.usd is None else "nothing accepted")
        said = billed_by if self.source == "billed" else quoted_by
        return Cost(usd=self.usd, source=self.source if said is None else f"{self.source}: {said}")


@dataclass(frozen=True, slots=True)
class JobState:
    """As much of a job as decides what an event means."""

    status: JobStatus
    chunks_ready: int
    frames_ready: int
    warnings: tuple[str, ...]


class OwnershipLostError(Exception):
    """Another process took the job over: whoever meets this stops and touches nothing."""


def is_repetition(state: JobState, event: BackendEvent) -> bool:
    """Return whether a backend, observed again, tells what is known already."""
    if state.status.is_terminal:
        return True
    match event:
        case JobStarted():
            return state.status is not JobStatus.QUEUED
        case ChunkReady():
            return event.index < state.chunks_ready
        case PromptChanged():
            return event.chunk < state.chunks_ready
        case _:
            return False


def changes_by(state: JobState, event: BackendEvent) -> dict[str, object]:
    """Return the fields of the job that the event changes."""
    match event:
        case JobStarted() | PromptChanged():
            return {"status": JobStatus.IN_PROGRESS}
        case JobProgressed():  # also of work that waits: job.started ends the waiting
            return {"progress": event.fraction, "phase": event.phase}
        case ChunkReady():
            frames = state.frames_ready + event.frames
            ready = {"chunks_ready": event.index + 1, "frames_ready": frames}
            return {"status": JobStatus.IN_PROGRESS, **ready}
        case JobCompleted():
            end: dict[str, object] = {"status": JobStatus.COMPLETED, "progress": 1.0}
        case JobFailed():
            end = {"status": JobStatus.FAILED, "error": event.error}
        case JobCancelled():
            end = {"status": JobStatus.CANCELLED, "cancellation": event.cancellation}
        case JobOutcomeUnknown():
            end = {"status": JobStatus.OUTCOME_UNKNOWN, "error": event.error}
        case _:
            assert_never(event)
    return {**end, "warnings": (*state.warnings, *event.warnings)}
