"""Looks through the settings for faults before work does, and says each with its file and line."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from pydantic import JsonValue

from media_agent.backend.protocol import VideoBackend
from media_agent.concealing import is_telling, without_keys
from media_agent.config.faults import find_unknown_variables, read_sound
from media_agent.config.file import ConfigFile
from media_agent.config.key_sections import KeySource
from media_agent.config.settings import Settings, load_settings, look_at_sources
from media_agent.config.sources import Sources
from media_agent.environment import expand_home
from media_agent.errors import (
    ConfigurationError,
    Fault,
    InvalidRequestError,
    MediaAgentError,
    in_full,
)
from media_agent.policy.asking import Policies
from media_agent.redact import redact
from media_agent.registry.registry import Registry
from media_agent.routing.catalogue import load_catalogue
from media_agent.routing.listing import list_all
from media_agent.routing.offers import Offers, find_offering, suggest_model
from media_agent.storage.files import is_open_to_others
from media_agent.suggest import did_you_mean

_PLACE = re.compile(r"(?:(?P<file>.+?):(?P<line>\d+)|(?P<variable>MEDIA_AGENT_\w+)|settings): ")
"""Where a finding is, at the beginning of its text."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about the settings; its text begins with where it is."""

    text: str
    key: str | None = None
    is_fault: bool = True

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for programs: what, and where as far as that is known."""
        place = _PLACE.match(self.text)
        said = self.text if place is None else self.text[place.end() :]
        line = None if place is None else place["line"]
        return {
            "level": "error" if self.is_fault else "warning",
            "file": None if place is None else place["file"],
            "line": None if line is None else int(line),
            "variable": None if place is None else place["variable"],
            "key": self.key,
            "message": said.removeprefix(f"{self.key}: "),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What was read, and what is wrong with it."""

    files: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether there is no fault; there may be warnings."""
        return not any(finding.is_fault for finding in self.findings)


def check(config: Path | None = None) -> Report:
    """Read the settings as every command does, or with this file, and try every section."""
    arguments = {} if config is None else {"config": config}
    if config is not None and not config.is_file():
        return Report((), (Finding(f"{config}: no such file"),))
    try:
        load_settings(**arguments)
    except ConfigurationError as error:
        if not error.faults:  # a source cannot be read at all
            return Report((), (Finding(in_full(error)),))
    sources = look_at_sources(**arguments)
    settings, malformed = read_sound(sources)
    registry = Registry(kinds=settings.kinds())
    keys = [secret.get_secret_value() for secret in settings.secrets()]
    faults = (*malformed, *_find_faults(settings, registry, sources.list_names("backends")))
    described = [Finding(sources.describe(each), _join_place(each.place)) for each in faults]
    warnings = (*_find_warnings(settings, sources), *list_all(registry, settings).faults)
    findings = (*described, *(Finding(text, is_fault=False) for text in warnings))
    redacted = (replace(each, text=redact(each.text, keys)) for each in findings)
    return Report(tuple(file.path for file in sources.files), tuple(redacted))


def _join_place(place: Sequence[str]) -> str:
    return without_keys(".".join(place))


def _find_faults(
    settings: Settings, registry: Registry, sections: Collection[str]
) -> Iterator[Fault]:
    """Yield what is wrong beyond malformed values; `sections` are all that are written."""
    yield from _find_policy_faults(settings, registry)
    backends: dict[str, VideoBackend | None] = {}
    for name, section in settings.backends.items():
        key_faults = [*_find_key_faults(("backends", name), section.sources())]
        yield from key_faults
        try:
            backends[name] = registry.create(
                name, settings.backend_settings(name, registry.spec(name))
            )
        except MediaAgentError as error:
            backends[name] = None
            faults = getattr(error, "faults", ()) or (Fault(("backends", name), error.message),)
            said = {fault.problem for fault in key_faults}
            yield from (fault for fault in faults if fault.problem not in said)
    yield from _find_key_faults(("server",), settings.server.sources())
    yield from _find_key_faults(("provenance",), {(): settings.provenance})
    known = _Known(settings, registry, backends)
    unread = set(sections) - settings.backends.keys()  # their own faults are known
    for place, name in _list_names(settings):
        problem = None if name.partition("/")[0] in unread else known.find_problem(name)
        if problem is not None:
            yield Fault(place, problem)


def _find_policy_faults(settings: Settings, registry: Registry) -> Iterator[Fault]:
    """Yield what keeps a policy from being asked: then nothing is made."""
    for name, section in settings.policies.items():
        key_faults = [*_find_key_faults(("policies", name), {(): section})]
        yield from key_faults
        if any(each.place[-1] == "key_file" for each in key_faults):
            continue
        rules = {name: section.as_rule(name)}
        try:
            Policies(partial(dict, rules), lambda: registry.policies).make(name)
        except MediaAgentError as error:
            yield from getattr(error, "faults", ()) or [Fault(("policies", name), in_full(error))]


def _find_key_faults(
    at: tuple[str, ...], sources: Mapping[tuple[str, ...], KeySource]
) -> Iterator[Fault]:
    for within, source in sources.items():
        place = (*at, *within)
        problem = source.key_problem()
        if problem is not None:
            yield Fault((*place, "key_env"), problem)
        if source.key_file is not None:
            try:
                source.find_key()
            except ConfigurationError as error:
                yield Fault((*place, "key_file"), error.message)


class _Known:
    """Answers whether a name of a backend or model is one, making each backend once."""

    def __init__(
        self, settings: Settings, registry: Registry, backends: dict[str, VideoBackend | None]
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._backends = backends

    def find_problem(self, name: str) -> str | None:
        """Return what is wrong with the name of a backend or model, None if nothing."""
        backend_name, _, model = name.partition("/")
        names = self._registry.names()
        try:
            if find_offering(name, self._offers, names):
                return None
        except InvalidRequestError as error:  # it means two things
            return in_full(error)
        if backend_name not in names:
            meant = suggest_model(name, self._offers, names) or did_you_mean(backend_name, names)
            return f"unknown backend {backend_name!r}; {meant}"
        backend = self._get_backend(backend_name)
        if backend is None or not model:
            return None
        try:
            backend.capabilities(model)
        except MediaAgentError as error:
            return error.message + (f"; {error.hint}" if error.hint else "")
        return None

    @cached_property
    def _offers(self) -> Offers:
        return load_catalogue(self._registry, self._settings.data_dir).offers

    def _get_backend(self, name: str) -> VideoBackend | None:
        if name not in self._backends:
            try:
                settings = self._settings.backend_settings(name, self._registry.spec(name))
                self._backends[name] = self._registry.create(name, settings)
            except MediaAgentError:  # it is not in the settings: not a fault of theirs
                self._backends[name] = None
        return self._backends[name]


def _list_names(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every place that names a backend or a model, and the name."""
    yield ("default_backend",), settings.default_backend
    for name, section in settings.backends.items():
        if section.model is not None:
            yield ("backends", name, "model"), f"{name}/{section.model}"
    for name, route in settings.routes.items():
        place = ("routes", name)
        if route.model is not None:
            yield (*place, "model"), route.model
        yield from (((*place, "allow"), each) for each in route.allow or ())
        yield from (((*place, "deny"), each) for each in route.deny)


def _find_warnings(settings: Settings, sources: Sources) -> Iterator[str]:
    if settings.config is not None and not settings.config.exists():
        yield f"MEDIA_AGENT_CONFIG: no such file: {settings.config}"
    for variable, meant in find_unknown_variables():
        hint = "" if meant is None else f"; did you mean {meant}?"
        yield f"{variable}: unknown variable{hint}"
    written: list[ConfigFile] = []
    for place, source in settings.key_sources().items():
        if source.key_file is not None and is_open_to_others(expand_home(source.key_file)):
            where = sources.place((*place, "key_file"))
            yield f"{where}: {source.key_file} is readable by other users; run chmod 600 on it"
        yield from _find_written_keys((*place, "key"), sources.files)
        written += [file for file in sources.files if file.sets((*place, "key"))]
    for name, section in settings.backends.items():
        headers = section.options.get("headers")
        for header in headers if isinstance(headers, dict) else ():
            if is_telling(header):
                where = sources.place(("backends", name, "options", "headers", header))
                yield f"{where}: {header} looks like a key; use auth and key_env instead"
    for path in dict.fromkeys(file.path for file in written if is_open_to_others(file.path)):
        yield f"{path}: other users can read this file and the keys in it; chmod 600 it"


def _find_written_keys(place: Sequence[str], files: Iterable[ConfigFile]) -> Iterator[str]:
    for file in files:
        if file.sets(place):
            where = f"{file.path}:{file.line(place)}"
            yield f"{where}: this file contains a key; use key_env or key_file to keep it elsewhere"
