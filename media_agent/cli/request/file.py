"""A request in a file, JSON or YAML: what it says, and on which line."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from media_agent.cli.arguments import read_frame_size
from media_agent.config.file import explain_unreadable
from media_agent.environment import expand_home
from media_agent.errors import InvalidRequestError
from media_agent.negotiation.storyboard import read_shot

_STDIN = "-"
_LARGEST = 2**25  # bytes; inputs may stand in it as base64
_EXAMPLE = "a request is a mapping such as {prompt: a red circle, duration: 4}, or a list of shots"


@dataclass(frozen=True, slots=True)
class RequestFile:
    """The fields of a request as a file has them; nothing is checked yet."""

    name: str
    text: str
    fields: dict[str, Any]

    def locate(self, place: Sequence[str]) -> str:
        """Return the file and the line of a field; of a missing one, the line of what it is in."""
        lines = _find_lines(self.text)
        for end in range(len(place), 0, -1):
            if tuple(place[:end]) in lines:
                return f"{self.name}:{lines[tuple(place[:end])]}"
        return self.name


def read_request_file(place: str) -> RequestFile:
    """Read a request from a file, or from standard input where the place is `-`.

    Relative paths of inputs are those from the folder of the file.

    Raises:
        InvalidRequestError: it cannot be read, or is neither JSON nor YAML; the line is named.
    """
    name, text = ("stdin" if place == _STDIN else place), _read(place)
    try:
        data = (
            json.loads(text, object_pairs_hook=_refuse_duplicates)
            if _is_json(name, text)
            else _load(text)
        )
    except json.JSONDecodeError as error:
        raise InvalidRequestError(f"{name}:{error.lineno}: not valid JSON: {error.msg}") from None
    except yaml.YAMLError as error:
        raise InvalidRequestError(f"{name}{_describe_yaml_error(error)}") from None
    except RecursionError:
        raise InvalidRequestError(f"{name}: it is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(f"{name}: {error}") from None
    if isinstance(data, list):
        data = {"shots": data}
    if not isinstance(data, dict) or not data:
        what = "it is empty" if not data else "it is not a request"
        raise InvalidRequestError(f"{name}: {what}", hint=_EXAMPLE)
    file = RequestFile(name, text, data)
    folder = Path.cwd() if place == _STDIN else expand_home(place).absolute().parent
    return RequestFile(name, text, dict(_expand(file, folder)))


def _read(place: str) -> str:
    try:
        if place == _STDIN and sys.stdin is None:
            raise ValueError("standard input is closed")
        if place == _STDIN:
            content = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with expand_home(place).open("rb") as stream:
                content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} bytes")
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        said = f"--request {place} cannot be read: {explain_unreadable(error)}"
        raise InvalidRequestError(said) from None


def _is_json(name: str, text: str) -> bool:
    suffix = Path(name).suffix.lower()
    return suffix == ".json" or (
        suffix not in (".yaml", ".yml") and text.lstrip().startswith(("{", "["))
    )


def _expand(file: RequestFile, folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the fields, each as the schema has it: shots `TEXT@SECONDS`, sizes `WxH`, paths."""
    for name, value in file.fields.items():
        match name, value:
            case "shots", list():
                yield name, [_expand_shot(file, each, str(n)) for n, each in enumerate(value)]
            case "size", str() if value:
                yield name, _read_at(file, (name,), read_frame_size, value)
            case "inputs", list():
                yield name, [_anchor(each, folder) for each in value]
            case _:
                yield name, value


def _expand_shot(file: RequestFile, shot: object, number: str) -> object:
    return _read_at(file, ("shots", number), read_shot, shot) if isinstance(shot, str) else shot


def _read_at(
    file: RequestFile, place: Sequence[str], read: Callable[[str], object], text: str
) -> object:
    """Read a text of the file; what is wrong with it is said with its line."""
    try:
        return read(text)
    except InvalidRequestError as error:
        said = f"{file.locate(place)}: {error.message}"
        raise InvalidRequestError(said, hint=error.hint) from None


def _anchor(medium: object, folder: Path) -> object:
    if not isinstance(medium, dict) or not isinstance(medium.get("path"), str):
        return medium
    return {**medium, "path": medium["path"] and str(folder / expand_home(medium["path"]))}


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return data


class _Loader(yaml.SafeLoader):
    """Reads words as YAML 1.2 does: 16:9 is a text, and so is a date.

    There are no aliases: they let a short file stand for an endless one.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as the base declares it

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not supported",
                problem_mark=self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Refuse a value that is not of the kind that its tag says."""
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            kind = str(node.tag).rpartition(":")[2]
            raise yaml.MarkedYAMLError(
                problem=f"the value cannot be read as {kind}", problem_mark=node.start_mark
            ) from None

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a key that is no single word, or is given twice."""
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a key cannot be a list or a mapping", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(0|[1-9][0-9]*)$", list("-+0123456789")),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _load(text: str) -> Any:
    return _Loader(text).get_single_data()


def _describe_yaml_error(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = "" if mark is None else f":{mark.line + 1}"
    problem = getattr(error, "problem", None) or "it has a character that YAML does not allow"
    return f"{line}: not valid YAML: {problem}"


@lru_cache(maxsize=1)  # of a file with many faults it is asked for each
def _find_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of every field; none where the text cannot be read this way."""
    try:
        node = _Loader(text.replace("\t", " ")).get_single_node()  # JSON may be indented with tabs
    except (yaml.YAMLError, RecursionError):
        return {}
    return {} if node is None else dict(_list_places(node, ()))


def _list_places(node: Any, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*at, str(key.value))
            yield place, key.start_mark.line + 1
            yield from _list_places(value, place)
    elif isinstance(node, yaml.SequenceNode):
        above = at or ("shots",)  # of a list of shots
        for number, value in enumerate(node.value):
            yield (*above, str(number)), value.start_mark.line + 1
            yield from _list_places(value, (*above, str(number)))
