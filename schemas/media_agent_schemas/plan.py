"""What becomes of a request: who would be sent what, and all who could make it, in order, and why.

Nothing is started or spent on a plan.
"""

import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue

from media_agent_schemas.base import Document, Schema
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.facts import Verification
from media_agent_schemas.policies import PolicyNote
from media_agent_schemas.request import RoutingPreference, VideoRequest
from media_agent_schemas.resume import ResumeToken


class Policy(StrEnum):
    """What to do if a backend does not support a value."""

    STRICT = "strict"
    ADJUST = "adjust"


class Adjustment(Schema):
    """One difference between what was asked and what will be used."""

    field: str = Field(description="Field of the request, such as size or shots[1].duration.")
    asked: JsonValue = Field(description="The value asked; null when not given.")
    used: JsonValue = Field(description="The value used instead.")
    reason: str = Field(description="Why, in words.")


class Method(StrEnum):
    """How a model gets to the length that was asked."""

    SINGLE = "single"
    ENDLESS = "endless"
    EXTEND = "extend"
    CHAIN = "chain"


class Segment(Schema):
    """One of the segments that a video is put together from, each submitted on its own.

    Many equal segments in a row are one segment with a count, so that a plan of days stays small.
    """

    request: VideoRequest = Field(
        description="What will be sent; from the second segment on, with its `continues_from`."
    )
    continues_from: Literal["nothing", "last_frame", "video"] = Field(
        default="nothing",
        description="What it starts from: last frame or video of the previous segment.",
    )
    estimate: Estimate = Field(default=Estimate(), description="What it will take, made once.")
    count: int = Field(
        default=1, ge=1, description="How often it is generated, one after the other."
    )


class Origin(Schema):
    """The video that another one shares its first chunks with."""

    job_id: str = Field(min_length=1, description="The job that made it.")
    chunk: int = Field(ge=0, description="The first chunk that differs.")
    frames: int = Field(ge=0, description="Frames before that chunk.")
    kept_chunks: int = Field(
        ge=0, description="Chunks taken over; those up to `chunk` are generated again."
    )
    kept_frames: int = Field(ge=0, description="Frames in them.")
    resume: ResumeToken | None = Field(
        default=None,
        description="Where it continues, as long as the state is kept; null: at the beginning.",
    )


class Plan(Document):
    """What will be sent to which backend, and every change on the way there.

    In `request` nothing is open: model is "backend/model", fps and num_frames are set (num_frames
    not when endless), and so are size where the backend has one, seed where it takes one, and the
    duration of every shot (not of the last when endless).
    """

    backend: str = Field(description="Name of the backend.")
    model: str = Field(description="Name of the model.")
    policy: Policy = Field(description="The policy it was negotiated under.")
    request: VideoRequest = Field(description="What will be sent.")
    adjustments: tuple[Adjustment, ...] = Field(
        default=(), description="Every change, with its reason."
    )
    warnings: tuple[str, ...] = Field(default=(), description="Warnings for the caller.")
    estimate: Estimate = Field(default=Estimate(), description="What it will take.")
    method: Method = Field(default=Method.SINGLE, description="How the length is reached.")
    segments: tuple[Segment, ...] = Field(
        default=(),
        description="The segments the video is joined from; empty: `request` goes out as it is.",
    )
    repeats: bool = Field(
        default=False, description="Whether the last segment repeats until the job is finished."
    )
    windows: int = Field(
        default=1,
        ge=1,
        description="1, and each window by which a model continues what it makes within one "
        "submission; with its usual options.",
    )
    origin: Origin | None = Field(
        default=None, description="The video it continues; its chunks are kept as they are."
    )
    remade_as: str | None = Field(
        default=None, description="The job that made a part of the delivered video again."
    )
    policies: tuple[PolicyNote, ...] = Field(
        default=(), description="What the policies of the settings said of it."
    )
    held: bool = Field(
        default=False,
        description="Whether a policy looks at the whole video before any of it is shown.",
    )

    @property
    def submissions(self) -> int:
        """Return how many segments are submitted; of what repeats, the least."""
        return sum(segment.count for segment in self.segments) or 1

    @property
    def seams(self) -> int:
        """Return in how many places one segment or window ends and another begins."""
        return self.submissions - 1 + self.windows - 1


class Quality(Schema):
    """How good the videos of a model look: a rating, and whose."""

    tier: int = Field(ge=0, le=5, description="0: no model at all, 1: a toy, 5: the best there is.")
    opinion_of: str = Field(min_length=1, description="Who rated it; not measured here.")
    date: datetime.date = Field(description="Date of the rating.")

    def __str__(self) -> str:
        return f"{self.tier}/5 (rated by {self.opinion_of}, {self.date})"


class Outlook(Schema):
    """What is to be expected of a candidate by how submissions ended on this ledger."""

    outcomes: int = Field(default=0, ge=0, description="Submissions that ended lately.")
    done: int = Field(default=0, ge=0, description="How many of these gave a video.")
    days: float = Field(default=7.0, ge=0, description="Over how many days.")
    median_seconds: float | None = Field(
        default=None, ge=0, description="Median time of these to the finished file."
    )
    fails: float = Field(default=0.0, ge=0, le=1, description="How likely it fails now.")
    cost_usd: float | None = Field(
        default=None, ge=0, description="Expected price, with attempts that fail, in USD."
    )
    seconds: float | None = Field(
        default=None, ge=0, description="Expected time, with attempts that fail."
    )
    as_others: bool = Field(
        default=False, description="Its own time is unknown: this is what other models take."
    )
    is_try: bool = Field(
        default=False, description="Chosen because nothing was heard of it for long."
    )


class Candidate(Schema):
    """One model that could make the video, or the reason why not."""

    backend: str = Field(description="Name of the backend.")
    model: str = Field(description="Name of the model.")
    offer_of: str | None = Field(
        default=None, description="The model that it is an offer of, the same at every provider."
    )
    rank: int | None = Field(default=None, ge=1, description="1: chosen; null: refused.")
    method: Method = Field(default=Method.SINGLE, description="How the length is reached.")
    submissions: int = Field(default=1, ge=1, description="Number of submissions.")
    seams: int = Field(default=0, ge=0, description="Cuts between segments.")
    estimate: Estimate = Field(default=Estimate(), description="Price and time; null is unknown.")
    outlook: Outlook | None = Field(
        default=None, description="What earlier outcomes let expect; null: there are none."
    )
    quality: Quality | None = Field(default=None, description="Quality rating; null: not rated.")
    verification: Verification = Field(description="How far the backend was checked.")
    licence: str | None = Field(default=None, description="Licence of the model; null: unknown.")
    local: bool = Field(default=False, description="Runs on this machine.")
    missing: str | None = Field(default=None, description="What is missing, such as a key.")
    reasons: tuple[str, ...] = Field(default=(), description="Reasons for its rank.")
    refusals: tuple[ErrorInfo, ...] = Field(
        default=(), description="Why it was refused; empty: it was not."
    )
    plan: Plan | None = Field(
        default=None, description="What would be sent; null: it cannot be planned."
    )

    @property
    def name(self) -> str:
        """Return "backend/model"."""
        return f"{self.backend}/{self.model}"


class PlanReport(Document):
    """Every candidate, best first, then the refused ones; nothing was started or spent."""

    request: VideoRequest = Field(description="The request.")
    policy: Policy = Field(description="What happens to unsupported values.")
    prefer: RoutingPreference = Field(description="How the candidates were ranked.")
    candidates: tuple[Candidate, ...] = Field(default=(), description="All of them, in order.")
    summary: str = Field(
        default="", description="Which backend was selected and why, or why none can."
    )

    @property
    def chosen(self) -> Candidate | None:
        """Return the candidate that would make it."""
        return next((each for each in self.candidates if each.rank == 1), None)

    @property
    def ranked(self) -> tuple[Candidate, ...]:
        """Return those that could, best first."""
        return tuple(each for each in self.candidates if each.rank is not None)
