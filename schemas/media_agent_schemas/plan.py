"""All who could make a video, in order, and why: what a planner shows and spends nothing on."""

import datetime

from pydantic import Field

from media_agent_schemas.base import Document, Schema
from media_agent_schemas.capabilities import Estimate, Method, Plan, Policy, Verification
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.request import RoutingPreference, VideoRequest


class Quality(Schema):
    """How good the videos of a model look: an opinion, and whose."""

    tier: int = Field(ge=0, le=5, description="0: no model at all, 1: a toy, 5: the best there is.")
    opinion_of: str = Field(min_length=1, description="Whose opinion; it is not measured here.")
    date: datetime.date = Field(description="When it was held.")

    def __str__(self) -> str:
        return f"{self.tier}/5 in the opinion of {self.opinion_of}, {self.date}"


class Candidate(Schema):
    """One model that could make the video, or why it will not."""

    backend: str = Field(description="Who.")
    model: str = Field(description="With which model.")
    rank: int | None = Field(None, ge=1, description="1: chosen; null: refused.")
    method: Method = Field(Method.SINGLE, description="How the length is reached.")
    submissions: int = Field(1, ge=1, description="Pieces of work that would be submitted.")
    seams: int = Field(0, ge=0, description="Places where one part ends and another begins.")
    estimate: Estimate = Field(Estimate(), description="Price and time; null is unknown.")
    quality: Quality | None = Field(None, description="An opinion; null: none is known.")
    verification: Verification = Field(description="How far the backend was checked.")
    licence: str | None = Field(None, description="Licence of the model; null: unknown.")
    local: bool = Field(False, description="Works on this machine.")
    missing: str | None = Field(None, description="What it lacks to work, such as a key.")
    reasons: tuple[str, ...] = Field((), description="Why it is where it is.")
    refusals: tuple[ErrorInfo, ...] = Field((), description="Why not; empty: it could.")
    plan: Plan | None = Field(None, description="What would be sent; null: it cannot be planned.")

    @property
    def name(self) -> str:
        """Return "backend/model"."""
        return f"{self.backend}/{self.model}"


class PlanReport(Document):
    """Every candidate, best first, then the refused ones; nothing was started or spent."""

    request: VideoRequest = Field(description="What was asked.")
    policy: Policy = Field(description="What happens to wishes that cannot be met exactly.")
    prefer: RoutingPreference = Field(description="What decided among those that could.")
    candidates: tuple[Candidate, ...] = Field((), description="All of them, in order.")
    summary: str = Field("", description="Who would make it and why, or why nobody can.")

    @property
    def chosen(self) -> Candidate | None:
        """Return the candidate that would make it."""
        return next((each for each in self.candidates if each.rank == 1), None)

    @property
    def ranked(self) -> tuple[Candidate, ...]:
        """Return those that could, best first."""
        return tuple(each for each in self.candidates if each.rank is not None)
