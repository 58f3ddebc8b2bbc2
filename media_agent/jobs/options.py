"""What a caller can say about a video beside its request, once for all calls of the client.

A caller writes keyword arguments, `client.generate(request, out="a.mp4")`; the client makes one
frozen value of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from pydantic import JsonValue, ValidationError

from media_agent.errors import InvalidRequestError
from media_agent.validation import in_words
from media_agent_schemas.media import Size
from media_agent_schemas.plan import Plan, Policy
from media_agent_schemas.request import Budget, Shot


class PlanKwargs(TypedDict, total=False):
    """The keyword arguments of `PlanOptions`."""

    policy: Policy | None
    allow_unknown_words: bool
    caller: str | None


class GenerateKwargs(PlanKwargs, total=False):
    """The keyword arguments of `GenerateOptions`."""

    plans: Sequence[Plan] | None
    out: Path | str | None
    default_out: Path | str | None
    overwrite: bool
    job_id: str | None
    idempotency_key: str | None
    label: str | None
    fingerprint: str | None
    resale_factor: float


class BranchKwargs(PlanKwargs, total=False):
    """The keyword arguments of `BranchOptions`."""

    at: int | None
    prompt: str | None
    duration: float | None
    shots: Sequence[Shot]
    endless: bool
    max_cost_usd: float | None
    idempotency_key: str | None


class ExtendKwargs(PlanKwargs, total=False):
    """The keyword arguments of `ExtendOptions`."""

    prompt: str | None
    duration: float | None
    shots: Sequence[Shot]
    seed: int | None
    model: str | None
    size: Size | None
    options: Mapping[str, Mapping[str, JsonValue]]
    only_new: bool
    max_cost_usd: float | None
    idempotency_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """How a request is planned."""

    policy: Policy | None = None
    """None: as the settings say."""
    allow_unknown_words: bool = False
    """Whether a model that knows few words may be given others."""
    caller: str | None = None
    """Who asks a server for it, whose policies and budgets count; None: this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions(PlanOptions):
    """How a request is planned, and where its video goes."""

    plans: Sequence[Plan] | None = None
    """Made before, to be followed as they are: each when the one before was refused."""
    out: Path | str | None = None
    """None: `default_out`."""
    default_out: Path | str | None = None
    """Where a new video without `out` goes, which a repetition need not say again; None: into the
    job's folder."""
    overwrite: bool = False
    job_id: str | None = None
    """None: a new one is drawn."""
    idempotency_key: str | None = None
    label: str | None = None
    """A word of your own, to find jobs and count costs by; absent: none."""
    fingerprint: str | None = None
    """Of the call, for a server: a repetition without a key is known by it."""
    resale_factor: float = 1.0
    """By which the caller pays for it: that of the API key that it was asked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchOptions(PlanOptions):
    """Where a branch leaves a video, what it shows, and how that is planned."""

    at: int | None = None
    """The first chunk of its own; None: the end of the video."""
    prompt: str | None = None
    duration: float | None = None
    shots: Sequence[Shot] = ()
    """Instead of the prompt and its duration."""
    endless: bool = False
    max_cost_usd: float | None = None
    """Of the new video as a whole, its kept chunks too."""
    idempotency_key: str | None = None
    """The plan of the job that has this key is returned, whatever became of the other video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendOptions(PlanOptions):
    """What comes after a video, and how that is planned."""

    prompt: str | None = None
    duration: float | None = None
    shots: Sequence[Shot] = ()
    """Instead of the prompt and its duration."""
    seed: int | None = None
    """None: for a job, its own; else drawn."""
    model: str | None = None
    """None: for a job, its own where that can; else the default."""
    size: Size | None = None
    """In which a file is continued; None: its own, where the model makes it."""
    options: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    """Options of the model that continues a file, by backend."""
    only_new: bool = False
    """Deliver only the new part of a continued file, in the size and rate of the model."""
    max_cost_usd: float | None = None
    idempotency_key: str | None = None
    """The plan of the job that has this key is returned, whatever became of the other video."""


def build_budget(max_cost_usd: float | None) -> Budget | None:
    """Return the budget of a request with such a limit.

    Raises:
        InvalidRequestError: it is no amount.
    """
    try:
        return None if max_cost_usd is None else Budget(max_cost_usd=max_cost_usd)
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, Budget)) from None
