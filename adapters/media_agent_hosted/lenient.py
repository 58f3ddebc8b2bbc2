"""Reads what others wrote, as far as it can be read.

A service may add, drop and misspell what it likes: only the name of a piece of work, its state and
the address of its video can make an answer unusable. Every other fact is None when it is senseless.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, JsonValue

from media_agent.inline import is_inline

_DEPTH = 4  # objects within objects in which an address is looked for
_MILLISECONDS = 1e11  # a time above it is no number of seconds since 1970, but of thousandths
_HALVES_OF_BYTES = re.compile("[\udc80-\udcff]")
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://.+|\.{0,2}/.*|[^\s/:]+(?:/\S*)?\.[a-z]\w{1,4}", re.IGNORECASE
)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_IS_A_VIDEO = re.compile(r"https?://[^?#\s]+\.(?:mp4|webm|mov|mkv|m4v)(?:[?#]\S*)?", re.IGNORECASE)
_PLACES = (
    *("url", "urls", "video", "videos", "video_url", "video_urls", "download_url", "uri"),
    *("data", "result", "results", "output", "outputs", "metadata", "response", "file", "files"),
)
_INLINE_PLACES = ("b64_json", "video_base64", "base64")
_ONLY_WHERE_DUE = ("href", "link", "src", "address", "location")  # elsewhere they name anything
WRAPPERS = ("result", "response", "output", "task", "job", "video")
_TELLING = ("id", "status", "state", "error", "code")


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


def merged(body: JsonValue) -> dict[str, JsonValue]:
    """Return an answer as one object; what stands in a wrapping `data` counts as beside it.

    An object there is what the answer is about; a list are its results, and the answer counts more.
    Other wrappers count where the answer itself tells nothing.
    """
    if isinstance(body, list):
        body = body[0] if len(body) == 1 else None
    if isinstance(body, str):
        body = _json_in(body)
    if not isinstance(body, dict):
        return {}
    inside = [body[name] for name in WRAPPERS if isinstance(body.get(name), dict)]
    if len(inside) == 1 and not any(body.get(name) for name in ("data", *_TELLING)):
        return merged(inside[0]) | {
            name: value for name, value in body.items() if value is not None
        }
    wrapped = body.get("data")
    inner = merged(wrapped) if isinstance(wrapped, dict | list) else {}
    if isinstance(wrapped, dict):
        return body | inner
    return inner | {name: value for name, value in body.items() if value is not None}


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


def fits_a_path(name: str) -> bool:
    """Whether the name of work can stand in a path: dots alone would climb out of it."""
    return name.strip(".") != "" and len(name) <= 500 and name.isprintable()


def videos_in(
    body: JsonValue, *, everywhere: bool = False
) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    """Yield each address of a video that an answer names, with the object that it stands in.

    What says that it is a picture or a sound is none. With `everywhere` names that are not known
    here are looked at too, where plainly a video stands there; an answer may repeat an input.
    """
    seen: set[str] = set()
    others = _elsewhere(body, {}, _DEPTH) if everywhere else ()
    for address, around in (*_addresses(body, {}, _DEPTH), *others):
        kind = text(around.get("content_type") or around.get("mime_type")) or ""
        if address not in seen and not kind.startswith(("image/", "audio/")):
            seen.add(address)
            yield address, around


def is_fetchable(address: str) -> bool:
    """Whether an address is of a kind that is fetched: one in a bucket, such as s3:, is not."""
    scheme = _SCHEME.match(address)
    return scheme is None or scheme[1].lower() in ("http", "https", "data")


def address_in(value: JsonValue) -> str | None:
    """Return the address at a place where one is due: any text, or in a list, or in an object."""
    match value:
        case str():
            inside = _json_in(value)
            return (_unescaped(value) or None) if inside is None else address_in(inside)
        case list():
            return next(filter(None, map(address_in, value)), None)
        case dict():
            found = (address for address, _ in videos_in(value, everywhere=True))
            others = (address_in(value.get(name)) for name in _ONLY_WHERE_DUE)
            return next(found, None) or next(filter(None, others), None)
    return None


def _addresses(
    value: JsonValue, around: Mapping[str, JsonValue], depth: int
) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    match value:
        case str() if _ADDRESS.fullmatch(_unescaped(value)) or is_inline(value.strip()):
            yield _unescaped(value), around
        case list() if depth:
            for each in value:
                yield from _addresses(each, around, depth - 1)
        case str() if depth:
            yield from _addresses(_json_in(value), around, depth - 1)
        case dict() if depth:
            for place in _PLACES:
                yield from _addresses(value.get(place), value, depth - 1)
            for place in _INLINE_PLACES:
                inline = value.get(place)
                if isinstance(inline, str) and inline.strip():
                    yield inline.strip(), value


def _unescaped(value: str) -> str:
    """Return an address without what is left of it being JSON within JSON."""
    return value.strip().replace("\\/", "/")


def _json_in(value: str) -> JsonValue:
    """Return the list or object that a text is the JSON of, as some services write one; or None."""
    if not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return read_json(value.encode())
    except ValueError:
        return None


def _elsewhere(
    value: JsonValue, around: Mapping[str, JsonValue], depth: int
) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    """Yield what is plainly a video, under names that are not known here."""
    match value:
        case str() if _IS_A_VIDEO.fullmatch(value.strip()):
            yield value.strip(), around
        case list() if depth:
            for each in value:
                yield from _elsewhere(each, around, depth - 1)
        case dict() if depth:
            for each in value.values():
                yield from _elsewhere(each, value, depth - 1)


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
