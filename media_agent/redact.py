"""Keys out of a text, in every spelling in which programs and services repeat them; pure.

A text is looked through after it was decoded, where it becomes a value or a message: what puts
something in the place of a key in raw bytes may damage them.
"""

import base64
import contextlib
import html.entities
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from pydantic import JsonValue

from media_agent.concealing import HIDDEN

_SHORTEST = 4  # characters; what is shorter stands in every text
_TELLING = 8  # characters; a shorter key may be a word, and is hidden only where it stands alone

# Each sign that begins an escape may itself be escaped: JSON within JSON, within an address, ...
_PERCENT = "%(?:25){0,3}"
_BACKSLASH = rf"(?:\\|{_PERCENT}5[Cc])"
_AMPERSAND = rf"(?:&|u0026|{_PERCENT}26)(?:(?:amp|#38);){{0,2}}"
_ESCAPES = "\\%&"  # without one of these a text spells a key as it is, in hex, or in base64

_FOR_PEOPLE = re.compile("(?i)err|mess|msg|detail|reason|warn|descri|hint|note")
_ADDRESS = re.compile(r"(?i:https?:/)?/\S+")
_OF_AN_ID = re.compile("(?i:(?:^|[_-])(?:id|uuid|name|task|job|operation))$|[a-z](?:Id|ID)$")


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text without these secrets, whatever spelling each of their characters has.

    Plain, escaped as JSON and programs do, percent-encoded, as an HTML entity, one of these within
    another, in hex, or within base64. One of less than eight characters is hidden where it stands
    alone, one of less than four is left: it stands in every text.
    """
    is_escaped = any(sign in text for sign in _ESCAPES)
    for part in _parts_of(frozenset(secrets)):
        text = _pattern(part, is_escaped).sub(lambda _: HIDDEN, text)
    return text


def redact_bytes(content: bytes, secrets: Iterable[str]) -> bytes:
    """Return bytes without these secrets; all other bytes stay as they are."""
    text = content.decode("utf-8", "surrogateescape")
    return redact(text, secrets).encode("utf-8", "surrogateescape")


def redact_value(value: JsonValue, secrets: Iterable[str]) -> JsonValue:
    """Return JSON without these secrets in any of its texts and names."""
    known = frozenset(secrets)
    match value:
        case str():
            return redact(value, known)
        case list():
            return [redact_value(each, known) for each in value]
        case dict():
            return {redact(name, known): redact_value(each, known) for name, each in value.items()}
        case _:
            return value


def redact_reply(value: JsonValue, secrets: Iterable[str], name: str = "") -> JsonValue:
    """Return parsed JSON without these secrets in its words; what decides stays as it came.

    That is an address, and what an id names: with a hole in it a finished video could not be
    fetched. An error says neither. Whoever keeps an address leaves the key out; the reference to
    the work is kept as it came, for it is the only way back to it.
    """
    known = frozenset(secrets)
    match value:
        case str():
            said = redact(value, known)
            return value if said != HIDDEN and _decides(name, value) else said
        case list():
            return [redact_reply(each, known, name) for each in value]
        case dict():
            return {
                redact(inner, known): redact_value(each, known)
                if _FOR_PEOPLE.search(inner)
                else redact_reply(each, known, inner)
                for inner, each in value.items()
            }
        case _:
            return value


def _decides(name: str, text: str) -> bool:
    return _ADDRESS.fullmatch(text) is not None or (
        _OF_AN_ID.search(name) is not None and not any(map(str.isspace, text))
    )


@lru_cache(maxsize=64)
def _parts_of(secrets: frozenset[str]) -> tuple[str, ...]:
    """Return all that is hidden of secrets, the longest first: one may be a part of another."""
    parts = {part.strip() for secret in secrets for part in _parts(secret.strip())}
    long_enough = [part for part in parts if len(part) >= _SHORTEST]
    return tuple(sorted(long_enough, key=lambda part: (-len(part), part)))


def _parts(secret: str) -> Iterator[str]:
    """Yield a secret; of "SCHEME KEY" also the key, of "NAME:KEY" what follows the colon."""
    key = secret.rpartition(" ")[2]
    yield from (secret, key, key.rpartition(":")[2])
    if secret.lower().startswith("basic "):
        with contextlib.suppress(ValueError):
            pair = base64.b64decode(key, validate=True).decode()
            yield from (pair, pair.partition(":")[2])


@lru_cache(maxsize=256)
def _pattern(part: str, is_escaped: bool) -> re.Pattern[str]:
    """Return what finds a secret in a text that has signs of escaping, or has none."""
    spelled = re.escape(part)
    if is_escaped:  # whose beginnings are looked at first, for speed
        beginnings = f"[{re.escape(part[0] + _ESCAPES)}]"
        spelled = f"(?={beginnings})" + "".join(map(_character, part))
    if len(part) < _TELLING:
        return re.compile(rf"(?<![\w-])(?:{spelled})(?![\w-])")
    return re.compile("|".join((spelled, _in_hex(part), *_in_base64(part))))


@lru_cache(maxsize=512)
def _character(character: str) -> str:
    """Return a pattern for one character in any of its spellings."""
    number = ord(character)
    octets = character.encode("utf-8", "surrogatepass")
    spellings = [
        re.escape(character),
        "".join(f"{_PERCENT}(?i:{octet:02x})" for octet in octets),
        rf"{_AMPERSAND}(?:\#0*{number};?|\#[xX]0*(?i:{number:x});?{_named(character)})",
        f"{_BACKSLASH}?".join(f"(?i:u{unit:04x})" for unit in _utf16_units(character)),
        rf"u\{{0*(?i:{number:x})\}}|U(?i:{number:08x})",
    ]
    if number < 256:
        spellings.append(rf"x(?i:{number:02x})|0?{number:o}")
    if character == " ":
        spellings.append(r"\+")
    slashes = f"{_BACKSLASH}{{0,8}}"
    if character != "\\":  # all of them: without this, long rows of them are tried again and again
        slashes += (
            f"(?!{_BACKSLASH})"  # a possessive "+" does it too, and is broken in Python 3.11.2
        )
    return f"(?:{slashes}(?:{'|'.join(spellings)}))"


def _named(character: str) -> str:
    """Return the names that HTML has for a character, without the ampersand, as alternatives."""
    return "".join(
        f"|{re.escape(name)}"
        for name, meant in html.entities.html5.items()
        if meant == character and name.endswith(";")
    )


def _utf16_units(character: str) -> Iterator[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    yield from (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def _in_hex(secret: str) -> str:
    """Return a pattern for the octets of a secret, two digits each, in either case."""
    return f"(?i:{secret.encode('utf-8', 'surrogatepass').hex()})"


def _in_base64(secret: str) -> Iterator[str]:
    """Yield what of a secret stands in base64 that has it at any place, in both alphabets."""
    data = secret.encode("utf-8", "surrogatepass")
    swapped = {"+": f"(?:{_character('+')}|-)", "/": f"(?:{_character('/')}|_)"}
    for before in range(3):
        coded = base64.b64encode(bytes(before) + data).decode()
        first, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6  # characters of it alone
        yield "".join(swapped.get(sign, sign) for sign in coded[first:end])
