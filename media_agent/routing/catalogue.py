"""Facts about models as data: price, quality, licence, state, prompt rules, continuation models.

A backend supplies them as a YAML file (`BackendSpec.catalogue`). Facts come with what they are
worth: a price has its source and date, a quality is an opinion. An absent fact is unknown.
"""

import datetime
import logging
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from media_agent.backend.fence import PLUGIN_HINT, call_plugin
from media_agent.backend.protocol import BackendSpec
from media_agent.errors import PluginError, in_full
from media_agent.negotiation.sizes import find_short_side, short_side_of
from media_agent.registry.registry import Registry
from media_agent.validation import in_words
from media_agent_schemas.base import Schema
from media_agent_schemas.capabilities import Capabilities, Estimate, Verification
from media_agent_schemas.media import ResolutionTier
from media_agent_schemas.plan import Quality
from media_agent_schemas.request import VideoRequest

_LOGGER = logging.getLogger(__name__)


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
        return Estimate(cost_usd=cost, seconds=time, source="; ".join(sources) or None)


class _File(Schema):
    """One YAML file."""

    backend: str = Field(min_length=1)
    models: dict[str, ModelFacts]  # by name, or by a pattern with * for many


class Catalogue:
    """The facts of all backends."""

    def __init__(
        self,
        files: Mapping[str, Mapping[str, ModelFacts]] | None = None,
        problems: Iterable[str] = (),
    ) -> None:
        """Take the facts by backend and model, and which files could not be read, and why."""
        self._files = files or {}
        self.problems = tuple(problems)
        self._known: dict[tuple[str, str], ModelFacts] = {}

    @classmethod
    def load(cls, specs: Mapping[str, BackendSpec]) -> "Catalogue":
        """Read the files of these backends, by name; a faulty one is reported as a problem."""
        files: dict[str, Mapping[str, ModelFacts]] = {}
        read: dict[Path, Mapping[str, ModelFacts]] = {}
        problems: dict[str, None] = {}
        for name, spec in specs.items():
            if spec.catalogue is None:
                continue
            try:
                if spec.catalogue not in read:
                    read[spec.catalogue] = call_plugin(
                        "it", partial(read_catalogue, spec.catalogue), dict
                    )
                files[name] = read[spec.catalogue]
            except PluginError as error:
                problems[f"backend {spec.name}: {in_full(error)}"] = None
        for problem in problems:
            _LOGGER.warning("%s", problem)
        return cls(files, problems)

    def facts(self, backend: str, model: str) -> ModelFacts:
        """Return what is known about a model: by its name, else by the first pattern that fits."""
        key = backend, model
        if key not in self._known:
            self._known[key] = self._find(self._files.get(backend, {}), model)
        return self._known[key]

    def facts_of(self, capabilities: Capabilities) -> ModelFacts:
        """Return what is known about the model with these capabilities."""
        named = (capabilities.backend, capabilities.kind)
        backend = next((each for each in named if each in self._files), capabilities.backend)
        return self.facts(backend, capabilities.model)

    @cached_property
    def offers(self) -> Mapping[str, tuple[str, ...]]:
        """The backends that offer each model which has a name of its own, by that name."""
        found: dict[str, dict[str, None]] = {}
        for backend, models in self._files.items():
            for facts in models.values():
                if facts.offer_of is not None:
                    found.setdefault(facts.offer_of, {})[backend] = None
        return {name: tuple(backends) for name, backends in found.items()}

    def correct(self, capabilities: Capabilities) -> Capabilities:
        """Return capabilities with what the catalogue knows better, or what they leave unsaid.

        Raises:
            PluginError: what the catalogue says of them is no Capabilities.
        """
        facts = self.facts_of(capabilities)
        changes: dict[str, object] = {**facts.overrides}
        if capabilities.licence is None and facts.licence is not None:
            changes["licence"] = facts.licence
        if "verification" not in capabilities.model_fields_set and facts.verification is not None:
            changes["verification"] = facts.verification
        if not changes:
            return capabilities
        try:
            return Capabilities.model_validate({**dict(capabilities), **changes})
        except ValidationError as error:
            said = in_words(error, Capabilities)
            raise PluginError(
                f"backend {capabilities.backend}: the overrides of {capabilities.model}: {said}",
                hint=PLUGIN_HINT,
            ) from None

    def estimate(
        self, capabilities: Capabilities, own: Estimate, request: VideoRequest
    ) -> Estimate:
        """Return the backend's own estimate, completed by the catalogue where it is silent.

        What runs on this machine and names no price costs nothing.
        """
        if own.cost_usd is not None and own.seconds is not None:
            return own
        known = self.facts_of(capabilities).estimate(request)
        prices = (own.cost_usd, known.cost_usd, 0.0 if capabilities.local else None)
        return own.model_copy(
            update={
                "cost_usd": next((price for price in prices if price is not None), None),
                "seconds": known.seconds if own.seconds is None else own.seconds,
                "source": "; ".join(said for said in (own.source, known.source) if said) or None,
            }
        )

    @staticmethod
    def _find(models: Mapping[str, ModelFacts], name: str) -> ModelFacts:
        if name in models:
            return models[name]
        fitting = (facts for pattern, facts in models.items() if fnmatchcase(name, pattern))
        return next(fitting, ModelFacts())


def load_catalogue(registry: Registry) -> Catalogue:
    """Read what is known of the models of all backends, under every name that a backend has."""
    specs = {name: registry.spec(name) for name in registry.names()}
    return Catalogue.load({name: spec for name, spec in specs.items() if spec is not None})


def read_catalogue(path: Path) -> dict[str, ModelFacts]:
    """Read one file: the facts of a backend's models, by name or by a pattern with * for many.

    Raises:
        PluginError: it is missing, no YAML, or says something unknown.
    """
    import yaml

    try:
        data = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return _File.model_validate(data).models
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = f"the catalogue {path} cannot be read: {error}"
        raise PluginError(problem, hint=PLUGIN_HINT) from error
    except ValidationError as error:
        problem = f"the catalogue {path}: {in_words(error, _File)}"
        raise PluginError(problem, hint=PLUGIN_HINT) from error


def _measure_seconds(
    request: VideoRequest, at_fps: float | None = None, more_frames: int = 0
) -> float | None:
    """Return the seconds of a request, or its frames at another rate, with some more frames."""
    fps = at_fps or request.fps
    if request.num_frames is not None and fps is not None:
        return (request.num_frames + more_frames) / fps
    return None if request.endless else request.seconds()
