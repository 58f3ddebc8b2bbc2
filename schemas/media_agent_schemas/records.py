"""The record next to a video: what was asked, adjusted, sent and delivered."""

from pydantic import AwareDatetime, Field

from media_agent_schemas.base import Document, Schema, Sha256
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import Computation, Cost, Timing
from media_agent_schemas.facts import Verification
from media_agent_schemas.jobs import Cancellation, JobStatus
from media_agent_schemas.media import Artifact, VideoMetadata
from media_agent_schemas.plan import Adjustment
from media_agent_schemas.policies import PolicyNote
from media_agent_schemas.quality import QualityReport, Remake, ScoreSpread
from media_agent_schemas.request import VideoRequest


class ShotRecord(Schema):
    """One shot: the words asked, the words sent, and its place in the video."""

    prompt_asked: str | None = Field(description="As the caller wrote it; null: steered later.")
    prompt_sent: str = Field(description="As the model got it.")
    start: float = Field(ge=0, description="First moment, in seconds.")
    end: float | None = Field(
        default=None, ge=0, description="Last moment, in seconds; null: open."
    )


class SeamRecord(Schema):
    """A place where one segment or window of the video ends and another begins."""

    frame: int = Field(ge=1, description="The first frame after it, counted from 0.")
    seconds: float = Field(ge=0, description="When that frame is shown.")
    score: float | None = Field(
        ge=0,
        description="Change across it over the mean change of up to eight frame pairs on each "
        "side; about 1: no more than elsewhere; null: not measured.",
    )


class Lineage(Schema):
    """Where a video comes from."""

    parent_job: str | None = Field(default=None, description="The job whose video was continued.")
    parent_chunk: int | None = Field(
        default=None, ge=0, description="First chunk unlike that video's."
    )
    resumed_from_chunk: int | None = Field(
        default=None, ge=0, description="First chunk after a resume."
    )
    resumed_exactly: bool | None = Field(
        default=None,
        description="Whether the chunks from there on are those that the video would have had; "
        "false: nearly these; null: nothing was resumed.",
    )
    inputs: tuple[Sha256 | None, ...] = Field(
        default=(), description="Digests of the inputs, in order; null: fetched from a url."
    )
    software: dict[str, str] = Field(default={}, description="Versions of what made it.")
    computation: Computation | None = Field(
        default=None, description="Hardware and software, if computed on this machine."
    )


class Refusal(Schema):
    """A backend, or one of its keys, that refused before another one accepted the work."""

    backend: str = Field(description="Name of the backend.")
    model: str | None = Field(default=None, description="Name of the model.")
    key_name: str | None = Field(
        default=None, description="Which of its keys, by its name; null: it has one key, or all."
    )
    error: ErrorInfo = Field(description="Why; nothing was accepted.")


class Times(Schema):
    """When things happened."""

    created_at: AwareDatetime = Field(description="The job was accepted.")
    finished_at: AwareDatetime = Field(description="The record was written.")
    seconds: float = Field(ge=0, description="Between the two.")
    backend: Timing = Field(default=Timing(), description="As the backend measured it.")


class GenerationRecord(Document):
    """Says truly what one job did; written whether it completed or not."""

    job_id: str = Field(description="The job.")
    status: JobStatus = Field(description="How it ended.")
    backend: str = Field(description="Name of the backend.")
    kind: str | None = Field(
        default=None, description="The backend behind a name from the settings."
    )
    model: str = Field(description="Name of the model.")
    key_name: str | None = Field(
        default=None, description="Which of several keys was used, by its name in the settings."
    )
    refused: tuple[Refusal, ...] = Field(
        default=(), description="Which backends and keys were asked before, in order, and why not."
    )
    weights_sha256: Sha256 | None = Field(default=None, description="Digest of the weights.")
    licence: str | None = Field(
        default=None, description="Licence of the model, SPDX or a name; null: unknown."
    )
    verification: Verification = Field(description="How far the backend was verified.")

    asked: VideoRequest = Field(description="The request as received.")
    adjusted: tuple[Adjustment, ...] = Field(
        default=(), description="Every change, with its reason."
    )
    policies: tuple[PolicyNote, ...] = Field(
        default=(), description="What the policies of the settings said, in the order asked."
    )
    sent: VideoRequest = Field(description="The request as the backend got it.")
    delivered: VideoMetadata | None = Field(
        default=None, description="Probed from the file; null: none."
    )
    shots: tuple[ShotRecord, ...] = Field(
        default=(), description="Prompts asked and sent, per shot."
    )
    seams: tuple[SeamRecord, ...] = Field(
        default=(),
        description="Where segments or windows meet, as measured on the file; of a chunk engine "
        "none are measured.",
    )
    quality: QualityReport | None = Field(
        default=None,
        description="What the first video is like, as measured; null: it was not measured.",
    )
    spread: tuple[ScoreSpread, ...] = Field(
        default=(), description="The scores of all videos of the request; empty: there is one."
    )
    remakes: tuple[Remake, ...] = Field(
        default=(), description="Which parts were made again, and why, in order."
    )
    seed: int | None = Field(default=None, description="The seed used.")

    artifacts: tuple[Artifact, ...] = Field(default=(), description="The files.")
    frames_planned: int | None = Field(default=None, description="Frames planned; null: endless.")
    frames_delivered: int = Field(default=0, ge=0, description="Frames in the file.")
    fraction_delivered: float | None = Field(
        default=None, ge=0, le=1, description="Delivered over planned; null: endless."
    )
    times: Times = Field(description="When, and how long.")
    cost: Cost = Field(default=Cost(), description="What it cost: billed, or else as quoted.")
    cancellation: Cancellation | None = Field(
        default=None, description="What a cancel stopped, and what may still be billed."
    )
    lineage: Lineage = Field(default=Lineage(), description="Where it comes from.")
    warnings: tuple[str, ...] = Field(default=(), description="Warnings for the caller.")
    error: ErrorInfo | None = Field(default=None, description="Why it did not complete.")
