"""What is wrong with the settings, and what they say all the same."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from media_agent.config.settings import GivenSettings, Settings
from media_agent.config.sources import DELIMITER, PREFIX, Sources
from media_agent.environment import variables
from media_agent.errors import Fault
from media_agent.suggest import nearest_name
from media_agent.validation import faults_of

_MANY_FAULTS = 20  # of the kind that hides another one


def read_sound(sources: Sources) -> tuple[Settings, tuple[Fault, ...]]:
    """Return the settings without their malformed values, and what is wrong with those."""
    data = sources.merge()
    found: dict[Fault, None] = {}
    for _ in range(_MANY_FAULTS):  # without one value another may be wrong
        try:
            return GivenSettings(**data), tuple(found)
        except ValidationError as error:
            faults = faults_of(error, Settings)
        for fault in faults:
            _remove(data, fault.place)
        found |= dict.fromkeys(faults)
    return GivenSettings(), tuple(found)


def find_unknown_variables() -> list[tuple[str, str | None]]:
    """Return variables that begin like ours and set nothing, each with the name it may mean."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    return [
        (name, nearest_name(name, known))
        for name in sorted(variables())
        if name.startswith(PREFIX) and name.split(DELIMITER)[0] not in known
    ]


def _remove(data: dict[str, Any], place: Sequence[str]) -> None:
    """Remove the value at a place; where there is none, what it is missing from."""
    table = data
    for name, below in zip(place, (*place[1:], None), strict=False):
        inner = table.get(name)
        if not isinstance(inner, dict) or below not in inner:
            table.pop(name, None)
            return
        table = inner
