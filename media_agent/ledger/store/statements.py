"""Statements as Postgres' driver takes them."""

import re
from functools import lru_cache

_PARTS = re.compile(
    r"""'(?:[^']|'')*' | "[^"]*" | --[^\n]* | :: | :(?P<name>[A-Za-z_]\w*) | %""", re.VERBOSE
)


@lru_cache(maxsize=512)
def as_named(statement: str) -> str:
    """Return a statement with each value that stands in it as `:name` as `%(name)s`.

    What stands in quotes or in a comment, and a cast, stays as it is.
    """
    return _PARTS.sub(_as_named, statement)


def _as_named(found: re.Match[str]) -> str:
    name = found["name"]
    return found[0].replace("%", "%%") if name is None else f"%({name})s"
