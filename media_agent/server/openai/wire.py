"""What the OpenAI-shaped routes answer."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from media_agent_schemas.jobs import CostSource, JobStatus
from media_agent_schemas.request import VideoMode


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
    provider_code: str | None = Field(
        default=None, description="The provider's own code for the error; null: it said none."
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


class ModelDetails(WireModel):
    """What this server knows of a model beyond OpenAI's fields."""

    alias_of: str | None = Field(default=None, description="The model that this name means here.")
    is_default: bool = Field(default=False, description="Whether it makes videos without a model.")
    offer_of: str | None = Field(
        default=None, description="The model that several backends offer under this name."
    )
    modes: list[VideoMode] = Field(default=[], description="Kinds of work.")
    price: str | None = Field(default=None, description="Of a second of video; null: unknown.")
    local: bool | None = Field(default=None, description="Whether it runs on the server's machine.")
    verification: str | None = Field(default=None, description="How far it was checked.")
    missing: str | None = Field(default=None, description="What is missing; null: nothing.")
    capabilities: dict[str, Any] | None = Field(
        default=None, description="All that is known of it; only where it is asked for by its id."
    )


class Model(WireModel):
    """A model that can be named in a call."""

    id: str = Field(description='"backend/model", or a name that the settings map to one.')
    object: Literal["model"] = "model"
    created: int = Field(default=0, description="Always 0: unknown.")
    owned_by: str = Field(description="The backend.")
    media_agent: ModelDetails = Field(description="What this server knows beyond that.")


class ModelList(WireModel):
    """The models there are."""

    object: Literal["list"] = "list"
    data: list[Model]


class FileDetails(WireModel):
    """What this server knows of a file beyond OpenAI's fields."""

    sha256: str = Field(description="Digest of its bytes.")


class File(WireModel):
    """A file to be used in requests."""

    id: str = Field(description='Give it as {"file_id"}.')
    object: Literal["file"] = "file"
    bytes: int = Field(ge=1, description="Its size.")
    created_at: int = Field(description="Seconds since 1970.")
    expires_at: int | None = Field(default=None, description="Seconds since 1970; null: never.")
    filename: str = Field(description="As it was sent.")
    purpose: str = Field(description="As it was sent.")
    status: Literal["processed"] = "processed"
    media_agent: FileDetails = Field(description="What this server knows beyond that.")


class FileList(WireModel):
    """A page of files."""

    object: Literal["list"] = "list"
    data: list[File]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


class FileDeleted(WireModel):
    """A file that is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
