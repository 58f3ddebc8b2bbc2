"""What was measured on a finished video."""

from enum import StrEnum

from pydantic import Field

from media_agent_schemas.base import Schema
from media_agent_schemas.media import VideoMetadata


class FindingKind(StrEnum):
    """What may be wrong with a video."""

    BLACK = "black"
    BLANK = "blank"
    FROZEN = "frozen"
    REPEATED = "repeated"
    CUT = "cut"
    FLICKER = "flicker"
    COLOUR_DRIFT = "colour_drift"
    SHARPNESS_DRIFT = "sharpness_drift"
    CONTRAST_DRIFT = "contrast_drift"
    MOTION_DRIFT = "motion_drift"
    SUBJECT_DRIFT = "subject_drift"
    SILENT = "silent"
    CLIPPED = "clipped"


class Finding(Schema):
    """Something that a person should look at or listen to."""

    kind: FindingKind = Field(description="What it is.")
    start: float = Field(ge=0, description="Where it begins, in seconds.")
    end: float = Field(ge=0, description="Where it ends, in seconds.")
    value: float = Field(description="What was measured, in the unit of the limit.")
    limit: float = Field(description="From where on it is told.")
    message: str = Field(description="The same in words.")


class Loudness(Schema):
    """How loud a sound is."""

    integrated_lufs: float | None = Field(
        description="Of the whole, by EBU R 128; null: silence, or shorter than 0.4 seconds."
    )
    peak_dbfs: float = Field(description="The largest sample, in decibels of full scale.")


class Drift(Schema):
    """How the first part of a video differs from its last one."""

    colour: float = Field(
        ge=0, description="How far light or colour moved steadily, in 8-bit levels."
    )
    sharpness: float = Field(ge=0, description="Of the last fifth over the first: 1 is the same.")
    contrast: float = Field(ge=0, description="Of the last fifth over the first: 1 is the same.")
    motion: float = Field(ge=0, description="Of the last fifth over the first: 1 is the same.")
    subject: float | None = Field(
        default=None,
        le=1,
        description="Likeness of what is shown in the first and the last 15 %, 1 is the same; by "
        "colours and edges, unless a plugin knows better. null: too short.",
    )
    embedding: str | None = Field(
        default=None, description="The embedding of a plugin that says so; null: the simple one."
    )


class Boundaries(Schema):
    """How much a video shows where its chunks, windows or segments meet."""

    count: int = Field(ge=1, description="How many there are.")
    score: float = Field(
        ge=0,
        description="Median change across them over the median change elsewhere; about 1: they "
        "show no more than any other moment.",
    )
    worst_frame: int = Field(ge=1, description="The first frame after the most visible one.")
    worst_seconds: float = Field(ge=0, description="When that frame is shown.")
    worst_score: float = Field(ge=0, description="Change across it over the median elsewhere.")


class QualityReport(Schema):
    """What a finished video is like, measured on its decoded frames and its sound."""

    video: VideoMetadata = Field(description="What the file holds.")
    bits_per_second: float = Field(ge=0, description="Of the file, sound and all.")
    brightness: float = Field(ge=0, le=255, description="Mean, in 8-bit levels.")
    motion: float = Field(
        ge=0, description="Mean change from one frame to the next, in 8-bit levels at 64x36."
    )
    repeated: float = Field(
        ge=0, le=1, description="Share of frames that show the same as the one before."
    )
    flicker: float = Field(
        ge=0, description="How much brightness goes up and down between frames, in 8-bit levels."
    )
    drift: Drift | None = Field(default=None, description="null: too short to tell.")
    boundaries: Boundaries | None = Field(
        default=None, description="null: made in one piece, or where is not known."
    )
    loudness: Loudness | None = Field(default=None, description="null: it has no sound.")
    findings: tuple[Finding, ...] = Field(
        default=(), description="What a person should look at; of many of a kind, the first ten."
    )


class ScoreSpread(Schema):
    """How one score lies over several videos of one request."""

    score: str = Field(description="Its name in a quality report, such as drift.colour.")
    minimum: float = Field(description="The smallest.")
    median: float = Field(description="The middle one, or the mean of the two in the middle.")
    maximum: float = Field(description="The largest.")
    videos: int = Field(ge=2, description="How many videos have this score.")


class Remake(Schema):
    """A part of a video that was made again, with another seed, for what was found in it."""

    job_id: str = Field(description="The job that made it again.")
    chunk: int = Field(ge=0, description="The first chunk that is another one.")
    seed: int = Field(description="The seed from there on.")
    because: Finding = Field(description="What was found before.")
    remaining: tuple[Finding, ...] = Field(
        default=(), description="What was found after, of what is to be made again."
    )
    delivered: bool = Field(description="Whether this is what was delivered.")
