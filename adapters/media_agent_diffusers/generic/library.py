"""What the installed diffusers has, from the text of its files: importing it would take seconds."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Plain = str | int | float | None


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments of a pipeline's call, by name."""

    required: tuple[str, ...]
    """Those without a value of their own."""
    defaults: Mapping[str, Plain]
    """The others, with their value if it is a plain one, else None."""

    def __contains__(self, name: str) -> bool:
        return name in self.required or name in self.defaults


@cache
def read_signature(pipeline: str) -> Signature | None:
    """Return how a pipeline of the installed diffusers is called, None if it has none such."""
    for node in _find_class(pipeline):
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__call__":
                return _read_arguments(item.args)
    return None


def _find_class(name: str) -> Iterator[ast.ClassDef]:
    if not name.isidentifier():
        return
    for path in _list_files():
        text = path.read_text(encoding="utf-8")
        if f"\nclass {name}(" in text:
            for node in ast.parse(text).body:
                if isinstance(node, ast.ClassDef) and node.name == name:
                    yield node


def _list_files() -> Iterator[Path]:
    spec = importlib.util.find_spec("diffusers")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield from sorted(Path(folder, "pipelines").rglob("pipeline_*.py"))


def _read_arguments(arguments: ast.arguments) -> Signature:
    names = [argument.arg for argument in arguments.args[1:]]  # without self
    first = len(names) - len(arguments.defaults)
    values = zip(names[first:], arguments.defaults, strict=True)
    return Signature(
        required=tuple(names[:first]),
        defaults={name: _read_literal(value) for name, value in values},
    )


def _read_literal(node: ast.expr) -> Plain:
    try:
        value = ast.literal_eval(node)
    except ValueError:  # a name, a call
        return None
    return value if isinstance(value, str | int | float) else None
