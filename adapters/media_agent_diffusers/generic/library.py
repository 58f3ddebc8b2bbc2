"""What the installed diffusers has, from the text of its files: importing it would take seconds."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from media_agent.backend.python_text import parse_python

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


@cache
def read_single_file_classes() -> frozenset[str]:
    """Return the classes that the installed diffusers reads from one file, such as a GGUF file.

    None of them if it is not installed, or does not list them where it did.
    """
    for folder in _find_library():
        path = Path(folder, "loaders", "single_file_model.py")
        for node in _parse(path).body if path.is_file() else ():
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                names = (each.id for each in node.targets if isinstance(each, ast.Name))
                if "SINGLE_FILE_LOADABLE_CLASSES" in names:
                    keys = (key for key in node.value.keys if isinstance(key, ast.Constant))
                    return frozenset(str(key.value) for key in keys)
    return frozenset()


def _parse(path: Path) -> ast.Module:
    return parse_python(path.read_text(encoding="utf-8"), path)


def _find_class(name: str) -> Iterator[ast.ClassDef]:
    if not name.isidentifier():
        return
    for path in _list_files():
        text = path.read_text(encoding="utf-8")
        if f"\nclass {name}(" in text:
            for node in parse_python(text).body:
                if isinstance(node, ast.ClassDef) and node.name == name:
                    yield node


def _list_files() -> Iterator[Path]:
    for folder in _find_library():
        yield from sorted(Path(folder, "pipelines").rglob("pipeline_*.py"))


def _find_library() -> list[str]:
    spec = importlib.util.find_spec("diffusers")
    return [] if spec is None else list(spec.submodule_search_locations or ())


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
