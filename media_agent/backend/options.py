"""Options that only one backend knows: read from text, checked against what it declares."""

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NoReturn

from pydantic import JsonValue

from media_agent.backend.protocol import BackendSettings
from media_agent.concealing import without_keys
from media_agent.errors import ConfigurationError, Fault, InvalidRequestError, Mismatch
from media_agent.suggest import did_you_mean, nearest_name
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.facts import OptionSpec


def check_options(options: dict[str, JsonValue], capabilities: Capabilities) -> list[Mismatch]:
    """Return one mismatch for every option that is unknown or has an impossible value."""
    specs = {spec.name: spec for spec in capabilities.options}
    mismatches = []
    for name, value in options.items():
        reason = (
            _find_problem(specs[name], value)
            if name in specs
            else f"{capabilities.backend} has no such option; {did_you_mean(name, specs)}"
        )
        if reason is not None:
            mismatches.append(Mismatch(f"option {name}", json.dumps(value), reason))
    for spec, value in _find_raw(options, capabilities):
        said = value if isinstance(value, str) else json.dumps(value)
        mismatches += [
            Mismatch(f"option {spec.name}", said, why) for why in _find_misuse(spec, value)
        ]
    return mismatches


def list_raw_options(options: dict[str, JsonValue], capabilities: Capabilities) -> list[str]:
    """Return the options that pass on the service's own fields, whose cost is unknown."""
    return [spec.name for spec, _ in _find_raw(options, capabilities)]


def _find_raw(
    options: dict[str, JsonValue], capabilities: Capabilities
) -> Iterator[tuple[OptionSpec, JsonValue]]:
    """Yield every option that passes fields on, with its value from the request or settings."""
    for spec in capabilities.options:
        value = options.get(spec.name, spec.default)
        if spec.reserved is not None and value not in (None, "", "{}", {}):
            yield spec, value


def _find_misuse(spec: OptionSpec, value: JsonValue) -> Iterator[str]:
    """Yield the reserved fields that such an option sets, at any depth and in any spelling."""
    try:
        fields = (
            json.loads(value, parse_constant=_refuse_constant) if isinstance(value, str) else value
        )
        json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        yield f"it cannot be sent as JSON: {error}"
        return
    if not isinstance(fields, dict):
        yield 'it is not a JSON object, such as {"name": 1}'
        return
    reserved = {_normalise(name): instead for name, instead in (spec.reserved or {}).items()}
    for name in _walk_names(fields):
        instead = reserved.get(_normalise(name))
        if instead is not None:
            yield f"{name!r} must not be set here: use {instead}, which is planned and priced"


def _walk_names(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _walk_names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk_names(inner)


def _normalise(name: str) -> str:
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def check_settings(settings: BackendSettings, capabilities: Capabilities) -> None:
    """Refuse options of the settings that the backend does not declare, or not with this value.

    Raises:
        ConfigurationError: all of them, each with its place.
    """
    mismatches = check_options(dict(settings.options), capabilities)
    if mismatches:
        place = ("backends", settings.name or capabilities.backend, "options")
        reasons = [(each.field.split()[-1], without_keys(each.reason)) for each in mismatches]
        faults = [Fault((*place, name), reason) for name, reason in reasons]
        said = without_keys("; ".join(map(str, mismatches)))
        raise ConfigurationError(f"{capabilities.backend} settings: {said}", faults=faults)


def read_options(texts: Iterable[str], capabilities: Capabilities) -> dict[str, JsonValue]:
    """Read `NAME=VALUE` texts, each value as the type its option declares.

    Unknown names are kept as text, so that the check lists them with everything else.

    Raises:
        InvalidRequestError: a text has no =, a name comes twice, a value is not of its type.
    """
    specs = {spec.name: spec for spec in capabilities.options}
    options: dict[str, JsonValue] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidRequestError(
                f"option {text!r} is not NAME=VALUE", hint="for example --option preset=fast"
            )
        if name in options:
            raise InvalidRequestError(f"option {name} is given twice", hint="give it once")
        options[name] = _read(specs[name], value) if name in specs else value
    return options


def _read(spec: OptionSpec, text: str) -> JsonValue:
    if spec.type == "string":
        return text
    if spec.type == "boolean":
        text = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(
            text.lower(), text.lower()
        )
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        value = text
    fault = _find_problem(spec, value)
    if fault is not None:
        raise InvalidRequestError(f"option {spec.name}={text}: {fault}", hint=spec.description)
    return value


def _find_problem(spec: OptionSpec, value: JsonValue) -> str | None:
    """Return what is wrong with a value, None if nothing."""
    if not _has_type(spec, value):
        return f"not of type {spec.type}"
    if spec.choices is not None and value not in spec.choices:
        listed = [str(choice) for choice in spec.choices]
        nearest = nearest_name(str(value), listed)
        meant = "" if nearest is None else f"; did you mean {nearest}?"
        return f"not one of its values, {', '.join(listed)}{meant}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if spec.minimum is not None and value < spec.minimum:
            return f"below {spec.minimum:g}"
        if spec.maximum is not None and value > spec.maximum:
            return f"above {spec.maximum:g}"
    return None


def _has_type(spec: OptionSpec, value: JsonValue) -> bool:
    match spec.type:
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return is_number and math.isfinite(float(str(value)))
        case "string":
            return isinstance(value, str)
