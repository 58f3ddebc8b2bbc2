"""What is sent to the native API, and what it answers besides the schemas of videos."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from media_agent.routing.listing import Listed
from media_agent.server.jobs.public import ServedJob, ServedSummary
from media_agent.server.native.inputs import ServedRequest
from media_agent_schemas.base import Schema
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.jobs import ChunkPlace, Label, OperationRef
from media_agent_schemas.media import Size
from media_agent_schemas.plan import PlanReport, Policy
from media_agent_schemas.request import Prompt, Shot

Amount = Annotated[float, Field(ge=0)]
Length = Annotated[float, Field(gt=0)]


class _Terms(Schema):
    policy: Policy | None = Field(default=None, description="null: as the settings say.")
    allow_unknown_words: bool = Field(
        default=False, description="Give a model words that it does not know."
    )


class NewPlan(_Terms):
    """A request to be planned; nothing is started or spent."""

    request: ServedRequest = Field(description="What video is wanted.")
    best: int | None = Field(
        default=None, ge=1, le=1000, description="Plan only so many in full; null: all."
    )


class ServedReport(PlanReport):
    """Every candidate for a request that may name files which were sent before."""

    request: ServedRequest = Field(description="The request, as it was sent.")


class NewJob(_Terms):
    """A video to make."""

    request: ServedRequest = Field(description="What video is wanted.")
    label: Label | None = Field(default=None, description="A word to find it by.")
    max_cost_usd: Amount | None = Field(
        default=None,
        description="Refuse what may cost more; the smaller one of this and of the "
        "budget of the request holds.",
    )


class NewBranch(_Terms):
    """A video that shares the beginning of another one."""

    at: int | None = Field(
        default=None, ge=0, description="Its first chunk of its own; null: the end of the other."
    )
    prompt: Prompt | None = Field(default=None, description="What it shows from there.")
    duration: Length | None = Field(default=None, description="Seconds from there.")
    shots: tuple[Shot, ...] = Field(default=(), description="Instead of prompt and duration.")
    endless: bool = Field(default=False, description="Until it is told to finish.")
    label: Label | None = Field(default=None, description="A word to find it by.")
    max_cost_usd: Amount | None = Field(default=None, description="Of the whole new video.")


class NewExtension(_Terms):
    """What comes after a video."""

    prompt: Prompt | None = Field(default=None, description="What it shows.")
    duration: Length | None = Field(default=None, description="Seconds to add.")
    shots: tuple[Shot, ...] = Field(default=(), description="Instead of prompt and duration.")
    seed: int | None = Field(default=None, ge=0, description="null: that of the job.")
    model: str | None = Field(default=None, description="null: its own where that can.")
    size: Size | None = Field(default=None, description="null: its own.")
    options: dict[str, dict[str, JsonValue]] = Field(
        default={}, description="Options of the model, by backend."
    )
    only_new: bool = Field(default=False, description="Deliver the new part alone.")
    label: Label | None = Field(default=None, description="A word to find it by.")
    max_cost_usd: Amount | None = Field(default=None, description="Refuse what may cost more.")


class Steering(Schema):
    """Another prompt for a running video."""

    prompt: Prompt = Field(description="What it shows from then on.")
    at: ChunkPlace = Field(default="next", description='"next", "now" or the number of a chunk.')
    allow_unknown_words: bool = Field(
        default=False, description="Give a model words that it does not know."
    )


class Resumption(Schema):
    """How a job is resumed."""

    take_over: bool = Field(
        default=False, description="Take it from a process that seems to live but hangs."
    )


class JobPage(Schema):
    """A page of jobs."""

    object: Literal["list"] = "list"
    data: tuple[ServedSummary, ...] = Field(description="The jobs.")
    first_id: str | None = Field(description="The first of them; null: there is none.")
    last_id: str | None = Field(description="The last: pass it as after for the next page.")
    has_more: bool = Field(description="Whether there is another page.")


class RemovedJob(Schema):
    """What became of a job that was deleted."""

    id: str = Field(description="The job.")
    object: Literal["job.deleted"] = "job.deleted"
    deleted: Literal[True] = True
    freed_bytes: int = Field(description="How much space is free again.")
    removed_videos: int = Field(description="How many videos went with it.")
    kept_videos: int = Field(description="How many are still in their places.")


class FoundWork(Schema):
    """What a backend says of work whose reply was lost."""

    job: ServedJob = Field(description="The job as it stands.")
    ref: OperationRef | None = Field(description="The work, where it was found.")
    said: str = Field(description="What is known of it, and what to do.")


class OfferedModel(Capabilities):
    """A model, what it can do, and what a usual video of it costs."""

    estimate: Estimate = Field(description="Price and time of a usual video; null is unknown.")
    estimate_seconds_of_video: float = Field(description="How long that video is.")
    offer_of: str | None = Field(description="The model that it is an offer of.")

    @classmethod
    def of(cls, listed: Listed) -> "OfferedModel":
        """Return what is told of a model."""
        return cls(
            **dict(listed.capabilities),
            estimate=listed.estimate,
            estimate_seconds_of_video=listed.seconds,
            offer_of=listed.offer_of,
        )


class ModelPage(Schema):
    """The models there are, and what keeps others out."""

    object: Literal["list"] = "list"
    data: tuple[OfferedModel, ...] = Field(description="The models.")
    total: int = Field(description="How many there are on all pages.")
    has_more: bool = Field(description="Whether there is another page.")
    problems: tuple[str, ...] = Field(description="What keeps a backend out of the list.")
    notes: tuple[str, ...] = Field(description="Backends without a model yet, and what they need.")
