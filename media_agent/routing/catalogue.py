"""The facts about models that backends supply as YAML files (`BackendSpec.catalogue`)."""

import logging
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from media_agent.backend.fence import PLUGIN_HINT, call_plugin
from media_agent.backend.protocol import BackendSpec, VideoBackend
from media_agent.errors import MediaAgentError, PluginError, in_full
from media_agent.registry.registry import Registry
from media_agent.routing.facts import ModelFacts, find_facts
from media_agent.routing.methods.choice import ModelChoice
from media_agent.routing.refresh.stored import UpdateStore
from media_agent.validation import in_words
from media_agent_schemas.base import Schema
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.estimate import UNKNOWN, Estimate
from media_agent_schemas.request import VideoRequest

MOST_MODELS = 10_000
"""Models that are remembered; past that all of them are forgotten."""
_LOGGER = logging.getLogger(__name__)


class _File(Schema):
    """One YAML file."""

    backend: str = Field(min_length=1)
    offers: dict[str, tuple[str, ...]] = Field(default={})  # models and patterns, by their model
    models: dict[str, ModelFacts]  # by name, or by a pattern with * for many


Offered = Mapping[str, tuple[str, ...]]
"""Patterns of the models of a backend, by the name of the model that they are offers of."""
_Chosen = tuple[VideoBackend, Capabilities, ModelChoice]
"""A backend, what it says of a model, and what is made of that."""


class Catalogue:
    """The facts of all backends."""

    def __init__(
        self,
        files: Mapping[str, Mapping[str, ModelFacts]] | None = None,
        problems: Iterable[str] = (),
        offers: Mapping[str, Offered] | None = None,
    ) -> None:
        """Take the facts by backend and model, and which files could not be read, and why.

        `offers` has for each backend which of its models are offers of which.
        """
        self.files = files or {}
        self.offered = offers or {}
        self.problems = tuple(problems)
        self._known: dict[tuple[str, str], ModelFacts] = {}
        self._choices: dict[tuple[str, str | None], _Chosen] = {}

    @classmethod
    def load(cls, specs: Mapping[str, BackendSpec]) -> "Catalogue":
        """Read the files of these backends, by name; a faulty one is reported as a problem."""
        files: dict[str, Mapping[str, ModelFacts]] = {}
        offers: dict[str, Offered] = {}
        read: dict[Path, _File] = {}
        problems: dict[str, None] = {}
        for name, spec in specs.items():
            if spec.catalogue is None:
                continue
            try:
                if spec.catalogue not in read:
                    read[spec.catalogue] = call_plugin(
                        "it", partial(_read_file, spec.catalogue), _File
                    )
                files[name] = read[spec.catalogue].models
                offers[name] = read[spec.catalogue].offers
            except PluginError as error:
                problems[f"backend {spec.name}: {in_full(error)}"] = None
        for problem in problems:
            _LOGGER.warning("%s", problem)
        return cls(files, problems, offers)

    def facts(self, backend: str, model: str) -> ModelFacts:
        """Return what is known about a model: by its name, else by the first pattern that fits."""
        key = backend, model
        if key not in self._known:
            facts = find_facts(self.files.get(backend, {}), model)
            offer_of = facts.offer_of or self._find_offer(backend, model)
            _make_room(self._known)
            self._known[key] = facts.model_copy(update={"offer_of": offer_of})
        return self._known[key]

    def facts_of(self, capabilities: Capabilities) -> ModelFacts:
        """Return what is known about the model with these capabilities."""
        named = (capabilities.backend, capabilities.kind)
        backend = next((each for each in named if each and each in self.files), named[0])
        return self.facts(backend, capabilities.model)

    def _find_offer(self, backend: str, model: str) -> str | None:
        """Return the model that a backend's model is an offer of."""
        offered = self.offered.get(backend, {}).items()
        found = (
            name for name, models in offered if any(fnmatchcase(model, each) for each in models)
        )
        return next(found, None)

    @cached_property
    def offers(self) -> Mapping[str, tuple[str, ...]]:
        """The backends that offer each model which has a name of its own, by that name."""
        found: dict[str, dict[str, None]] = {}
        for backend, offered in self.offered.items():
            for name in offered:
                found.setdefault(name, {})[backend] = None
        for backend, models in self.files.items():
            for facts in models.values():
                if facts.offer_of is not None:
                    found.setdefault(facts.offer_of, {})[backend] = None
        return {name: tuple(backends) for name, backends in found.items()}

    def find_choice(self, backend: VideoBackend, model: str | None) -> ModelChoice:
        """Return a model of a backend with all that is known of it; None is its default model.

        One that says the same as before is not put together again.

        Raises:
            InvalidRequestError: there is no such model.
        """
        said = backend.capabilities(model)
        key = backend.name, model
        known = self._choices.get(key)
        if known is None or known[0] is not backend or known[1] is not said:
            _make_room(self._choices)
            known = self._choices[key] = backend, said, self._build_choice(backend, said)
        return known[2]

    def _build_choice(self, backend: VideoBackend, said: Capabilities) -> ModelChoice:
        capabilities = self.correct(said)

        def estimate(request: VideoRequest) -> Estimate:
            return self.estimate(capabilities, backend.estimate(request), request)

        return ModelChoice(capabilities, estimate, self.facts_of(capabilities), backend.estimate)

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

        What runs on this machine and names no price costs nothing, unless the settings price its
        hours: then nobody knows how many they are.
        """
        if own.cost_usd is not None and own.seconds is not None:
            return own
        known = self.facts_of(capabilities).estimate(request, capabilities.region)
        if own is UNKNOWN and not capabilities.local:
            return known
        is_free = capabilities.local and not own.usd_per_second
        prices = (own.cost_usd, known.cost_usd, 0.0 if is_free else None)
        return own.model_copy(
            update={
                "cost_usd": next((price for price in prices if price is not None), None),
                "seconds": known.seconds if own.seconds is None else own.seconds,
                "source": "; ".join(said for said in (own.source, known.source) if said) or None,
                "usd_per_second": own.usd_per_second or known.usd_per_second,
                "priced_on": known.priced_on if own.cost_usd is None else own.priced_on,
            }
        )


def load_catalogue(registry: Registry, data_dir: Path) -> Catalogue:
    """Read what is known of the models of all backends, under every name that a backend has.

    An update that was fetched into the data folder goes over what the release knows.
    """
    specs = {name: registry.spec(name) for name in registry.names()}
    shipped = Catalogue.load({name: spec for name, spec in specs.items() if spec is not None})
    try:
        stored = UpdateStore(data_dir).get()
        update = None if stored is None else stored.read()
    except MediaAgentError as error:
        problems = (*shipped.problems, in_full(error))
        return Catalogue(shipped.files, problems, shipped.offered)
    if update is None:
        return shipped
    kinds = {name: spec.name for name, spec in specs.items() if spec is not None}
    files = {name: update.apply(kind, shipped.files.get(name, {})) for name, kind in kinds.items()}
    return Catalogue(files, shipped.problems, shipped.offered)


def read_catalogue(path: Path) -> dict[str, ModelFacts]:
    """Read one file: the facts of a backend's models, by name or by a pattern with * for many.

    Raises:
        PluginError: it is missing, no YAML, or says something unknown.
    """
    return _read_file(path).models


def _make_room(known: dict[Any, Any]) -> None:
    """Forget what is known when it is very much: callers of a server may make names up."""
    if len(known) >= MOST_MODELS:
        known.clear()


def _read_file(path: Path) -> _File:
    import yaml

    try:
        return _parse(path.read_bytes())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = f"the catalogue {path} cannot be read: {error}"
        raise PluginError(problem, hint=PLUGIN_HINT) from error
    except ValidationError as error:
        problem = f"the catalogue {path}: {in_words(error, _File)}"
        raise PluginError(problem, hint=PLUGIN_HINT) from error


@lru_cache(maxsize=64)  # each client of a process reads the same files
def _parse(content: bytes) -> _File:
    import yaml

    data = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return _File.model_validate(data)
