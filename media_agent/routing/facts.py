"""What a catalogue may say of a model: price, quality, licence, state, prompts, continuation.

Facts come with what they are worth: a price has its source and date, a quality is an opinion. An
absent fact is unknown.
"""

import datetime
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, JsonValue

from media_agent.negotiation.sizes import find_short_side, short_side_of
from media_agent_schemas.base import Schema
from media_agent_schemas.capabilities import Estimate, Verification
from media_agent_schemas.media import ResolutionTier
from media_agent_schemas.plan import Quality
from media_agent_schemas.request import VideoRequest


class Price(Schema):
    """What is charged for some requests; the first price that fits a request is its price."""

    usd: float = Field(ge=0, description="In USD, for one `per`.")
    per: Literal["second", "video"] = Field(description="What one unit is.")
    up_to: ResolutionTier | None = Field(default=None, description="Only up to this resolution.")
    audio: bool | None = Field(default=None, description="Only with audio, or only without.")
    minimum_seconds: float = Field(default=0, ge=0, description="Seconds charged at least.")
    at_fps: float | None = Field(default=None, gt=0, description="A second is this many frames.")
    more_frames: int = Field(
        default=0, ge=0, description="Frames charged in addition to those of the video."
    )
    steps_included: int | None = Field(
        default=None, ge=1, description="More num_inference_steps than these cost in proportion."
    )
    source: str = Field(min_length=1, description="Where the price was read.")
    date: datetime.date = Field(description="When it was read.")

    def fits(self, request: VideoRequest) -> bool:
        """Return whether this price fits a negotiated request; audio left open counts as on."""
        if self.audio is not None and self.audio != (request.audio is not False):
            return False
        side = find_short_side(request)
        return self.up_to is None or (side is not None and side <= short_side_of(self.up_to))

    def cost(self, request: VideoRequest) -> float | None:
        """Return the cost in USD, None where the length is unknown."""
        if self.per == "video":
            return self.usd * request.n
        seconds = _measure_seconds(request, self.at_fps, self.more_frames)
        if seconds is None:
            return None
        return (
            self.usd * max(seconds, self.minimum_seconds) * self._scale_steps(request) * request.n
        )

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

    def may_fit(self, request: VideoRequest, side: int | None) -> bool:
        """Return whether this price may fit, where the shorter side is known or not."""
        if self.audio is False and request.audio is None:  # which counts as on
            return False
        return self.up_to is None or side is None or side <= short_side_of(self.up_to)


class Speed(Schema):
    """How long it takes, roughly."""

    seconds_per_second: float = Field(ge=0, description="Seconds of work per second of video.")
    start_seconds: float = Field(default=0, ge=0, description="Seconds before work starts.")
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
        self, request: VideoRequest, *, seconds: float, fps: float, side: int | None
    ) -> float | None:
        """Return the least that a video of so many seconds costs; None: it is unknown."""
        prices = [price for price in self.prices if price.may_fit(request, side)]
        if side is not None and request.audio is None:
            prices = prices[:1]  # the first that fits is the price
        costs = (price.least_cost(seconds, fps) for price in prices)
        return min(costs, default=None)

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return price and time of a negotiated request; None where nothing is known."""
        price = next((price for price in self.prices if price.fits(request)), None)
        seconds = _measure_seconds(request)
        sources = []
        cost = None
        if price is not None:
            cost = price.cost(request)
            sources.append(f"price: {price.source}, {price.date}")
        time = None
        if self.speed is not None and seconds is not None:
            time = self.speed.start_seconds + self.speed.seconds_per_second * seconds
            sources.append(f"time: {self.speed.source}, {self.speed.date}")
        return Estimate(
            cost_usd=cost,
            seconds=time,
            source="; ".join(sources) or None,
            priced_on=None if price is None else price.date,
        )


def find_facts(models: Mapping[str, ModelFacts], name: str) -> ModelFacts:
    """Return what is known of a model: by its name, else by the first pattern that fits."""
    if name in models:
        return models[name]
    fitting = (facts for pattern, facts in models.items() if fnmatchcase(name, pattern))
    return next(fitting, ModelFacts())


def _measure_seconds(
    request: VideoRequest, at_fps: float | None = None, more_frames: int = 0
) -> float | None:
    """Return the seconds of a request, or its frames at another rate, with some more frames."""
    fps = at_fps or request.fps
    if request.num_frames is not None and fps is not None:
        return (request.num_frames + more_frames) / fps
    return None if request.endless else request.seconds()
