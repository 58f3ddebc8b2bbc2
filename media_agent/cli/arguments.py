"""The kinds of words on a command line, and how numbers are read: exactly, or not at all."""

import math
import re
from typing import Annotated

from cyclopts import Parameter

_Plain = Parameter(negative=(), show_default=False)

Flag = Annotated[bool, _Plain]
Number = Annotated[str | None, Parameter(metavar="NUMBER", allow_leading_hyphen=True)]
Place = Annotated[str | None, Parameter(metavar="FILE|URL")]
Names = Annotated[tuple[str, ...], _Plain, Parameter(metavar="NAME")]
Texts = Annotated[tuple[str, ...], _Plain, Parameter(metavar="TEXT", allow_leading_hyphen=True)]


def read_whole_number(name: str, text: str | None) -> int | None:
    """Read a whole number, exactly: 1.5 is not rounded.

    Raises:
        InvalidRequestError: it is none.
    """
    from media_agent.errors import InvalidRequestError

    if text is None:
        return None
    if re.fullmatch(r"[+-]?[0-9]{1,100}", text.strip()) is None:
        raise InvalidRequestError(f"--{name} {text[:60]!r} is not a whole number")
    return int(text)


def read_number(name: str, text: str | None) -> float | None:
    """Read a number.

    Raises:
        InvalidRequestError: it is none.
    """
    from media_agent.errors import InvalidRequestError

    try:
        value = None if text is None else float(text)
    except ValueError:
        value = math.nan
    if value is not None and math.isnan(value):
        raise InvalidRequestError(f"--{name} {(text or '')[:60]!r} is not a number")
    return value
