"""What a catalogue may say of a model: price, quality, licence, state, prompts, continuation.

Facts come with what they are worth: a price has its source and date, a quality is an opinion. An
absent fact is unknown.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, JsonValue

from media_agent.negotiation.sizes import find_short_side, short_side_of
from media_agent_schemas.base import Schema
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.facts import Verification
from media_agent_schemas.media import InputRole, ResolutionTier
from media_agent_schemas.plan import Quality
from media_agent_schemas.request import VideoMode, VideoRequest

_VIDEOS = (InputRole.SOURCE_VIDEO, InputRole.MOTION)
_MOST_USD = 10**6  # for a second, an image or a video: what is above it is a slip
_LONGEST = 10**6  # seconds
_FROM_VIDEO = (VideoMode.VIDEO_EDIT, VideoMode.VIDEO_EXTEND)


@dataclass(frozen=True, slots=True)
class KnownBefore:
    """What decides a price and is known before a request is planned."""

    region: str | None
    mode: VideoMode | None
    """None: a video in segments, of several modes."""
    side: int | None
    """The shorter side of the frames; None: it is open."""


class Price(Schema):
    """What is charged for some requests; the first price that fits a request is its price."""

    usd: float = Field(ge=0, le=_MOST_USD, description="In USD, for one `per`.")
    per: Literal["second", "video"] = Field(description="What one unit is.")
    up_to: ResolutionTier | None = Field(default=None, description="Only up to this resolution.")
    audio: bool | None = Field(default=None, description="Only with audio, or only without.")
    modes: tuple[VideoMode, ...] | None = Field(
        default=None, description="Only for these kinds of work."
    )
    minimum_seconds: float = Field(
        default=0, ge=0, le=_LONGEST, description="Seconds charged at least."
    )
    at_fps: float | None = Field(
        default=None, ge=1, le=1000, description="A second is this many frames."
    )
    more_frames: int = Field(
        default=0, ge=0, le=10**6, description="Frames charged in addition to those of the video."
    )
    images_included: int = Field(
        default=0, ge=0, description="Images of a request that cost nothing."
    )
    usd_per_image: float = Field(
        default=0, ge=0, le=_MOST_USD, description="For each further image."
    )
    without_options: tuple[str, ...] = Field(
        default=(), description="Only without these options, whose charge is unknown."
    )
    steps_included: int | None = Field(
        default=None, ge=1, description="More num_inference_steps than these cost in proportion."
    )
    region: str | None = Field(default=None, description="Only in this region of the provider.")
    input_videos: Literal["free", "charged", "unknown"] = Field(
        default="free",
        description="What videos among the inputs add: nothing; their seconds; unknown.",
    )
    most_video_seconds: float | None = Field(
        default=None,
        gt=0,
        le=_LONGEST,
        description="Seconds counted where they are charged: the most that a request may bring. "
        "Without it, the cost of such a request is unknown.",
    )
    source: str = Field(min_length=1, description="Where the price was read.")
    date: datetime.date = Field(description="When it was read.")

    def fits(self, request: VideoRequest, region: str | None = None) -> bool:
        """Return whether this price fits a negotiated request; audio left open counts as on."""
        if self.region not in (None, region):
            return False
        if self.audio is not None and self.audio != (request.audio is not False):
            return False
        if self.modes is not None and request.infer_mode() not in self.modes:
            return False
        if any(
            name in given for given in request.options.values() for name in self.without_options
        ):
            return False
        side = find_short_side(request)
        return self.up_to is None or (side is not None and side <= short_side_of(self.up_to))

    def cost(self, request: VideoRequest) -> float | None:
        """Return the cost in USD, None where it is unknown."""
        units = 1.0 if self.per == "video" else self._count_seconds(request)
        if units is None or (self.input_videos == "unknown" and _has_video(request)):
            return None
        images = len(request.inputs) - _count_videos(request)
        for_images = self.usd_per_image * max(0, images - self.images_included)
        return (self.usd * units + for_images) * request.n

    def _count_seconds(self, request: VideoRequest) -> float | None:
        seconds = _measure_seconds(request, self.at_fps, self.more_frames)
        if self.input_videos == "charged" and _has_video(request):
            if self.most_video_seconds is None or seconds is None:
                return None
            seconds += self.most_video_seconds
        if seconds is None:
            return None
        return max(seconds, self.minimum_seconds) * self._scale_steps(request)

    def rate(self, request: VideoRequest) -> float | None:
        """Return what a billed second costs in USD; None: unknown."""
        is_other = self.input_videos == "unknown" and _has_video(request)
        return None if self.per != "second" or is_other else self.usd

    def _scale_steps(self, request: VideoRequest) -> float:
        if self.steps_included is None:
            return 1.0
        asked = [options.get("num_inference_steps") for options in request.options.values()]
        steps = [float(str(value)) for value in asked if str(value).isdecimal()]
        return max([1.0, *(count / self.steps_included for count in steps)])

    def least_cost(self, seconds: float, fps: float) -> float:
        """Return the least cost of a video of so many seconds at this rate."""
        if self.per == "video":
            return self.usd
        charged = seconds * fps / (self.at_fps or fps)
        return self.usd * max(charged, self.minimum_seconds)

    def may_fit(self, request: VideoRequest, known: "KnownBefore") -> bool:
        """Return whether this price may fit a request before it is planned."""
        if self.region not in (None, known.region):
            return False
        if self.modes is not None and known.mode is not None and known.mode not in self.modes:
            return False
        if self.audio is False and request.audio is None:  # which counts as on
            return False
        side = known.side
        return self.up_to is None or side is None or side <= short_side_of(self.up_to)


class Speed(Schema):
    """How long it takes, roughly."""

    seconds_per_second: float = Field(
        ge=0, le=_LONGEST, description="Seconds of work per second of video."
    )
    start_seconds: float = Field(
        default=0, ge=0, le=_LONGEST, description="Seconds before work starts."
    )
    source: str = Field(min_length=1, description="Who measured it, on what.")
    date: datetime.date = Field(description="When.")


class Rewriting(Schema):
    """A provider that rewrites prompts before the model sees them."""

    option: str | None = Field(
        default=None, description="Option that controls it; null: there is none."
    )
    off: JsonValue = Field(default=False, description="Its value that leaves prompts alone.")


class ModelFacts(Schema):
    """Everything known about one model in addition to what its backend declares."""

    offer_of: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]*$",
        description="The name of the model, the same at every provider that offers it.",
    )
    status: Literal["live", "preview", "unverified", "retired", "test"] = Field(
        default="live",
        description="test: no model at all; unverified: probably retired; both are chosen only by "
        "name. retired: gone.",
    )
    status_since: datetime.date | None = Field(default=None, description="Since when it is so.")
    status_source: str | None = Field(default=None, description="Who says so.")
    successor: str | None = Field(default=None, description="What to use instead, if retired.")
    licence: str | None = Field(default=None, description="SPDX, or a name.")
    quality: Quality | None = Field(default=None, description="An opinion.")
    prices: tuple[Price, ...] = Field(default=(), description="First fit counts.")
    speed: Speed | None = Field(default=None, description="Roughly.")
    rewriting: Rewriting | None = Field(
        default=None, description="Null: prompts reach the model as sent."
    )
    image_model: str | None = Field(default=None, description="Model that starts from an image.")
    extend_model: str | None = Field(default=None, description="Model that continues a video.")
    only_named: str | None = Field(
        default=None, description="Why it is chosen only by name; null: as its rating says."
    )
    verification: Verification | None = Field(
        default=None, description="If the backend declares none."
    )
    overrides: dict[str, JsonValue] = Field(
        default={}, description="Fields of Capabilities, corrected."
    )

    def find_least_cost(
        self, request: VideoRequest, known: KnownBefore, *, seconds: float, fps: float
    ) -> float | None:
        """Return the least that a video of so many seconds costs; None: it is unknown."""
        prices = [price for price in self.prices if price.may_fit(request, known)]
        is_plain = known.side is not None and known.mode is not None and request.audio is None
        if is_plain and not any(price.without_options for price in prices):
            prices = prices[:1]  # the first that fits is the price
        costs = (price.least_cost(seconds, fps) for price in prices)
        return min(costs, default=None)

    def estimate(self, request: VideoRequest, region: str | None = None) -> Estimate:
        """Return price and time of a negotiated request; None where nothing is known."""
        price = next((price for price in self.prices if price.fits(request, region)), None)
        seconds = _measure_seconds(request)
        sources = []
        cost, rate = None, None
        if price is not None:
            cost, rate = price.cost(request), price.rate(request)
            sources.append(f"price: {price.source}, {price.date}")
        time = None
        if self.speed is not None and seconds is not None:
            time = self.speed.start_seconds + self.speed.seconds_per_second * seconds
            sources.append(f"time: {self.speed.source}, {self.speed.date}")
        source = "; ".join(sources) or None
        return Estimate(
            cost_usd=cost,
            seconds=time,
            source=source,
            usd_per_second=rate,
            priced_on=None if price is None else price.date,
        )


def find_facts(models: Mapping[str, ModelFacts], name: str) -> ModelFacts:
    """Return what is known of a model: by its name, else by the first pattern that fits."""
    if name in models:
        return models[name]
    fitting = (facts for pattern, facts in models.items() if fnmatchcase(name, pattern))
    return next(fitting, ModelFacts())


def _count_videos(request: VideoRequest) -> int:
    return sum(medium.role in _VIDEOS for medium in request.inputs)


def _has_video(request: VideoRequest) -> bool:
    """Whether a video goes in; of a segment to come only its mode says so."""
    return _count_videos(request) > 0 or request.infer_mode() in _FROM_VIDEO


def _measure_seconds(
    request: VideoRequest, at_fps: float | None = None, more_frames: int = 0
) -> float | None:
    """Return the seconds of a request, or its frames at another rate, with some more frames."""
    fps = at_fps or request.fps
    if request.num_frames is not None and fps is not None:
        return (request.num_frames + more_frames) / fps
    return None if request.endless else request.seconds()
