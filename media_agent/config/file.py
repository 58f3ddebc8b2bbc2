"""Settings files: which are read, what they say, and on which line."""

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from media_agent.environment import expand_home
from media_agent.errors import ConfigurationError

PROJECT_FILE = "media-agent.toml"
_LARGEST = 2**20  # bytes of a settings file
_MANY_LINES = 50  # of one statement
_DEEPEST = 50  # tables and lists in each other


@dataclass(frozen=True)
class ConfigFile:
    """One file that was read."""

    path: Path
    text: str
    data: dict[str, Any]

    def line(self, place: Sequence[str]) -> int | None:
        """Return the line, from 1, where a place such as ("budget", "max_cost_usd") is set.

        Where the file has only the beginning of the place, that is meant; None: not even that.
        """
        for end in range(len(place), 0, -1):
            if tuple(place[:end]) in self._lines:
                return self._lines[tuple(place[:end])]
        return None

    def sets(self, place: Sequence[str]) -> bool:
        """Return whether the file itself says something at this place."""
        return tuple(place) in self._lines

    @cached_property
    def _lines(self) -> dict[tuple[str, ...], int]:
        return _lines_of(self.text)


def find_user_file() -> Path:
    """Return the user's own settings file, which need not exist."""
    return user_config_path("media-agent") / "config.toml"


def find_project_file(folder: Path) -> Path | None:
    """Return the nearest media-agent.toml in a folder or above it."""
    above = (folder, *folder.parents)
    return next((each / PROJECT_FILE for each in above if (each / PROJECT_FILE).is_file()), None)


def list_files(named: Path | None) -> list[Path]:
    """Return the files that are read if they exist, the strongest first; a named one stands alone.

    Raises:
        ConfigurationError: the project file belongs to another user.
    """
    if named is not None:
        return [expand_home(named)]
    project = find_project_file(Path.cwd())
    if project is None:
        return [find_user_file()]
    _check_owner(project)
    return [project, find_user_file()]


def read_files(named: object) -> list[ConfigFile]:
    """Return what the files say that exist, the strongest first; a named one stands alone.

    Raises:
        ConfigurationError: one cannot be read, is no TOML, or belongs to another user.
    """
    paths = list_files(None if named is None else Path(str(named)))
    return [file for file in map(read_file, paths) if file is not None]


def read_file(path: Path) -> ConfigFile | None:
    """Return what a file says, None when there is none. Relative paths in it become absolute.

    Raises:
        ConfigurationError: it cannot be read, or is no TOML; the line is named.
    """
    try:
        text = read_text(path, largest=_LARGEST)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {explain_unreadable(error)}") from error
    data = _parse(path, text)
    _anchor(data, path.absolute().parent)
    return ConfigFile(path, text, data)


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid_toml_error(path, text, error) from None
    except RecursionError:
        raise _too_deep_error(path) from None
    except ValueError:  # of int(), the only one besides
        raise ConfigurationError(f"{path} cannot be read: a number in it is too long") from None
    if _is_deep(data):
        raise _too_deep_error(path)
    return data


def read_text(path: Path, *, largest: int) -> str:
    """Return what a small file of text says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, larger, or no file that ends; `explain_unreadable` says which.
    """
    with open(path, "rb", opener=_open_without_waiting) as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            raise ValueError("it is not a regular file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it has more than {largest} bytes")
    return content.decode("utf-8-sig").replace("\r\n", "\n")


def merge_tables(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return one table over another, and so on for the tables in them."""
    inner = {
        name: merge_tables(below[name], value)
        for name, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(name), Mapping)
    }
    return {**below, **above, **inner}


def explain_unreadable(error: OSError | ValueError) -> str:
    """Return in words why `read_text` gave nothing."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return getattr(error, "strerror", None) or str(error)


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting for who writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _is_deep(data: object) -> bool:
    """Return whether tables and lists are nested deeper than any real file."""
    level = [data]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _too_deep_error(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be read: its lists or tables are nested too deeply",
        hint=f"at most {_DEEPEST} are refused",
    )


def _invalid_toml_error(
    path: Path, text: str, error: tomllib.TOMLDecodeError
) -> ConfigurationError:
    said = str(error).partition(" (at ")
    line = re.match(r"line (\d+)", said[2])
    begin = list(_split_statements(text))[-1][0] if line is None else line[1]  # at end of document
    return ConfigurationError(
        f"{path}:{begin}: not valid TOML: {said[0][:1].lower()}{said[0][1:]}",
        hint="text values need quotes, names are given once; see https://toml.io",
    )


def _check_owner(path: Path) -> None:
    """Refuse a project file that another user put above us: it can run programs as us."""
    owner = path.stat().st_uid
    if owner not in (os.getuid(), 0):
        raise ConfigurationError(
            f"{path} belongs to another user (id {owner}) and is not read",
            hint=f"if you trust it, set MEDIA_AGENT_CONFIG={path}",
        )


def _anchor(data: dict[str, Any], folder: Path) -> None:
    """Let relative paths count from the folder of the file that says them."""
    _make_absolute(data, "data_dir", folder)
    backends, policies = (data.get(name) for name in ("backends", "policies"))
    for section in policies.values() if isinstance(policies, dict) else ():
        if isinstance(section, dict):
            _make_absolute(section, "key_file", folder)
            section.setdefault("folder", ".")
            _make_absolute(section, "folder", folder)
    for section in backends.values() if isinstance(backends, dict) else ():
        if isinstance(section, dict):
            _make_absolute(section, "key_file", folder)
            keys = section.get("keys")
            for each in keys.values() if isinstance(keys, dict) else ():
                if isinstance(each, dict):
                    _make_absolute(each, "key_file", folder)
            section.setdefault("folder", ".")
            _make_absolute(section, "folder", folder)
    provenance = data.get("provenance")
    if isinstance(provenance, dict):
        for name in ("certificate", "key_file"):
            _make_absolute(provenance, name, folder)
        anchors = provenance.get("trust_anchors")
        if isinstance(anchors, list):
            provenance["trust_anchors"] = [
                str(folder / expand_home(each)) if isinstance(each, str) else each
                for each in anchors
            ]
    server = data.get("server")
    for table in ("webhooks", "callbacks"):
        sections = server.get(table) if isinstance(server, dict) else None
        for section in sections.values() if isinstance(sections, dict) else ():
            if isinstance(section, dict):
                _make_absolute(section, "key_file", folder)


def _make_absolute(table: dict[str, Any], name: str, folder: Path) -> None:
    if isinstance(table.get(name), str):
        table[name] = str(folder / expand_home(table[name]))


def _lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Return the first line of every place: each statement is parsed by itself, in its table."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for begin, statement, data in _split_statements(text):
        places = list(_list_places(data))
        if statement.startswith("["):
            table = max(places, key=len)
            places = [table[:end] for end in range(1, len(table) + 1)]
        else:
            places = [(*table, *place) for place in places]
        for place in places:
            lines.setdefault(place, begin)
    return lines


def _split_statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield the statements with the line where each begins; the last may be unfinished."""
    statement, begin = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        statement += f"{line}\n"
        if number - begin > _MANY_LINES and statement.count("[") != statement.count("]"):
            continue  # parsing a long list again for each of its lines would take too long
        try:
            data = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it continues on the next line
        if data:
            yield begin, statement.lstrip(), data
        statement, begin = "", number + 1
    if statement:
        yield begin, statement.lstrip(), {}


def _list_places(data: Mapping[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in data.items():
        yield (*at, name)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from _list_places(inner, (*at, name))
