"""What the tools for jobs and models take; what is written here is what a language model reads."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from media_agent.errors import InvalidRequestError
from media_agent.tools.arguments import (
    CreateVideo,
    MaxCost,
    Number,
    OptionTexts,
    PlanVideo,
    PolicyWord,
    ToolArguments,
    Whole,
)
from media_agent_schemas.base import OnlyNumbers
from media_agent_schemas.jobs import ChunkPlace, JobStatus
from media_agent_schemas.media import Size

LONGEST_WAIT = 60  # seconds; agents and their transports give up on calls that last longer
MOST_LISTED = 50
_USUAL_WAIT = 30
_USUALLY_LISTED = 10

JobId = Annotated[str, Field(description="Job ID returned by create_video.")]


class GetVideo(ToolArguments):
    """Return the state of a job: progress, and once finished its video and files."""

    tool = "get_video"

    job_id: JobId
    contact_sheet: bool | None = Field(
        default=None, description="True: show frames of the finished video, as an image."
    )


class WaitVideo(ToolArguments):
    """Wait for a job, at most 60 seconds, and return its state; call it again if needed."""

    tool = "wait_video"

    job_id: JobId
    seconds: Annotated[float, Field(gt=0, le=LONGEST_WAIT), OnlyNumbers] | None = Field(
        default=None,
        description=f"How long to wait at most, above 0 up to {LONGEST_WAIT}; null: {_USUAL_WAIT}.",
    )

    @property
    def patience(self) -> float:
        """Return how long to wait, in seconds."""
        return _USUAL_WAIT if self.seconds is None else self.seconds


class SteerVideo(ToolArguments):
    """Change the prompt of a running job; repeating the same change is harmless.

    Finished chunks stay as they are. Models that do not support this report it.
    """

    tool = "steer_video"

    job_id: JobId
    prompt: str = Field(description="New prompt.")
    at: ChunkPlace | None = Field(
        default=None,
        description="next or null: from the first chunk not yet started; now: also chunks in "
        "progress, as far as they can still change; a number: after that many chunks.",
    )


class ExtendVideo(ToolArguments):
    """Start a video that continues another one, and return its job at once: old and new together.

    A job continues seamlessly, from its state; with keep_chunks it keeps only the beginning and
    takes another course from there. A file is continued by a model from its last frames, and so is
    a job whose model keeps no states. The source stays as it is.
    """

    tool = "extend_video"

    job_id: str | None = Field(
        default=None, description="Job whose video is continued. Give either this or file."
    )
    file: str | None = Field(
        default=None, description="Any other video: a file path or an http(s) URL."
    )
    prompt: str = Field(description="What the new part shows.")
    duration: Number | None = Field(
        default=None, description="Length of the new part in seconds; null: model default."
    )
    keep_chunks: Whole | None = Field(
        default=None, description="Of a job: keep only that many chunks of it; null: all."
    )
    model: str | None = Field(
        default=None,
        description="Of a file, or a job without states: what continues it, as in create_video.",
    )
    size: str | None = Field(
        default=None, description="Of the same: frame size of the new part, such as 1280x720."
    )
    seed: Whole | None = Field(default=None, description="Of the same: as in create_video.")
    options: OptionTexts = None
    only_new: bool | None = Field(
        default=None, description="Of the same: true for the new part alone, as the model makes it."
    )
    policy: PolicyWord = None
    max_cost_usd: MaxCost = None
    idempotency_key: str | None = Field(
        default=None, description="As in create_video: the same name always means the same job."
    )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.job_id is None) == (self.file is None):
            raise ValueError("give either job_id or file")
        if self.file is not None and self.keep_chunks is not None:
            raise ValueError("keep_chunks is for a job: a file has no chunks")
        fields = ("model", "size", "seed", "only_new", "options")
        given = [name for name in fields if getattr(self, name) is not None]
        if self.keep_chunks is not None and given:
            raise ValueError(f"{given[0]} is not for keep_chunks: that keeps the job's own")
        return self

    def read_size(self) -> Size | None:
        """Return the frame size.

        Raises:
            InvalidRequestError: it is none.
        """
        try:
            return None if self.size is None else Size.parse(self.size)
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None


class CancelVideo(ToolArguments):
    """Stop a job; the frames so far are kept. Harmless once it is finished."""

    tool = "cancel_video"

    job_id: JobId


class ListVideos(ToolArguments):
    """List the newest jobs: their IDs, states, models and prompts."""

    tool = "list_videos"

    status: JobStatus | None = Field(default=None, description="Only jobs in this state.")
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED), OnlyNumbers] | None = Field(
        default=None,
        description=f"How many at most, up to {MOST_LISTED}; null: {_USUALLY_LISTED}.",
    )
    before: str | None = Field(
        default=None, description="Job ID: only older ones; null: from the newest."
    )

    @property
    def most(self) -> int:
        """Return how many jobs to list."""
        return _USUALLY_LISTED if self.limit is None else self.limit


class ListVideoBackends(ToolArguments):
    """List models with price, lengths and what is missing; one model also with the words it knows.

    For the price of a certain video call plan_video.
    """

    tool = "list_video_backends"

    search: str | None = Field(
        default=None, description="Only names that contain this, such as wan; null: all."
    )


TOOLS: tuple[type[ToolArguments], ...] = (
    PlanVideo,
    CreateVideo,
    GetVideo,
    WaitVideo,
    SteerVideo,
    ExtendVideo,
    CancelVideo,
    ListVideos,
    ListVideoBackends,
)
