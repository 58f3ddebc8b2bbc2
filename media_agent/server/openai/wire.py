"""What the OpenAI-shaped routes answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from media_agent_schemas.jobs import CostSource, JobStatus


class WireModel(BaseModel):
    """A reply, frozen; fields that are not known yet stand in it as null."""

    model_config = ConfigDict(frozen=True)


class WireError(WireModel):
    """Why a video failed."""

    code: str = Field(description="Our code, such as content_rejected.")
    message: str = Field(description="What happened, and the way out.")


class JobDetails(WireModel):
    """What this server knows of a video beyond OpenAI's fields."""

    status: JobStatus = Field(description="State of the job, one of six.")
    backend: str = Field(description="Who makes the video.")
    model: str = Field(description="The model of that backend.")
    progress: float | None = Field(default=None, description="0 to 1; null: unknown.")
    phase: str | None = Field(default=None, description="Current phase of the work.")
    chunks_ready: int = Field(default=0, description="Chunks that can be watched already.")
    frames_ready: int = Field(default=0, description="Frames that can be watched already.")
    adjustments: list[str] = Field(default=[], description="Differences from the request.")
    warnings: list[str] = Field(default=[], description="Warnings to consider.")
    seed: int | None = Field(default=None, description="The seed that was sent.")
    quote_usd: float | None = Field(default=None, description="Planned price; null: unknown.")
    cost_usd: float | None = Field(default=None, description="Cost so far; null: unknown.")
    cost_source: CostSource | None = Field(default=None, description="What the cost is.")
    label: str | None = Field(default=None, description="The caller's own word for a group.")
    videos: int = Field(default=0, description="How many videos can be fetched.")
    retryable: bool | None = Field(
        default=None, description="Whether the same request may work later; null: no error."
    )
    accepted: bool | None = Field(
        default=None, description="Whether a provider may have accepted work; null: unknown."
    )
    billed: bool | None = Field(
        default=None, description="Whether anything was paid; null: unknown."
    )
    next: str = Field(description="The next step.")
    record_url: str | None = Field(
        default=None, description="What was asked, adjusted, sent and delivered."
    )
    events_url: str = Field(description="Its events as they happen.")


class Video(WireModel):
    """A video, finished or not, as OpenAI's API describes it."""

    id: str = Field(description="The job: the same id on every surface.")
    object: Literal["video"] = "video"
    model: str = Field(description="The backend and model that make it.")
    status: Literal["queued", "in_progress", "completed", "failed"] = Field(
        description="One of OpenAI's four states."
    )
    progress: int = Field(ge=0, le=100, description="Percent; 100 only when it is completed.")
    created_at: int = Field(description="Seconds since 1970.")
    completed_at: int | None = Field(default=None, description="Seconds since 1970.")
    expires_at: int | None = Field(
        default=None, description="Always null: videos are kept until they are deleted."
    )
    prompt: str | None = Field(default=None, description="The prompt; of shots, all of them.")
    size: str = Field(description="WIDTHxHEIGHT; a tier such as 720p while only that is known.")
    seconds: str = Field(description="Length: planned, then as delivered.")
    remixed_from_video_id: str | None = Field(
        default=None, description="The video that this one was made from."
    )
    error: WireError | None = Field(default=None, description="Why it failed.")
    media_agent: JobDetails = Field(description="What this server knows beyond that.")


class VideoList(WireModel):
    """A page of videos."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class VideoDeleted(WireModel):
    """A video that is gone."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True
