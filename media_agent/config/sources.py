"""Where settings come from, and where each of them is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from media_agent.concealing import without_keys
from media_agent.config.file import ConfigFile, merge_tables
from media_agent.errors import Fault

PREFIX = "MEDIA_AGENT_"
DELIMITER = "__"


@dataclass(frozen=True)
class Sources:
    """Where settings come from, the strongest first: arguments, environment, files."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[ConfigFile] = ()

    def place(self, place: Sequence[str]) -> str:
        """Say where a setting is made: a variable, or a file with its line, or by default."""
        dotted = ".".join(place)
        if _holds(self.arguments, place):
            return f"argument {dotted}"
        if _holds(self.environment, place):
            return PREFIX + DELIMITER.join(place).upper()
        file = next((file for file in self.files if file.sets(place)), None)
        return "default" if file is None else f"{file.path}:{file.line(place)}"

    def list_names(self, table: str) -> set[str]:
        """Return the names in a table, wherever it is written, whatever is wrong with them."""
        said = (self.arguments, self.environment, *(file.data for file in self.files))
        tables = (each.get(table) for each in said)
        return {name for each in tables if isinstance(each, Mapping) for name in each}

    def merge(self) -> dict[str, Any]:
        """Return what all of them say together."""
        files = (file.data for file in reversed(self.files))
        merged: dict[str, Any] = {}
        for each in (*files, self.environment, self.arguments):
            merged = merge_tables(merged, each)
        return merged

    def describe(self, fault: Fault) -> str:
        """Return a fault in a line that begins with where it is."""
        name, problem = without_keys(".".join(fault.place)), without_keys(fault.problem)
        where = self.place(fault.place)
        if where == "default":  # something is missing: name what it is missing from
            file = next((file for file in self.files if file.line(fault.place)), None)
            where = "settings" if file is None else f"{file.path}:{file.line(fault.place)}"
        return f"{where}: {name}: {problem}" if ":" in where else f"{where}: {problem}"


def _holds(data: Mapping[str, Any], place: Sequence[str]) -> bool:
    found: Any = data
    for part in place:
        if not isinstance(found, Mapping) or part not in found:
            return False
        found = found[part]
    return bool(place)
