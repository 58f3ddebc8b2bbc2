"""What the tools for jobs and models take; what is written here is what a language model reads."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from media_agent.errors import InvalidRequestError
from media_agent.tools.arguments import (
    LONGEST_WAIT,
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

MOST_LISTED = 50
_USUAL_WAIT = 30
_USUALLY_LISTED = 10

JobId = Annotated[str, Field(description="Job ID.")]


class GetVideo(ToolArguments):
    """Return the state of a job: progress, and once finished its video and files."""

    tool = "get_video"

    job_id: JobId
    contact_sheet: bool | None = Field(
        default=None, description="True: show frames of the finished video, as an image."
    )


class WaitVideo(ToolArguments):
    """Wait for a job, at most 60 seconds, and return its state; to wait longer call it again."""

    tool = "wait_video"

    job_id: JobId
    seconds: Annotated[float, Field(gt=0, le=LONGEST_WAIT), OnlyNumbers] | None = Field(
        default=None,
        description=f"At most {LONGEST_WAIT}; default: {_USUAL_WAIT}.",
    )

    @property
    def patience(self) -> float:
        """Return how long to wait, in seconds."""
        return _USUAL_WAIT if self.seconds is None else self.seconds


class SteerVideo(ToolArguments):
    """Change the prompt of a running job, if its model can; repeating a change is harmless."""

    tool = "steer_video"

    job_id: JobId
    prompt: str = Field(description="New prompt.")
    at: ChunkPlace | None = Field(
        default=None,
        description="next: from the first chunk not yet started (default); now: also chunks in "
        "progress; a number: after that many chunks.",
    )


class ExtendVideo(ToolArguments):
    """Start a video that continues another one; return its job at once: old and new together.

    A job continues seamlessly, from its state; with keep_chunks from its beginning. A file, or a
    job without states, is continued from its last frames. The source stays as it is.
    """

    tool = "extend_video"

    job_id: str | None = Field(default=None, description="The job to continue; or give file.")
    file: str | None = Field(default=None, description="Any other video: file path or URL.")
    prompt: str = Field(description="What the new part shows.")
    duration: Number | None = Field(
        default=None, description="Its length in seconds; default: the model's."
    )
    keep_chunks: Whole | None = Field(
        default=None, description="Keep only so many chunks of the job; default: all."
    )
    model: str | None = Field(
        default=None,
        description="What continues a file, or a job without states.",
    )
    size: str | None = Field(default=None, description="Of the same: frame size of the new part.")
    seed: Whole | None = Field(default=None, description="Of the same.")
    options: OptionTexts = None
    only_new: bool | None = Field(
        default=None, description="Of the same: deliver the new part alone."
    )
    policy: PolicyWord = None
    max_cost_usd: MaxCost = None
    idempotency_key: str | None = Field(default=None, description="Same name, same job.")

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
        description=f"At most {MOST_LISTED}; default: {_USUALLY_LISTED}.",
    )
    before: str | None = Field(default=None, description="Job ID: only older ones.")

    @property
    def most(self) -> int:
        """Return how many jobs to list."""
        return _USUALLY_LISTED if self.limit is None else self.limit


class ListVideoBackends(ToolArguments):
    """List models with price, lengths and what is missing; a single one also with its options."""

    tool = "list_video_backends"

    search: str | None = Field(
        default=None, description="Only names that contain this, such as wan."
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
