"""The settings of who makes a video: routes, budgets, and where newer prices are read."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from media_agent_schemas.base import OnlyNumbers, Schema
from media_agent_schemas.request import RoutingPreference

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False), OnlyNumbers]


class RouteSection(Schema):
    """A named way to choose who makes a video, under [routes.NAME]."""

    model: str | None = Field(
        default=None, min_length=1, description='Always use this one, "backend" or "backend/model".'
    )
    prefer: RoutingPreference | None = Field(default=None, description="How to rank the backends.")
    allow: tuple[str, ...] | None = Field(
        default=None, description="Use only these backends or models."
    )
    deny: tuple[str, ...] = Field(default=(), description="Never use these backends or models.")
    waiting_usd_per_second: Dollars | None = Field(
        default=None, description="What a second of waiting costs, in USD; for balanced."
    )
    licences: tuple[str, ...] | None = Field(default=None, description="Use only these licences.")
    local_only: bool = Field(default=False, description="Use only backends on this machine.")
    max_cost_usd: Dollars | None = Field(default=None, description="Maximum cost in USD.")

    @model_validator(mode="after")
    def _check_one_way(self) -> Self:
        if self.model is not None and (self.prefer or self.allow or self.deny):
            raise ValueError("a route with a model cannot also have prefer, allow or deny")
        return self


class RoutingSection(Schema):
    """What routing learns from how submissions ended, under [routing]."""

    waiting_usd_per_second: Dollars = Field(
        default=0.001, description="What a second of waiting costs, in USD; for balanced."
    )
    half_life_days: float = Field(
        default=14.0, ge=0.1, le=3650, description="Days after which an outcome counts half."
    )
    explore: float = Field(
        default=0.0,
        ge=0,
        le=0.1,
        description="What trying offers again that were long not used may add to all cost.",
    )
    explore_max_usd: Dollars = Field(
        default=0.0, description="The price of a video up to which one may be such a try, in USD."
    )


class BudgetSection(Schema):
    """What may be spent without asking, under [budget]."""

    max_cost_usd: Dollars | None = Field(default=None, description="For one job, in USD.")
    max_cost_usd_per_day: Dollars | None = Field(
        default=None, description="For all jobs of one day (UTC), in USD."
    )


class CatalogueSection(Schema):
    """Where newer facts about models are read, under [catalogue]."""

    url: str | None = Field(
        default=None,
        pattern=r"^https://[^\s@]+$",
        description="What media-agent catalogue update reads: like https://example.com/models.json",
    )
    public_key: str | None = Field(
        default=None,
        min_length=1,
        description="The Ed25519 key that its signature is checked with, as openssl prints it.",
    )
