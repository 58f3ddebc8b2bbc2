"""Python text that is read and never run: by one thread at a time.

Python 3.11 fails with two threads in its parser at once.
"""

import ast
import threading
from pathlib import Path

_PARSING = threading.Lock()


def parse_python(text: str, path: Path | None = None) -> ast.Module:
    """Return the tree of a module; `path` is where errors say that it is.

    Raises:
        SyntaxError: it is no Python.
        ValueError: it has a null byte.
        RecursionError: it is nested too deep.
    """
    with _PARSING:
        return ast.parse(text, filename="<unknown>" if path is None else str(path))


def read_literal(text: str) -> object:
    """Return the plain value that a text writes, as `ast.literal_eval` does.

    Raises:
        SyntaxError: it is no Python.
        ValueError: it is no plain value.
    """
    with _PARSING:
        return ast.literal_eval(text)
