"""A job as the caller sees it, and the small things that find, continue and steer its work."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, Field, JsonValue

from media_agent_schemas.base import Document, Schema, TriState, Usd
from media_agent_schemas.errors import ErrorInfo, to_exception
from media_agent_schemas.media import Artifact
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import Prompt, Text, VideoRequest
from media_agent_schemas.resume import Replay as Replay
from media_agent_schemas.resume import ResumeToken as ResumeToken

CostSource = Literal["billed", "quote", "mixed", "free"]
Label = Annotated[Text, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
"""A word or a few, on one line, that jobs are counted under."""


class JobStatus(StrEnum):
    """Where a job stands; provider spellings are translated to these."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    OUTCOME_UNKNOWN = "outcome_unknown"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self not in (JobStatus.QUEUED, JobStatus.IN_PROGRESS)


class KeyRefusal(Schema):
    """One of several keys of a backend that was refused before another one was used."""

    key_name: str = Field(min_length=1, description="Name of the key in the settings.")
    error: ErrorInfo = Field(description="Why it was refused; nothing was accepted.")


class OperationRef(Document):
    """Enough to find work again from another process; small, JSON, no secret."""

    backend: str = Field(min_length=1, description="Name of the backend.")
    model: str | None = Field(default=None, description="Name of the model.")
    operation_id: str = Field(min_length=1, description="The backend's name for the work.")
    data: dict[str, JsonValue] = Field(
        default={}, description="Everything else needed to find it, such as URLs."
    )
    key_name: str | None = Field(
        default=None, description="Which of several keys it was submitted with, by its name."
    )
    refused_keys: tuple[KeyRefusal, ...] = Field(
        default=(), description="The keys that were refused before."
    )


def _read_chunk(at: object) -> object:
    """Return a place as it is meant: "3" is a number, null and "" the next chunk."""
    if at is None or at == "":
        return "next"
    if isinstance(at, str) and at.strip().isdecimal():
        return int(at)
    if at in ("next", "now") or (isinstance(at, int) and not isinstance(at, bool) and at >= 0):
        return at
    raise ValueError(f'it should be "next", "now" or the number of a chunk, not {at!r}')


ChunkPlace = Annotated[
    Literal["next", "now"] | Annotated[int, Field(ge=0)], BeforeValidator(_read_chunk)
]
"""From where on a prompt counts."""


class ChangePrompt(Schema):
    """Command: from some chunk on, this prompt instead of those of the request."""

    type: Literal["change_prompt"] = "change_prompt"
    prompt: Prompt = Field(description="The new prompt.")
    at: ChunkPlace = Field(
        default="next",
        description="From the first chunk not yet started; or now, also chunks in progress that "
        "are noisy enough; or from the chunk of this number on, if not yet started.",
    )
    amended: str | None = Field(
        default=None, description="Which policy changed the prompt, and why; null: none did."
    )


class Finish(Schema):
    """Command: end the video with its next chunk, complete."""

    type: Literal["finish"] = "finish"


Command = Annotated[ChangePrompt | Finish, Field(discriminator="type")]


class Cancellation(Schema):
    """What became of work that was to stop: what stopped, and what may still be billed."""

    stopped: TriState = Field(
        default="unknown",
        description="Whether the work has stopped: true, by its backend's own word; false, it "
        "continues there; unknown: nobody said.",
    )
    may_bill_usd: Usd | None = Field(
        default=None, description="The most that may still be billed, in USD; null: unknown."
    )
    said: str = Field(default="", description="The same in words.")


class VideoJob(Document):
    """One job: what was asked, what was planned, where it stands, what came of it."""

    id: str = Field(min_length=1, description="Unique; also the name of its folder.")
    status: JobStatus = Field(default=JobStatus.QUEUED, description="State of the job.")
    created_at: AwareDatetime = Field(description="When it was accepted here.")
    updated_at: AwareDatetime = Field(description="When it last changed.")
    request: VideoRequest = Field(description="The request.")
    plan: Plan = Field(description="What was sent to which backend, and every change.")
    ref: OperationRef | None = Field(default=None, description="Where the work is, once submitted.")
    progress: float | None = Field(default=None, ge=0, le=1, description="Fraction; null: unknown.")
    phase: str | None = Field(default=None, description="Current phase.")
    chunks_ready: int = Field(default=0, ge=0, description="Finished chunks.")
    frames_ready: int = Field(default=0, ge=0, description="Finished frames.")
    artifacts: tuple[Artifact, ...] = Field(
        default=(), description="The files; the video is the first."
    )
    record_path: str | None = Field(
        default=None, description="Generation record, next to the video."
    )
    warnings: tuple[str, ...] = Field(default=(), description="Warnings for the caller.")
    error: ErrorInfo | None = Field(default=None, description="Why it did not complete.")
    cancellation: Cancellation | None = Field(
        default=None, description="What a cancel stopped, and what may still be billed."
    )
    label: Label | None = Field(default=None, description="The caller's own word for a group.")
    caller: str | None = Field(
        default=None, description="Who asked a server for it; null: this machine."
    )
    quote_usd: Usd | None = Field(
        default=None, description="Planned price in USD, of all segments; null: unknown."
    )
    cost_usd: Usd | None = Field(
        default=0.0, description="Cost in USD so far, of all segments; null: unknown."
    )
    cost_source: CostSource | None = Field(
        default=None,
        description="What the cost is: billed, a quote (no bill was reported), mixed (of "
        "segments), free; null: unknown, or nothing was accepted.",
    )
    held_usd: Usd = Field(
        default=0.0,
        description="Held in the budgets, in USD, for work that is not over or whose outcome is "
        "unknown; 0: all is settled.",
    )

    def raise_for_status(self) -> Self:
        """Return the job, unless it ended without its video: then raise its error.

        A job that has not ended yet is returned as well.

        Raises:
            MediaAgentError: the error of the job, in its own class, such as ContentRejectedError;
                JobCancelledError where it was stopped.
        """
        if not self.status.is_terminal or self.status is JobStatus.COMPLETED:
            return self
        stopped = ErrorInfo(code="job_cancelled", message=f"job {self.id} was stopped")
        raise to_exception(self.error or stopped)


class JobSummary(Schema):
    """A job as a list shows it; the job itself has the rest."""

    id: str = Field(description="The job.")
    status: JobStatus = Field(description="State of the job.")
    created_at: AwareDatetime = Field(description="When it was accepted here.")
    updated_at: AwareDatetime = Field(description="When it last changed.")
    backend: str = Field(description="Name of the backend.")
    model: str = Field(description="Name of the model.")
    title: str = Field(description="How its prompts begin.")
    label: str | None = Field(description="The caller's own word for a group.")
    progress: float | None = Field(
        default=None, ge=0, le=1, description="Fraction of the work; null: unknown."
    )
    phase: str | None = Field(default=None, description="Current phase of the work.")
    seconds: float | None = Field(
        description="Length of the delivered video, as measured; null: there is none yet."
    )
    path: str | None = Field(description="The video, or what there is of it.")
    segments: int = Field(ge=0, description="Segments that were begun, each a job of its own.")
    quote_usd: Usd | None = Field(
        description="Planned price in USD, of all segments; null: unknown."
    )
    cost_usd: Usd | None = Field(description="Cost in USD so far, of all segments; null: unknown.")
    cost_source: CostSource | None = Field(description="What the cost is, as in VideoJob.")
