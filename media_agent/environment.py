"""The variables of this process: here, and read by pydantic for `config`, and nowhere else."""

import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path


def variables() -> Mapping[str, str]:
    """Return all variables."""
    return os.environ


def value_of(variable: str) -> str | None:
    """Return what a variable says, without blanks around it; None: it is not set, or blank."""
    return os.environ.get(variable, "").strip() or None


def set_variable(variable: str, value: str) -> None:
    """Tell a library of this process something that it hears by a variable alone."""
    os.environ[variable] = value


def proxies() -> Mapping[str, str]:
    """Return the proxies that variables name, and on some systems the settings, by kind."""
    return urllib.request.getproxies()


def expand_home(path: str | Path) -> Path:
    """Return a path with `~` as the home it means; a home that nobody has stays, as in a shell."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # that of pathlib raises RuntimeError
