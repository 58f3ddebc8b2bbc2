"""What capabilities consist of: verification, ranges of values, options, windows, other modes."""

import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue

from media_agent_schemas.base import Schema, Seconds, TriState
from media_agent_schemas.media import InputRole, ResolutionTier, Size
from media_agent_schemas.request import VideoMode


class VerificationLevel(StrEnum):
    """How far a backend has been verified to do what it declares."""

    LIVE = "live"
    WIRE_EQUAL = "wire-equal"
    SIMULATOR = "simulator"
    SHEET_ONLY = "sheet-only"
    PARITY = "parity"
    TINY_WEIGHTS = "tiny-weights"


class Verification(Schema):
    """A level, when it was reached, and a word about it."""

    level: VerificationLevel = Field(description="How far it was verified.")
    date: datetime.date | None = Field(default=None, description="When, for live.")
    note: str | None = Field(default=None, description="What was checked, in a few words.")

    def __str__(self) -> str:
        return self.level.value if self.date is None else f"{self.level.value}({self.date})"


class SizeRange(Schema):
    """Every size between two, in steps."""

    minimum: Size = Field(description="Smallest width and height.")
    maximum: Size = Field(description="Largest width and height.")
    multiple: int = Field(default=2, ge=2, description="Both sides are multiples of this.")


class FpsRange(Schema):
    """Every frame rate between two."""

    minimum: float = Field(gt=0, description="Slowest, frames per second.")
    maximum: float = Field(gt=0, description="Fastest, frames per second.")


class OptionSpec(Schema):
    """An option that only this backend knows."""

    name: str = Field(min_length=1, description="Name, as in --option NAME=VALUE.")
    type: Literal["boolean", "integer", "number", "string"] = Field(description="JSON type.")
    default: JsonValue = Field(
        default=None, description="Used when absent; null: the backend decides."
    )
    description: str = Field(description="What it does, with its unit.")
    choices: tuple[JsonValue, ...] | None = Field(
        default=None, description="The only values, if closed."
    )
    minimum: float | None = Field(default=None, description="Smallest value of a number.")
    maximum: float | None = Field(default=None, description="Largest value of a number.")
    strict: JsonValue = Field(
        default=None,
        description="Its value under policy strict, if the request gives none; null: as otherwise.",
    )
    reserved: dict[str, str] | None = Field(
        default=None,
        description="Not null: its value is a JSON object of the service's own fields, handed on "
        "as they are. These it may not set, each with what says the same in a request.",
    )


class Windows(Schema):
    """How a model makes videos longer than it makes at once: window by window, within one job."""

    modes: tuple[VideoMode, ...] = Field(
        min_length=1,
        description="Kinds of work to which max_duration and max_frames do not apply.",
    )
    first_frames: int = Field(ge=1, description="Length of the first window, in frames.")
    further_frames: int = Field(
        ge=1,
        description="Frames that each further one adds, and each one that continues a given video.",
    )


class ModeFacts(Schema):
    """What is different in one mode of a model; null: the same as for the model."""

    input_roles: tuple[InputRole, ...] | None = Field(default=None, description="Its input roles.")
    needs: tuple[InputRole, ...] | None = Field(
        default=None, description="Inputs without which it makes nothing."
    )
    sizes: tuple[Size, ...] | None = Field(default=None, description="The only frame sizes.")
    default_size: Size | None = Field(default=None, description="Used when no size is asked.")
    resolutions: tuple[ResolutionTier, ...] | None = Field(default=None, description="Its tiers.")
    image_sets_shape: bool | None = Field(
        default=None, description="Whether frames have the shape of the first frame or source."
    )
    aspect_ratios: tuple[str, ...] | None = Field(default=None, description="Its aspect ratios.")
    durations: tuple[Seconds, ...] | None = Field(
        default=None, description="The only lengths, in seconds."
    )
    min_duration: float | None = Field(default=None, ge=0, description="Shortest, in seconds.")
    max_duration: float | None = Field(default=None, gt=0, description="Longest, in seconds.")
    default_duration: float | None = Field(
        default=None, gt=0, description="Used when none is asked."
    )
    min_frames: int | None = Field(default=None, ge=1, description="Fewest frames.")
    max_frames: int | None = Field(default=None, ge=1, description="Most frames.")
    max_source_duration: float | None = Field(default=None, gt=0, description="As for the model.")
    frame_multiple: int | None = Field(default=None, ge=1, description="As for the model.")
    frame_offset: int | None = Field(default=None, ge=0, description="As for the model.")
    negative_prompt: TriState | None = Field(default=None, description="As for the model.")
    camera: TriState | None = Field(default=None, description="As for the model.")
    seed: TriState | None = Field(default=None, description="As for the model.")
    audio: TriState | Literal["always"] | None = Field(
        default=None, description="As for the model."
    )
    max_n: int | None = Field(default=None, ge=1, description="Videos in one request.")
