"""What a backend reports while it works, and the envelope in which the core keeps it."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, Field, field_validator

from media_agent_schemas.base import Document, PriceUsd, Schema, Sha256, known_usd
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.facts import Verification
from media_agent_schemas.jobs import Cancellation, ResumeToken
from media_agent_schemas.media import Artifact


def _drop_senseless(value: object) -> object:
    """Return a measured value; None (unknown) if it is below zero or not finite."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    return value if 0 <= value < math.inf else None


Measured = Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(_drop_senseless)]
"""A number reported by a backend; an impossible one never costs the user the video."""


class Timing(Schema):
    """How long things took, in seconds."""

    total_seconds: Measured = Field(default=None, description="From start to finished file.")
    first_chunk_seconds: Measured = Field(default=None, description="Until the first chunk.")
    phases: dict[str, float] = Field(default={}, description="By phase, such as denoise or encode.")

    @field_validator("phases", mode="before")
    @classmethod
    def _drop_unknown_phases(cls, phases: object) -> object:
        if not isinstance(phases, Mapping):
            return phases
        return {name: each for name, each in phases.items() if _drop_senseless(each) is not None}


class Cost(Schema):
    """What something cost."""

    usd: Annotated[PriceUsd, BeforeValidator(_drop_senseless)] = Field(
        default=None, description="In USD; null: unknown."
    )
    source: str | None = Field(
        default=None,
        description="Source of the figure; in a record first: billed, quote, mixed or free.",
    )
    seconds: Measured = Field(
        default=None,
        description="Billed seconds, where the backend reports these and no price.",
    )
    refunded_usd: Annotated[PriceUsd, BeforeValidator(_drop_senseless)] = Field(
        default=None,
        description="What the provider says it paid back, in USD; usd is without it.",
    )

    def at(self, usd_per_second: float | None) -> Self:
        """Return it with the price of the billed seconds, where it has no other."""
        if self.usd is not None or self.seconds is None or usd_per_second is None:
            return self
        said = f"{self.seconds:g} billed seconds at {usd_per_second:g} USD"
        source = said if self.source is None else f"{self.source}: {said}"
        usd = known_usd(self.seconds * usd_per_second)
        return self.model_copy(update={"usd": usd, "source": source})


class AppliedLora(Schema):
    """LoRA weights that were added to a model for one video."""

    name: str = Field(description="Its name in the settings.")
    component: str = Field(description="The part of the model, such as transformer.")
    weight: float = Field(description="How strongly it was applied.")
    sha256: Sha256 = Field(description="Digest of its file.")


class GgufWeights(Schema):
    """A GGUF file that took the place of the weights of one part of a model."""

    component: str = Field(description="The part of the model, such as transformer.")
    file: str = Field(description="Name of the file.")
    kind: str = Field(description="How most of its numbers are stored, such as Q4_K.")
    sha256: Sha256 = Field(description="Digest of the file.")


class Computation(Schema):
    """On what a video was computed here; another one may round differently."""

    device: str = Field(description="Where the numbers were, such as cpu or cuda.")
    dtype: str = Field(description="Numbers of the weights, such as float32.")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads; null: of no influence."
    )
    instructions: str | None = Field(
        default=None, description="Of the CPU, such as AVX512; or which GPU."
    )
    library: str = Field(description="What computed, with its version.")
    offload: str | None = Field(
        default=None, description="How weights were kept off the GPU; none: not; null: unknown."
    )
    vae_tiling: bool | None = Field(
        default=None, description="Whether it was decoded in tiles; null: unknown."
    )
    loras: tuple[AppliedLora, ...] = Field(default=(), description="LoRA weights applied.")
    gguf: tuple[GgufWeights, ...] = Field(default=(), description="GGUF files loaded.")


class Delivery(Schema):
    """What a backend knows at the end; absent where it does not know."""

    artifacts: tuple[Artifact, ...] = Field(
        default=(), description="The files; also of a partial video."
    )
    frames: int | None = Field(default=None, ge=0, description="Frames in the video.")
    chunks: int | None = Field(default=None, ge=0, description="Chunks in the video.")
    seed: int | None = Field(default=None, description="The seed used.")
    model: str | None = Field(default=None, description="The model that served.")
    weights_sha256: Sha256 | None = Field(default=None, description="Digest of the weights.")
    verification: Verification | None = Field(
        default=None, description="How far the backend was verified."
    )
    computation: Computation | None = Field(
        default=None, description="Hardware and software it was computed on."
    )
    prompts_sent: tuple[str, ...] | None = Field(
        default=None, description="Per shot, the prompt as the model saw it; absent: as planned."
    )
    warnings: tuple[str, ...] = Field(default=(), description="Warnings for the caller.")
    timing: Timing = Field(default=Timing(), description="How long it took.")
    cost: Cost | None = Field(default=None, description="Billed cost.")


class JobStarted(Schema):
    """Work has begun."""

    type: Literal["job.started"] = "job.started"
    message: str | None = Field(default=None, description="Message for people.")


class JobProgressed(Schema):
    """The work continues."""

    type: Literal["job.progressed"] = "job.progressed"
    phase: str = Field(description="Current phase, such as denoise.")
    fraction: float | None = Field(
        default=None, ge=0, le=1, description="Of the whole job; null: unknown."
    )
    message: str | None = Field(default=None, description="Message for people.")


class ChunkReady(Schema):
    """A chunk is finished and safely on disk; the growing video has it."""

    type: Literal["chunk.ready"] = "chunk.ready"
    index: int = Field(ge=0, description="0 for the first chunk.")
    frames: int = Field(ge=0, description="Frames in this chunk.")
    path: str | None = Field(
        default=None, description="The growing video, playable up to this chunk."
    )
    resume: ResumeToken | None = Field(default=None, description="To resume after this chunk.")


class PromptChanged(Schema):
    """From this chunk on another prompt holds."""

    type: Literal["prompt.changed"] = "prompt.changed"
    chunk: int = Field(ge=0, description="First chunk under the new prompt.")
    prompt: str = Field(description="The new prompt.")


class JobCompleted(Delivery):
    """Terminal: the video is finished."""

    type: Literal["job.completed"] = "job.completed"


class JobFailed(Delivery):
    """Terminal: there will be no video; of paid work that was sent only its backend can say so."""

    type: Literal["job.failed"] = "job.failed"
    error: ErrorInfo = Field(description="Why.")


class JobCancelled(Delivery):
    """Terminal: stopped on request; artifacts may hold the video so far."""

    type: Literal["job.cancelled"] = "job.cancelled"
    cancellation: Cancellation = Field(
        default=Cancellation(stopped=True),
        description="What stopped; the core adds what may still be billed.",
    )


class JobOutcomeUnknown(Delivery):
    """Terminal: work may be accepted or the video not fetched yet; never resubmitted."""

    type: Literal["job.outcome_unknown"] = "job.outcome_unknown"
    error: ErrorInfo = Field(description="What to check, and where.")


TerminalEvent = JobCompleted | JobFailed | JobCancelled | JobOutcomeUnknown

BackendEvent = Annotated[
    JobStarted
    | JobProgressed
    | ChunkReady
    | PromptChanged
    | JobCompleted
    | JobFailed
    | JobCancelled
    | JobOutcomeUnknown,
    Field(discriminator="type"),
]


class JobEvent(Document):
    """A backend's event as the core keeps it: numbered without a gap, with its time."""

    job_id: str = Field(min_length=1, description="The job.")
    sequence: int = Field(ge=0, description="0, 1, 2, ... within the job.")
    time: AwareDatetime = Field(description="When the core received it.")
    event: BackendEvent = Field(description="What happened.")
