"""Keys out of a text, in every spelling in which programs and services repeat them; pure."""

import base64
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

HIDDEN = "[key]"
_SHORTEST = 4  # characters; what is shorter stands in every text
_SHORTEST_CODED = (
    8  # characters of a key that is looked for in base64, or behind the colon of a pair
)
_ESCAPE = r"\\{1,8}"  # one level of quoting doubles it


def redact(text: str, secrets: Iterable[str], *, hidden: str = HIDDEN) -> str:
    """Return a text without these secrets, whatever spelling each of their characters has.

    Plain, escaped as JSON and programs do, also twice, percent-encoded, as an HTML entity, or
    within base64. A secret of less than four characters is left: it stands in every text.
    """
    for pattern in _patterns(frozenset(secrets)):
        text = pattern.sub(lambda _: hidden, text)
    return text


def redact_bytes(content: bytes, secrets: Iterable[str], *, hidden: str = HIDDEN) -> bytes:
    """Return bytes without these secrets; all other bytes stay as they are."""
    text = content.decode("utf-8", "surrogateescape")
    return redact(text, secrets, hidden=hidden).encode("utf-8", "surrogateescape")


@lru_cache(maxsize=64)
def _patterns(secrets: frozenset[str]) -> tuple[re.Pattern[str], ...]:
    """Return what finds the secrets, the longest first: one may be a part of another."""
    parts = {part for secret in secrets for part in _parts(secret.strip())}
    return tuple(
        re.compile("|".join((_in_any_spelling(part), *_in_base64(part))))
        for part in sorted(parts, key=len, reverse=True)
    )


def _parts(secret: str) -> Iterator[str]:
    """Yield a secret; of "SCHEME KEY" also the key, of "NAME:KEY" what follows the colon."""
    key = secret.rpartition(" ")[2]
    for part in (secret, key):
        if len(part) >= _SHORTEST:
            yield part
    half = key.rpartition(":")[2]
    if len(half) >= _SHORTEST_CODED:
        yield half


def _in_any_spelling(secret: str) -> str:
    return "".join(map(_character, secret))


def _character(character: str) -> str:
    """Return a pattern for one character in any of its spellings."""
    number = ord(character)
    spellings = [
        rf"\\{{0,8}}{re.escape(character)}",
        "".join(rf"{_ESCAPE}(?i:u{unit:04x})" for unit in _utf16_units(character)),
        "".join(f"%(?:25){{0,2}}(?i:{byte:02x})" for byte in character.encode()),
        rf"&\#(?:0*{number}|[xX]0*(?i:{number:x}));",
    ]
    if number < 256:
        spellings.append(rf"{_ESCAPE}(?:x(?i:{number:02x})|0?{number:o})")
    return f"(?:{'|'.join(spellings)})"


def _utf16_units(character: str) -> Iterator[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    yield from (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def _in_base64(secret: str) -> Iterator[str]:
    """Yield what of a secret stands in base64 that has it at any place, in both alphabets."""
    data = secret.encode()
    for before in range(3) if len(data) >= _SHORTEST_CODED else ():
        coded = base64.b64encode(bytes(before) + data).decode()
        first, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6  # characters of it alone
        swapped = {"+": "[+-]|%2[Bb]", "/": r"\\{0,8}/|_|%2[Ff]"}
        yield "".join(f"(?:{swapped[c]})" if c in swapped else c for c in coded[first:end])
