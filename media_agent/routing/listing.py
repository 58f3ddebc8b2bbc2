"""What every backend says it can do, what that costs, and why some of them cannot be asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from pydantic import JsonValue

from media_agent.backend.fence import call_plugin
from media_agent.config.settings import Settings
from media_agent.errors import MediaAgentError, PluginError, in_full
from media_agent.registry.model_folders import ModelFolders
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import Catalogue, load_catalogue
from media_agent.routing.offers import find_offering
from media_agent.routing.router import Router
from media_agent_schemas.base import format_usd
from media_agent_schemas.capabilities import FALLBACK_FPS, FALLBACK_SECONDS, Capabilities
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.request import VideoMode, VideoRequest


@dataclass(frozen=True, slots=True)
class Listed:
    """One model, and what a usual video of it costs."""

    capabilities: Capabilities
    estimate: Estimate
    seconds: float
    offer_of: str | None = None
    """The model that it is an offer of."""

    @property
    def name(self) -> str:
        """Return "backend/model"."""
        return f"{self.capabilities.backend}/{self.capabilities.model}"

    def as_json(self) -> JsonValue:
        """Return everything that is known."""
        known: dict[str, JsonValue] = self.capabilities.model_dump(mode="json")
        return known | {
            "estimate": self.estimate.model_dump(mode="json"),
            "estimate_seconds_of_video": self.seconds,
            "offer_of": self.offer_of,
        }

    @property
    def usd_per_second(self) -> float | None:
        """The price of a second of video in USD; None: it is unknown."""
        cost = self.estimate.cost_usd
        return None if cost is None else cost / self.seconds

    def price(self) -> str:
        """Return the price of a second of video."""
        usd = self.usd_per_second
        if usd is None:
            return "unknown"
        return "free" if usd == 0 else f"${format_usd(usd)}/s"


@dataclass(frozen=True, slots=True)
class Listing:
    """All that could be asked, and what is wrong with the rest."""

    models: tuple[Listed, ...]
    problems: tuple[str, ...] = ()
    """Everything that keeps a backend or a model out of the list."""
    faults: tuple[str, ...] = ()
    """Those of the problems that are faults of a plugin."""
    notes: tuple[str, ...] = ()
    """Backends that have no model yet, and how to add one; services that are not supported."""
    errors: Mapping[str, MediaAgentError] = field(default_factory=dict)
    """The first problem or note of each backend that has one, by its name."""


def list_all(registry: Registry, settings: Settings) -> Listing:
    """Ask every backend for every model it offers; what cannot be asked is a problem."""
    catalogue = load_catalogue(registry, settings.data_dir)
    faults = [in_full(error) for error in registry.list_broken().values()]
    faults += catalogue.problems
    absent = (spec.unsupported for spec in registry.specs.values() if spec.unsupported is not None)
    notes = [in_full(each.to_error()) for each in absent]
    found = _Found(problems=list(faults), faults=faults, notes=notes)
    for name in registry.names():
        try:
            router = _make_router(name, registry, settings, catalogue)
        except MediaAgentError as error:
            found.keep(name, error)
            continue
        who = f"plugin {registry.plugin(name)}: backend {name}"
        waits = _awaits_models(name, registry, settings)
        found.add_models(router, name, who, awaits_models=waits)
    return found.to_listing()


def list_models(router: Router, names: Iterable[str]) -> Listing:
    """Ask the backends of these names, which are open already, for every model they offer."""
    found = _Found()
    for name in names:
        found.add_models(router, name, f"backend {name}")
    return found.to_listing()


def list_one(wanted: str, registry: Registry, settings: Settings) -> Listing:
    """Ask for one model, "backend/model", for all of one backend, or for all offers of a model.

    Raises:
        MediaAgentError: it does not exist, or cannot be asked.
    """
    catalogue = load_catalogue(registry, settings.data_dir)
    if find_offering(wanted, catalogue.offers, registry.names()):
        found = list_all(registry, settings)
        offers = (each for each in found.models if each.offer_of == wanted)
        return replace(found, models=tuple(offers), notes=())
    name, _, model = wanted.partition("/")
    router = _make_router(name, registry, settings, catalogue)
    models = [wanted] if model else router.models(name)
    return Listing(tuple(_list_model(router, each) for each in models))


@dataclass
class _Found:
    """What was found so far, and what was in the way."""

    models: list[Listed] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: dict[str, MediaAgentError] = field(default_factory=dict)

    def add_models(
        self, router: Router, name: str, who: str, *, awaits_models: bool = False
    ) -> None:
        what = f"{who}: a typical video as declared"
        for model in router.models(name):
            try:
                self.models.append(call_plugin(what, partial(_list_model, router, model), Listed))
            except MediaAgentError as error:
                if awaits_models:
                    self.notes.append(in_full(error))
                    self.errors.setdefault(name, error)
                else:
                    self.keep(name, error)

    def keep(self, name: str, error: MediaAgentError) -> None:
        said = f"{name}: {in_full(error).removeprefix(f'{name} ')}"
        self.problems.append(said)
        self.errors.setdefault(name, error)
        if isinstance(error, PluginError):
            self.faults.append(said)

    def to_listing(self) -> Listing:
        problems, faults = dict.fromkeys(self.problems), dict.fromkeys(self.faults)
        return Listing(
            tuple(self.models), tuple(problems), tuple(faults), tuple(self.notes), self.errors
        )


def _make_router(name: str, registry: Registry, settings: Settings, catalogue: Catalogue) -> Router:
    backend = registry.create(name, settings.backend_settings(name, registry.spec(name)))
    return Router({name: backend}, catalogue, draw_seed=lambda: 0)


def _list_model(router: Router, model: str) -> Listed:
    choice = router.find_model(model)
    capabilities = choice.capabilities
    request = _build_typical_request(capabilities)
    offer_of = choice.facts.offer_of
    seconds = request.seconds() or FALLBACK_SECONDS
    try:
        return Listed(capabilities, choice.estimate(request), seconds, offer_of)
    except PluginError:
        raise
    except MediaAgentError:  # a price that depends on what is left open
        return Listed(capabilities, Estimate(), FALLBACK_SECONDS, offer_of)


def _build_typical_request(capabilities: Capabilities) -> VideoRequest:
    """Return the request that a model's own defaults amount to."""
    modes = capabilities.modes
    fps = capabilities.default_fps or (capabilities.fps_values or (FALLBACK_FPS,))[0]
    seconds = capabilities.default_duration or (capabilities.durations or (FALLBACK_SECONDS,))[0]
    return VideoRequest(
        prompt="x",
        mode=None if VideoMode.TEXT_TO_VIDEO in modes else modes[0],
        model=f"{capabilities.backend}/{capabilities.model}",
        fps=fps,
        num_frames=max(1, round(seconds * fps)),
        size=capabilities.default_size,
        resolution=capabilities.resolutions[0]
        if capabilities.resolutions and capabilities.default_size is None
        else None,
    )


def _awaits_models(name: str, registry: Registry, settings: Settings) -> bool:
    """Return whether a backend was not told yet where its models are."""
    spec = registry.spec(name)
    if spec is None:
        return False
    own = settings.backend_settings(name)
    if spec.awaits_option is not None:
        return spec.awaits_option not in own.options
    return (spec.takes_folders and not spec.has_models) and not (
        own.options.get("models")
        or own.models
        or ModelFolders(settings.data_dir).list_folders(spec.name)
    )
