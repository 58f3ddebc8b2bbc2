"""Which key a backend gets: that of the settings, else of its usual variable, else a stored one.

A key goes to its own origin only. The usual variable of a provider is meant for that provider, and
a stored key for the address it was stored for: neither follows a `base_url` to another server.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import SecretStr

from media_agent.backend.protocol import BackendSpec, LimitedKey
from media_agent.config.backend_section import BackendSection
from media_agent.config.stored_keys import StoredKey, StoredKeys
from media_agent.environment import value_of
from media_agent.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key and where it is from, or why there is none."""

    key: SecretStr | None = None
    source: str | None = None
    """In words that can be shown, such as "FAL_KEY from the environment"."""
    problem: str | None = None
    """Why a key that is there is not used."""
    is_usual: bool = False
    """Whether it is used though the settings do not name it."""
    is_stored: bool = False
    """Whether `media-agent keys set` stored it."""


class BackendKeys:
    """The keys of backends, by their sections in the settings."""

    def __init__(self, sections: Mapping[str, BackendSection]) -> None:
        self._sections = sections

    def find(self, name: str, spec: BackendSpec | None) -> FoundKey:
        """Return the key of a backend: as its section says, else the usual or a stored one.

        Raises:
            ConfigurationError: a file that has it cannot be read.
        """
        section = self._section(name)
        if section.keys:
            found = {each: self._find_one(name, each, spec) for each in section.keys}
            there = next((each for each in found.values() if each.key is not None), None)
            problems = (f"{key}: {each.problem or 'no key'}" for key, each in found.items())
            return there or FoundKey(problem="; ".join(problems))
        if section.names_key:
            origin = section.name_origin(f"backends.{name}")
            return FoundKey(section.find_key(), origin, section.key_problem())
        return self._find_usual(name, spec)

    def list_several(self, name: str, spec: BackendSpec | None) -> Iterator[LimitedKey]:
        """Yield the several keys of a backend, with their limits."""
        for key, section in self._section(name).keys.items():
            found = self._find_one(name, key, spec)
            yield LimitedKey(
                key, found.key, found.problem, section.requests_per_minute, section.concurrent
            )

    def _find_one(self, name: str, key: str, spec: BackendSpec | None) -> FoundKey:
        """Return one of several keys of a backend."""
        section, place = self._sections[name].keys[key], f"backends.{name}.keys.{key}"
        if section.names_key:
            return FoundKey(section.find_key(), section.name_origin(place), section.key_problem())
        return self._find_usual(name, spec)

    def _find_usual(self, name: str, spec: BackendSpec | None) -> FoundKey:
        try:
            stored = self._stored
        except ConfigurationError as error:  # it keeps nobody from working who needs no key
            return FoundKey(problem=error.message)
        return find_usual_key(name, self._section(name).base_url, spec, stored)

    def _section(self, name: str) -> BackendSection:
        return self._sections.get(name, BackendSection())

    @cached_property
    def _stored(self) -> Mapping[str, StoredKey]:
        return StoredKeys().read()


def find_usual_key(
    name: str, base_url: str | None, spec: BackendSpec | None, stored: Mapping[str, StoredKey]
) -> FoundKey:
    """Return the key of a backend for which the settings name none."""
    problems = []
    variable = None if spec is None else find_variable(spec)
    if spec is not None and variable is not None:
        if _is_own_server(base_url, spec):
            key = SecretStr(value_of(variable) or "")
            return FoundKey(key, f"{variable} from the environment", is_usual=True)
        problems.append(
            f"{variable} is set, but base_url names another server; to send the key there, "
            f'set key_env = "{variable}" under [backends.{name}]'
        )
    address = find_address(base_url, spec)
    for each in dict.fromkeys((name, name if spec is None else spec.name)):
        entry = stored.get(each)
        if entry is None:
            continue
        own = spec.key_origin if spec is not None and each == spec.name else None
        meant_for = own if entry.base_url is None else entry.base_url
        if meant_for == address or _is_same_origin(address, meant_for):
            source = f"the key stored for {each}"
            return FoundKey(SecretStr(entry.key), source, is_usual=True, is_stored=True)
        problems.append(
            f"the key stored for {each} was stored for another server; "
            f"to send one there, media-agent keys set {name}"
        )
    return FoundKey(problem="; ".join(problems) or None)


def find_address(base_url: str | None, spec: BackendSpec | None) -> str | None:
    """Return where the key of a backend goes: as its section says, else its provider's own."""
    return base_url if base_url is not None or spec is None else spec.key_origin


def find_variable(spec: BackendSpec) -> str | None:
    """Return the usual variable of a provider that is set, None if none is."""
    return next((each for each in spec.key_variables if value_of(each) is not None), None)


def describe_missing_key(
    name: str, base_url: str | None, spec: BackendSpec | None, file: Path
) -> str:
    """Return the ways to give a backend its key: variable, command, file."""
    # the usual variable is not used for another server, so it is no way there
    variables = spec.key_variables if spec is not None and _is_own_server(base_url, spec) else ()
    ways = [f"set {' or '.join(variables)}"] if variables else []
    ways.append(f"run media-agent keys set {name}")
    return f"{', '.join(ways)}, or set key_env or key_file under [backends.{name}] in {file}"


def _is_own_server(base_url: str | None, spec: BackendSpec) -> bool:
    return base_url is None or _is_same_origin(base_url, spec.key_origin)


def _is_same_origin(one: str | None, other: str | None) -> bool:
    from media_agent.storage.addresses import origin_of, parsed_address

    urls = [None if each is None else parsed_address(each) for each in (one, other)]
    origins = [None if url is None else origin_of(url) for url in urls]
    return origins[0] is not None and origins[0] == origins[1]
