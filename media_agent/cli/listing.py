"""The commands that only look: backends, schema."""

import json as json_module
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from media_agent.cli.screen import table, tell

if TYPE_CHECKING:
    from pydantic import JsonValue

    from media_agent_schemas.capabilities import Capabilities

Json = Annotated[bool, Parameter(negative=())]


def backends(*, json: Json = False) -> int:
    """List who can make videos, and how far each was checked.

    Args:
        json: Print JSON with everything that is known.
    """
    from media_agent.config import load_settings
    from media_agent.errors import MediaAgentError
    from media_agent.registry import Registry

    settings = load_settings()
    registry = Registry()
    known: list[Capabilities] = []
    problems = [broken.error().message for broken in registry.broken]
    for name in registry.names():
        try:
            backend = registry.create(name, settings.backend_settings(name))
            models = backend.capabilities().models or (None,)
            known += [backend.capabilities(model) for model in models]
        except MediaAgentError as error:
            problems.append(f"{name}: {error.message}")
    if json:
        data: JsonValue = [limits.model_dump(mode="json") for limits in known]
        print(json_module.dumps({"data": data, "problems": problems}, indent=2))
        return 0
    heads = ("BACKEND/MODEL", "SIZE", "FPS", "LONGEST", "WORDS", "CHECKED", "WHAT IT IS")
    table(heads, [_row(limits) for limits in known])
    for limits in known:
        for option in limits.options:
            name = f"{limits.backend}/{limits.model}"
            default = "" if option.default is None else f"={json_module.dumps(option.default)}"
            tell(f"{name} --option {option.name}{default} ({option.type}): {option.description}")
    for problem in problems:
        tell(f"problem: {problem}")
    return 0


def _row(limits: "Capabilities") -> tuple[str, ...]:
    size_range, fps_range = limits.size_range, limits.fps_range
    sizes = ", ".join(str(size) for size in limits.sizes)
    rates = ", ".join(f"{value:g}" for value in limits.fps_values)
    words = limits.closed_vocabulary
    return (
        f"{limits.backend}/{limits.model}",
        sizes or ("any" if size_range is None else f"{size_range.minimum}-{size_range.maximum}"),
        rates or ("any" if fps_range is None else f"{fps_range.minimum:g}-{fps_range.maximum:g}"),
        "endless" if limits.max_duration is None else f"{limits.max_duration:g} s",
        "any" if words is None else f"{len(words)} words",
        str(limits.verification),
        limits.description,
    )


def print_schema(name: str, /) -> int:
    """Print the JSON Schema of a type, such as VideoRequest.

    Args:
        name: Name of the type, or of its file.
    """
    from media_agent.errors import InvalidRequestError
    from media_agent.nearest import did_you_mean
    from media_agent_schemas.export import NAMES, file_name, json_schema

    by_any_name = {known.lower(): known for known in NAMES}
    by_any_name |= {file_name(known).removesuffix(".json"): known for known in NAMES}
    known = by_any_name.get(name.lower().removesuffix(".json"))
    if known is None:
        raise InvalidRequestError(f"there is no schema {name!r}", hint=did_you_mean(name, NAMES))
    print(json_module.dumps(json_schema(known), indent=2))
    return 0
