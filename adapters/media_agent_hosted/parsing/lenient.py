"""Reads what others wrote, as far as it can be read.

A service may add, drop and misspell what it likes: only the name of a piece of work, its state and
the address of its video can make an answer unusable. Every other fact is None when it is senseless.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, JsonValue

_SHOWN = 300  # characters of a provider's own words in a message
_MILLISECONDS = 1e11  # a time above it is no number of seconds since 1970, but of thousandths
_HALVES_OF_BYTES = re.compile("[\udc80-\udcff]")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
WRAPPERS = ("result", "response", "output", "task", "job", "video")
STATES = ("status", "state", "task_status")
_NAMES = ("id", "task_id", "request_id")
_TELLING = ("id", "status", "state", "error", "code")
_ENVELOPE = re.compile(r"ok|success|successful|true|0|1|2\d\d", re.IGNORECASE)


def read_json(content: bytes) -> JsonValue:
    """Return the JSON in an answer: also behind a byte order mark, or with a stray byte of Latin-1.

    Half surrogates become the replacement character, numbers without a finite value null.

    Raises:
        ValueError: it is none.
    """
    encoding = json.detect_encoding(content)
    text = content.decode(encoding, "surrogateescape" if "utf-8" in encoding else "replace")
    text = _HALVES_OF_BYTES.sub(lambda match: chr(ord(match[0]) - 0xDC00), text)
    text = text.strip("\ufeff\0 \t\r\n")
    try:
        return _whole_texts(
            json.loads(
                text, strict=False, parse_constant=number, parse_float=number, parse_int=_integer
            )
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def unwrap(body: JsonValue) -> dict[str, JsonValue]:
    """Return an answer as one object; what stands in a wrapping `data` counts as beside it.

    An object there is what the answer is about, but for the name and the state that the answer has
    itself; a list are its results, and the answer counts more. Other wrappers count where the
    answer itself tells nothing.
    """
    if isinstance(body, list):
        body = body[0] if len(body) == 1 else None
    if isinstance(body, str):
        body = json_in(body)
    if not isinstance(body, dict):
        return {}
    own: dict[str, JsonValue] = {name: value for name, value in body.items() if value is not None}
    inside = [body[name] for name in WRAPPERS if isinstance(body.get(name), dict)]
    if len(inside) == 1 and not any(body.get(name) for name in ("data", *_TELLING)):
        return unwrap(inside[0]) | own
    wrapped = body.get("data")
    if isinstance(wrapped, str):
        wrapped = json_in(wrapped)
    inner = unwrap(wrapped) if isinstance(wrapped, dict | list) else {}
    return body | _about_it(own, inner) if isinstance(wrapped, dict) else inner | own


def _about_it(own: dict[str, JsonValue], inner: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return what an inner object adds: a state and a name only where the answer has none.

    An answer that says "ok" of itself, and no more, is about what is inside.
    """
    states = [word for name in STATES if (word := text(own.get(name))) is not None]
    says_inside = any(text(inner.get(name)) for name in STATES)
    if says_inside and states and all(map(is_envelope, states)):
        return {**dict.fromkeys(STATES), **inner}
    known = {name for name in _NAMES if text(own.get(name)) is not None}
    known |= set(STATES) if states else set()
    return {name: value for name, value in inner.items() if name not in known}


def is_envelope(word: JsonValue) -> bool:
    """Whether a word for a state may be said of the answer alone, such as "ok" or 200."""
    return _ENVELOPE.fullmatch(str(word).strip()) is not None


def trim(text: str) -> str:
    """Return foreign text on one line of bounded length, without anything unprintable."""
    line = " ".join(text.split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."


def space_words(name: str) -> str:
    """Return the words of a name such as "videoUrl", "video_url" or "Video-URL", in small letters.

    They are parted by one space each.
    """
    return " ".join(re.split(r"[\W_]+", _HUMP.sub(" ", name))).strip().casefold()


def value_at(reply: JsonValue, place: str | None) -> JsonValue:
    """Return what stands at a place such as "data.videos.0.url"; None: nothing.

    Where a number is due an object counts as a list of one.
    """
    found = reply
    for part in () if place is None else place.split("."):
        if isinstance(found, dict):
            found = found if part.isdecimal() and part not in found else found.get(part)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return None if place is None else found


def text(value: object) -> str | None:
    """Return a text or a number as text; None for an empty one and for anything else."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool) or not isinstance(value, int | float) or number(value) is None:
        return None
    return str(int(value)) if value == int(value) else str(value)


def number(value: object) -> float | None:
    """Return a finite number, also from a text such as "10%"; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value.strip().removesuffix("%") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def share(value: object) -> float | None:
    """Return a progress as a share of 1: percent, or a share where it is written with a point."""
    done = number(value)
    if done is None or done < 0:
        return None
    written = str(value)
    has_point = "." in written and "%" not in written
    return min(1.0, done if has_point and done <= 1 else done / 100)


def is_at_end(value: object) -> bool:
    """Whether a progress may mean that all is done: also a whole 1, which may be one percent."""
    return number(value) in (1.0, 100.0)


def whole(value: object) -> int | None:
    """Return a whole number, also from a text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def moment(value: object) -> float | None:
    """Return seconds since 1970 from seconds, thousandths, or a date; None for anything else."""
    found = number(value)
    if found is not None:
        return found / 1000 if abs(found) >= _MILLISECONDS else found
    if not isinstance(value, str):
        return None
    try:
        date = datetime.fromisoformat(value.strip())
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


Word = Annotated[str, BeforeValidator(lambda value: text(value) or "")]
"""A text that is needed; "" where it is senseless."""
Text = Annotated[str | None, BeforeValidator(text)]
Number = Annotated[float | None, BeforeValidator(number)]
Whole = Annotated[int | None, BeforeValidator(whole)]
Moment = Annotated[float | None, BeforeValidator(moment)]


def json_in(value: str) -> JsonValue:
    """Return the list or object that a text is the JSON of, as some services write one; or None."""
    if not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return read_json(value.encode())
    except ValueError:
        return None


def _integer(digits: str) -> int | None:
    try:
        return int(digits)
    except ValueError:  # more digits than Python reads
        return None


def _whole_texts(value: JsonValue) -> JsonValue:
    match value:
        case str():
            return _whole_text(value)
        case list():
            return [_whole_texts(each) for each in value]
        case dict():
            return {_whole_text(name): _whole_texts(each) for name, each in value.items()}
        case _:
            return value


def _whole_text(value: str) -> str:
    """Return a text in which pairs of surrogates are one character, and halves are replaced."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value
