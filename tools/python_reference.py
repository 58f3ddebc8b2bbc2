"""Writes docs/reference/python.md from the docstrings of the public names (`make snapshots`)."""

import inspect
import re
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel

import media_agent
from media_agent.error_codes import OUTCOMES
from media_agent.errors import MediaAgentError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "python.md"
HEAD = """# Python reference

<!-- Written by tools/python_reference.py from the docstrings: `make snapshots`. -->

Everything is imported from `media_agent`; each name is loaded when it is first used.

```python
from media_agent import BlockingVideoClient, JobProgressed, VideoRequest


def show(numbered):
    if isinstance(numbered.event, JobProgressed):
        print(numbered.event.phase, numbered.event.fraction)


with BlockingVideoClient() as client:
    job = client.generate(VideoRequest(prompt="a red circle"), on_event=show)
    print(job.raise_for_status().artifacts[0].path)
```

`on_event` is a parameter of `generate`, `branch`, `extend` and `resume`. It is a plain function,
called with each [event](events.md) of the job, in order. With `VideoClient` it is called on the
event loop, so it must not block; with `BlockingVideoClient` it is called in the client's own
thread, and cannot call the client. What it raises is logged and changes nothing.

`generate` returns a job that failed, too: `raise_for_status` raises its error.
"""


def python_page() -> str:
    """Return the page: the clients, then what they take and return, then the errors."""
    names = [(name, getattr(media_agent, name)) for name in media_agent._HOMES]
    clients = [thing for _, thing in names if not _is_data(thing) and not _is_error(thing)]
    parts = [HEAD]
    parts += ["## Clients and functions\n", *(_describe(thing) for thing in clients)]
    parts += ["## Data\n", *(_describe_data(thing) for _, thing in names if _is_data(thing))]
    parts += ["## Errors\n", _list_errors([thing for _, thing in names if _is_error(thing)])]
    return "\n".join(parts)


def _is_data(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, BaseModel | Enum)


def _is_error(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, MediaAgentError)


def _describe(thing: Any) -> str:
    """Return a class with its public methods, or a function."""
    lines = [f"### `{thing.__name__}`\n", _doc(thing)]
    if not inspect.isclass(thing):
        return "\n".join([f"### `{_sign(thing.__name__, thing)}`\n", _doc(thing)])
    if issubclass(thing, media_agent.BlockingVideoClient):
        return "\n".join([*lines, "Its methods are those of `VideoClient`, without `await`.\n"])
    for name, method in inspect.getmembers(thing, inspect.isfunction):
        if not name.startswith("_"):
            lines += [f"#### `{_sign(name, method)}`\n", _doc(method), *_list_options(method)]
    return "\n".join(lines)


def _sign(name: str, function: Any) -> str:
    parameters = [
        each for each in inspect.signature(function).parameters.values() if each.name != "self"
    ]
    named = [each for each in parameters if each.kind is each.KEYWORD_ONLY]
    words = [_show_parameter(each) for each in parameters]
    if named:
        words.insert(parameters.index(named[0]), "*")
    shown = ", ".join(words)
    start = "await " if inspect.iscoroutinefunction(function) else ""
    return f"{start}{name}({shown})"


def _show_parameter(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_KEYWORD: "**", parameter.VAR_POSITIONAL: "*"}.get(parameter.kind, "")
    if parameter.default is parameter.empty:
        return f"{star}{parameter.name}"
    return f"{parameter.name}={parameter.default!r}"


def _list_options(method: Any) -> Iterator[str]:
    """Yield the keyword arguments that a method takes as `**options`."""
    hint = method.__annotations__.get("options")
    if hint is None:
        return
    options = get_type_hints(typing.get_args(hint)[0])
    yield "Options:\n"
    yield from (f"* `{name}`: `{_show_type(kind)}`" for name, kind in options.items())
    yield ""


def _describe_data(thing: Any) -> str:
    lines = [f"### `{thing.__name__}`\n", _doc(thing)]
    if issubclass(thing, Enum):
        return "\n".join([*lines, ", ".join(f"`{member.value}`" for member in thing), ""])
    lines += ["| field | type | meaning |", "| --- | --- | --- |"]
    for name, field in thing.model_fields.items():
        kind = _show_type(field.annotation).replace("|", "\\|")
        lines.append(f"| `{name}` | `{kind}` | {field.description or ''} |")
    for name, method in inspect.getmembers(thing, inspect.isfunction):
        if name in vars(thing) and not name.startswith("_"):
            lines += ["", f"#### `{_sign(name, method)}`\n", _doc(method)]
    return "\n".join([*lines, ""])


def _list_errors(errors: list[Any]) -> str:
    lines = ["| error | code | exit code | when |", "| --- | --- | --- | --- |"]
    for error in errors:
        when = " ".join((inspect.getdoc(error) or "").split())
        exit_code = OUTCOMES[error.code].exit_code
        lines.append(f"| `{error.__name__}` | `{error.code}` | {exit_code} | {when} |")
    return "\n".join([*lines, ""])


def _show_type(kind: Any) -> str:
    """Return a type as one writes it, without where its names come from."""
    if isinstance(kind, type) and not isinstance(kind, types.GenericAlias):
        return kind.__name__
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", str(kind))
    text = re.sub(r"Annotated\[([^,\[\]]+),.*?\](?=[,\]| ]|$)", r"\1", text)
    return text.replace("NoneType", "None")


def _doc(thing: Any) -> str:
    """Return a docstring; what it raises and takes becomes a list."""
    lines: list[str] = []
    for line in (inspect.getdoc(thing) or "").splitlines():
        if re.fullmatch(r"(Raises|Args|Attributes|Returns):", line):
            lines += [line, ""]
        elif named := re.fullmatch(r"    (\w+): (.*)", line):
            lines.append(f"* `{named[1]}`: {named[2]}")
        else:
            lines.append(f"  {line.strip()}" if line.startswith("    ") else line)
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(python_page(), encoding="utf-8")
