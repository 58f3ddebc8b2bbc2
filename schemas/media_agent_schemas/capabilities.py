"""What a backend can do, what a request would cost there, and what would become of it."""

import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from media_agent_schemas.base import Document, Schema, Seconds, Sha256, TriState, Usd, format_memory
from media_agent_schemas.media import CameraMove, InputRole, ResolutionTier, Size
from media_agent_schemas.policies import PolicyNote
from media_agent_schemas.request import VideoMode, VideoRequest
from media_agent_schemas.resume import ResumeToken

PRICE_DAYS = 30
"""After so many days a price is marked: it may not hold any more."""
FALLBACK_FPS = 24.0
"""Frames per second where neither the request nor the model says any."""
FALLBACK_SECONDS = 5.0
"""Length where neither the request nor the model says any."""
USUAL_LOOKUP_SECONDS = 30.0
"""For how long work whose reply was lost is looked for, unless its backend needs longer."""


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


class Control(StrEnum):
    """A command that a running job takes."""

    CHANGE_PROMPT = "change_prompt"
    FINISH = "finish"


class CancelRule(StrEnum):
    """What becomes of accepted work, and of its bill, when it is to stop."""

    NONE = "none"
    """It cannot be stopped: it continues there, and is billed."""
    QUEUED_ONLY = "queued_only"
    """Stopped and not billed while it waits; work that has begun continues, and is billed."""
    NOT_REFUNDED = "not_refunded"
    """Stopped, and billed all the same once it has begun."""
    FORGETS = "forgets"
    """The service forgets it; the work continues there."""
    STOPS = "stops"
    """Stopped at any time."""
    UNKNOWN = "unknown"
    """Nobody knows."""


_STOPPED_AT_ANY_TIME: dict[CancelRule, TriState] = {
    CancelRule.NONE: False,
    CancelRule.FORGETS: False,
    CancelRule.STOPS: True,
}


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


class Capabilities(Document):
    """What one model of one backend can do; pure data, known without any I/O.

    Empty lists of values and absent limits mean "not limited as far as known".
    """

    backend: str = Field(min_length=1, description="Name of the backend.")
    model: str = Field(min_length=1, description="Name of the model these facts are about.")
    models: tuple[str, ...] = Field(
        default=(), description="All models of the backend, default first."
    )
    kind: str | None = Field(
        default=None,
        description="The backend behind a name from the settings; null: it has its own name.",
    )
    description: str = Field(default="", description="One line for a list.")
    modes: tuple[VideoMode, ...] = Field(
        default=(VideoMode.TEXT_TO_VIDEO,), description="Kinds of work."
    )
    by_mode: dict[VideoMode, ModeFacts] = Field(
        default={}, description="What is different in some of its modes."
    )
    input_roles: tuple[InputRole, ...] = Field(default=(), description="Supported input roles.")
    needs: tuple[InputRole, ...] = Field(
        default=(), description="Input roles without which it makes nothing; one of each at least."
    )
    max_inputs: dict[InputRole, int] = Field(
        default={}, description="Most inputs of a role; absent: not limited as far as known."
    )
    reads_urls: bool = Field(
        default=True, description="Takes inputs at http(s) addresses; false: only files and bytes."
    )

    uploads: str | None = Field(
        default=None,
        description="Which input files are uploaded to the storage of the service before the "
        "request, and how long they stay there; null: none.",
    )

    sizes: tuple[Size, ...] = Field(
        default=(), description="The only frame sizes, if they are few."
    )
    size_range: SizeRange | None = Field(default=None, description="Frame sizes, if they are many.")
    default_size: Size | None = Field(default=None, description="Used when no size is asked.")
    resolutions: tuple[ResolutionTier, ...] = Field(
        default=(), description="Supported resolution tiers."
    )
    image_sets_shape: bool = Field(
        default=False,
        description="With a first frame or source video and no size asked, frames have its shape; "
        "without aspect_ratios, also if one is asked.",
    )
    aspect_ratios: tuple[str, ...] = Field(default=(), description="Supported aspect ratios.")

    fps_values: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        default=(), description="The only frame rates, if few."
    )
    fps_range: FpsRange | None = Field(default=None, description="Frame rates, if many.")
    default_fps: float | None = Field(
        default=None, gt=0, le=1000, description="Used when no rate is asked."
    )

    durations: tuple[Seconds, ...] = Field(
        default=(), description="The only lengths, in seconds, if few."
    )
    min_duration: float | None = Field(default=None, ge=0, description="Shortest, in seconds.")
    max_duration: float | None = Field(
        default=None, gt=0, description="Longest, at once; null: no limit in seconds."
    )
    min_frames: int | None = Field(
        default=None, ge=1, description="Fewest frames, at any rate; null: no limit in frames."
    )
    max_frames: int | None = Field(
        default=None,
        ge=1,
        description="Most frames at once, at any rate; null: no limit in frames. The same as "
        "min_frames: it makes that many and no other.",
    )
    windows: Windows | None = Field(
        default=None, description="How longer videos are made; null: not within one job."
    )
    default_duration: float | None = Field(
        default=None, gt=0, description="Used when none is asked."
    )
    max_source_duration: float | None = Field(
        default=None,
        gt=0,
        description="Longest source video, in seconds; null: not limited as far as known.",
    )
    frame_multiple: int = Field(
        default=1, ge=1, description="It makes frame_multiple * k + frame_offset frames, k from 0."
    )
    frame_offset: int = Field(default=0, ge=0, description="See frame_multiple; Wan makes 4k + 1.")
    endless: TriState = Field(
        default=False, description="Whether it can run until finished by a command."
    )
    chunk_seconds: float | None = Field(
        default=None, gt=0, description="Length of a chunk; prompts change only between chunks."
    )
    max_shots: int | None = Field(
        default=1, ge=1, description="Shots in one request; null: no limit."
    )
    max_n: int = Field(default=1, ge=1, description="Videos in one request.")

    max_prompt_characters: int | None = Field(
        default=None, ge=1, description="Maximum length of a prompt, in characters."
    )
    max_negative_prompt_characters: int | None = Field(
        default=None, ge=1, description="Longest negative prompt."
    )
    max_prompt_words: int | None = Field(
        default=None, ge=1, description="Longest prompt, in words."
    )
    closed_vocabulary: tuple[str, ...] | None = Field(
        default=None, description="The only words it knows, lower case; null: open."
    )
    negative_prompt: TriState = Field(default=False, description="Supports a negative prompt.")
    camera: TriState = Field(default=False, description="Supports camera movements.")
    camera_moves: tuple[CameraMove, ...] = Field(
        default=(), description="The only camera movements; empty: all."
    )
    seed: TriState = Field(default=False, description="Supports a seed.")
    max_seed: int | None = Field(
        default=None, ge=0, description="Largest seed; null: not limited as far as known."
    )
    audio: TriState | Literal["always"] = Field(
        default=False,
        description="Can generate audio; always: it cannot be switched off; unknown: requests are "
        "passed on.",
    )

    controls: tuple[Control, ...] = Field(
        default=(), description="Commands that a running job supports."
    )
    cancel_rule: CancelRule = Field(
        default=CancelRule.UNKNOWN,
        description="What becomes of accepted work that is to stop: none (it continues, billed), "
        "queued_only (stopped only while it waits), not_refunded (stopped, billed once begun), "
        "forgets (forgotten, it continues), stops, unknown.",
    )
    bills_failed: TriState = Field(
        default="unknown", description="Whether work that failed there is billed."
    )
    resumable: TriState = Field(default=False, description="Resumes from a resume token.")
    image_model: str | None = Field(
        default=None,
        description="Model of the same backend that continues its videos from their last frames.",
    )
    extends: TriState = Field(default=False, description="Continues a finished video.")
    continues_own: bool = Field(
        default=False,
        description="Continues only videos of its own, which it knows by their ids (`own_id`).",
    )
    streams: TriState = Field(default=False, description="Delivers chunks while it works.")

    lookup: Literal["key", "list", "candidates", "none"] = Field(
        default="none",
        description="How work whose reply was lost is found: by our key; in a list; only its "
        "candidates are named, as the list proves nothing; never.",
    )
    lookup_seconds: float = Field(
        default=USUAL_LOOKUP_SECONDS,
        ge=0,
        le=86_400,
        description="For how many seconds such work may be missing there, as where it is listed "
        "only once it has ended; it is looked for that long.",
    )
    resubmits: bool = Field(
        default=False,
        description="Nothing is paid: work of unknown outcome may simply be submitted again.",
    )

    options: tuple[OptionSpec, ...] = Field(
        default=(), description="Options only this backend knows."
    )
    verification: Verification = Field(
        default=Verification(level=VerificationLevel.SHEET_ONLY),
        description="How far it was verified.",
    )
    only_by_name: bool = Field(
        default=False, description="Never chosen by routing: too little is known of it."
    )
    weights_sha256: Sha256 | None = Field(
        default=None, description="Digest of the weights, if local."
    )
    licence: str | None = Field(default=None, description="Licence of the model, SPDX or a name.")
    local: bool = Field(
        default=False, description="Runs on this machine: neither prompt nor video leaves it."
    )
    region: str | None = Field(
        default=None,
        description="Region of the provider that the settings choose; null: it has only one.",
    )
    missing: str | None = Field(
        default=None,
        description="What is missing, a colon, and how to get it, such as 'a key: set FAL_KEY'; "
        "null: nothing.",
    )

    @property
    def cancels(self) -> TriState:
        """Return whether work can be stopped at any time."""
        return _STOPPED_AT_ANY_TIME.get(self.cancel_rule, "unknown")

    def for_mode(self, mode: VideoMode) -> Self:
        """Return the facts about one mode of the model."""
        facts = self.by_mode.get(mode)
        if facts is None:
            return self
        changes = {name: value for name, value in facts if value is not None}
        return self.model_copy(update=changes)

    def at_rate(self, fps: float) -> Self:
        """Return the facts at one frame rate: what is limited in frames, limited in seconds.

        The only lengths that a model makes, where it lists them, are what they are at any rate.
        """
        if self.durations or (self.min_frames is None and self.max_frames is None):
            return self
        shortest = max(self.min_duration or 0.0, (self.min_frames or 0) / fps)
        most = None if self.max_frames is None else self.max_frames / fps
        limits = [each for each in (self.max_duration, most) if each is not None]
        longest = min(limits, default=None)
        usual = self.default_duration
        if usual is not None:
            usual = max(shortest, usual if longest is None else min(usual, longest))
        changes = {"min_duration": shortest, "max_duration": longest, "default_duration": usual}
        return self.model_copy(update={**changes, "min_frames": None, "max_frames": None})

    @model_validator(mode="after")
    def _check_defaults(self) -> Self:
        if self.sizes and self.default_size is not None and self.default_size not in self.sizes:
            raise ValueError(f"default_size {self.default_size} is not one of sizes")
        if self.default_fps is not None and self.default_fps not in (
            self.fps_values or (self.default_fps,)
        ):
            raise ValueError(f"default_fps {self.default_fps:g} is not one of fps_values")
        return self

    @model_validator(mode="after")
    def _check_frames(self) -> Self:
        for mode in (None, *self.by_mode):
            facts = self if mode is None else self.for_mode(mode)
            least, most = facts.min_frames, facts.max_frames
            if least is not None and most is not None and least > most:
                raise ValueError(f"min_frames {least} is more than max_frames {most}")
        return self


class MemoryUse(Schema):
    """How a model will be held in memory, and whether there is enough."""

    held: str = Field(description="Which way it is held: what is offloaded, decoding in tiles.")
    where: str | None = Field(default=None, description="Where it computes, such as cuda.")
    needed_bytes: int = Field(ge=0, description="Memory that it needs there, about.")
    free_bytes: int = Field(ge=0, description="Memory that is free there now.")

    @property
    def fits(self) -> bool:
        """Return whether it should fit, as far as that can be known."""
        return self.needed_bytes <= self.free_bytes

    def __str__(self) -> str:
        need = format_memory(self.needed_bytes)
        return f"{self.held}: needs about {need} of {format_memory(self.free_bytes)} free"


class Estimate(Document):
    """What a request would take; `None` is unknown, never free."""

    cost_usd: Usd | None = Field(
        default=None,
        description="Price in USD; 0 for own hardware, unless the settings price its hours.",
    )
    most_usd: Usd | None = Field(
        default=None,
        description="The most that it may come to, where the price is an estimate; null: cost_usd.",
    )
    seconds: float | None = Field(default=None, ge=0, description="Time to the finished file.")
    disk_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Disk space for resuming, in addition to the video, in bytes.",
    )
    memory: MemoryUse | None = Field(
        default=None, description="Memory of this machine; null: nobody knows, or it is hosted."
    )
    source: str | None = Field(
        default=None, description="Where the numbers come from, with a date."
    )
    usd_per_second: float | None = Field(
        default=None,
        ge=0,
        description="Price of a billed second, for a provider that says how many it bills.",
    )
    priced_on: datetime.date | None = Field(
        default=None, description="When the price was read; null: it comes from no list of prices."
    )

    @property
    def bound_usd(self) -> float | None:
        """Return the most that it may cost, which is what budgets hold; None: unknown."""
        return self.cost_usd if self.most_usd is None else self.most_usd

    def has_old_price(self, today: datetime.date) -> bool:
        """Return whether the price was read so long ago that it may not hold any more."""
        on = self.priced_on
        return bool(self.cost_usd) and on is not None and (today - on).days > PRICE_DAYS


UNKNOWN = Estimate()
"""What says nothing of price and time."""


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
