"""All who could make a video, in order, and why: what a planner shows and spends nothing on."""

import datetime

from pydantic import Field

from media_agent_schemas.base import Document, Schema
from media_agent_schemas.capabilities import Estimate, Method, Plan, Policy, Verification
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.request import RoutingPreference, VideoRequest


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
