"""The kinds of words on a command line, and how numbers are read: exactly, or not at all."""

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from media_agent_schemas.media import Size

_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_Plain = Parameter(negative=(), show_default=False)

Flag = Annotated[bool, _Plain]
Yes = Annotated[bool, _Plain, Parameter(alias="-y")]
JobStatuses = tuple[
    Literal["queued", "in_progress", "completed", "failed", "cancelled", "outcome_unknown"], ...
]
Number = Annotated[str | None, Parameter(metavar="NUMBER", allow_leading_hyphen=True)]
Duration = Annotated[Number, Parameter(name=("--duration", "-d"))]
Text = Annotated[str | None, Parameter(metavar="TEXT", allow_leading_hyphen=True)]
Texts = Annotated[tuple[str, ...], _Plain, Parameter(metavar="TEXT", allow_leading_hyphen=True)]
Name = Annotated[str | None, Parameter(metavar="NAME")]
Names = Annotated[tuple[str, ...], _Plain, Parameter(metavar="NAME")]
GgufFiles = Annotated[tuple[str, ...], _Plain, Parameter(metavar="[COMPONENT=]FILE")]
Backend = Annotated[Name, Parameter(name=("--model", "-m", "--backend", "-b"))]
Place = Annotated[str | None, Parameter(metavar="FILE|URL")]
OptionalFile = Annotated[Path | None, Parameter(metavar="FILE")]
Output = Annotated[OptionalFile, Parameter(name=("--out", "-o"))]
Request = Annotated[
    str | None,
    Parameter(name=("--request", "-r"), metavar="FILE|-", allow_leading_hyphen=True),
]
Camera = (
    Literal[
        "static",
        "pan_left",
        "pan_right",
        "tilt_up",
        "tilt_down",
        "zoom_in",
        "zoom_out",
        "dolly_in",
        "dolly_out",
        "orbit_left",
        "orbit_right",
        "handheld",
    ]
    | None
)


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


def check_limit(limit: int) -> None:
    """Refuse to list fewer than one.

    Raises:
        InvalidRequestError: it is less than 1.
    """
    from media_agent.errors import InvalidRequestError

    if limit < 1:
        raise InvalidRequestError(f"--limit {limit} is not at least 1")


def read_size(name: str, text: str) -> int:
    """Read a size in bytes, such as 5GB, 1.5 GiB or 200000.

    Raises:
        InvalidRequestError: it is none.
    """
    from media_agent.errors import InvalidRequestError

    size = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?) ?(?:([kmgt])(i?)b?|b)?", text.strip().lower())
    if size is None:
        raise InvalidRequestError(
            f"--{name} {text[:60]!r} is not a size", hint=f"--{name} 5GB, or --{name} 500MB"
        )
    base = 1024 if size[3] else 1000
    return int(float(size[1]) * base ** (" kmgt".index(size[2] or " ")))


def read_since(name: str, text: str, now: datetime) -> datetime:
    """Read a span before now, such as 7d, or a date or time, which is local unless it says a zone.

    Raises:
        InvalidRequestError: it is neither.
    """
    return _read_time(name, text, now, -1)


def read_until(name: str, text: str, now: datetime) -> datetime:
    """Read a span from now on, such as 90d, or a date or time, as `read_since` does.

    Raises:
        InvalidRequestError: it is neither, or over already.
    """
    from media_agent.errors import InvalidRequestError

    time = _read_time(name, text, now, 1)
    if time <= now:
        raise InvalidRequestError(f"--{name} {text[:60]!r} is over already")
    return time


def _read_time(name: str, text: str, now: datetime, direction: int) -> datetime:
    from media_agent.errors import InvalidRequestError

    span = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    try:
        if span is not None:
            return now + direction * timedelta(**{_SPANS[span[2]]: int(span[1])})
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequestError(
            f"--{name} {text[:60]!r} is neither a span such as 7d, 24h or 2w nor a date",
            hint=f"--{name} 7d, or --{name} {now:%Y-%m-%d}",
        ) from None


def read_frame_size(text: str) -> "Size":
    """Read a frame size, WxH.

    Raises:
        InvalidRequestError: it is none.
    """
    from pydantic import ValidationError

    from media_agent.errors import InvalidRequestError
    from media_agent.validation import in_words
    from media_agent_schemas.media import Size

    try:
        return Size.parse(text)
    except ValidationError as error:
        raise InvalidRequestError(in_words(error, Size)) from None
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
