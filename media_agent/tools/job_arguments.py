"""What the tools for jobs and models take; what is written here is what a language model reads."""

from typing import Annotated

from pydantic import Field

from media_agent.tools.arguments import CreateVideo, Number, PlanVideo, ToolArguments, Whole
from media_agent_schemas.base import OnlyNumbers
from media_agent_schemas.jobs import ChunkPlace, JobStatus

LONGEST_WAIT = 60  # seconds; agents and their transports give up on calls that last longer
MOST_LISTED = 50
_USUAL_WAIT = 30
_USUALLY_LISTED = 10

JobId = Annotated[str, Field(description="Job ID returned by create_video.")]


class GetVideo(ToolArguments):
    """Return the state of a job: progress, and once finished its video and contact sheet."""

    tool = "get_video"

    job_id: JobId


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


class LookAtVideo(ToolArguments):
    """Show the contact sheet of a finished job as an image: frames of its video, with prompts."""

    tool = "look_at_video"

    job_id: JobId


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
    """Start a new video that continues a finished one seamlessly, and return its job at once.

    With keep_chunks it keeps only the beginning and takes another course from there. Models that
    keep no states cannot do this and report it.
    """

    tool = "extend_video"

    job_id: str = Field(description="Job whose video is continued; it stays as it is.")
    prompt: str = Field(description="What the new part shows.")
    duration: Number | None = Field(
        default=None, description="Length of the new part in seconds; null: model default."
    )
    keep_chunks: Whole | None = Field(
        default=None, description="Keep only that many chunks of it; null: all."
    )
    idempotency_key: str | None = Field(
        default=None, description="As in create_video: the same name always means the same job."
    )


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


class ListModels(ToolArguments):
    """List models with price, lengths and what is missing; one model also with the words it knows.

    For the price of a certain video call plan_video.
    """

    tool = "list_models"

    search: str | None = Field(
        default=None, description="Only names that contain this, such as wan; null: all."
    )


TOOLS: tuple[type[ToolArguments], ...] = (
    PlanVideo,
    CreateVideo,
    GetVideo,
    WaitVideo,
    LookAtVideo,
    SteerVideo,
    ExtendVideo,
    CancelVideo,
    ListVideos,
    ListModels,
)
