"""How a key is sent, and kept out of everything that is said, in whatever spelling it comes back.

Text is looked through after it was decoded, where it becomes a value or a message: the raw bytes
of a reply spell a key in more ways, and are damaged by what is put in its place.
"""

import base64
import contextlib
import html
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import httpx
from pydantic import JsonValue, SecretStr

from media_agent.errors import ConfigurationError

Headers = Mapping[str, str]
Blot = Callable[[str], str]
"""Returns a text without any secret."""

_BLOT = "[key]"
_SHORTEST = 4  # characters; below, a key is no secret and would be found everywhere
_TELLING = 8  # characters; a shorter key is blotted only where it stands alone: it may be a word
_ESCAPES = "\\%&"  # without one of these a text spells a key in one way


def key_header(
    key: SecretStr | None, *, name: str = "Authorization", scheme: str = ""
) -> Callable[[], Headers]:
    """Return what makes the header with the key, such as scheme "Bearer"; none without a key.

    Raises:
        ConfigurationError: the key cannot stand in a header; the key itself is not shown.
    """
    if key is None:
        return dict
    value = key.get_secret_value().strip()
    if not value or not value.isascii() or not value.isprintable():
        raise ConfigurationError(
            "the key is empty or holds characters that no key has", hint="copy it again, whole"
        )
    return lambda: {name: f"{scheme} {value}" if scheme else value}


def blot_for(auth: Headers) -> Blot:
    """Return what takes the values of these headers, and the key in them, out of a text."""
    return _blot_for(tuple(auth.values()))


def blotted_value(value: JsonValue, blot: Blot) -> JsonValue:
    """Return JSON with every text in it blotted; half a character becomes a question mark."""
    match value:
        case str():
            return blot(value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
        case list():
            return [blotted_value(item, blot) for item in value]
        case dict():
            return {
                str(blotted_value(name, blot)): blotted_value(item, blot)
                for name, item in value.items()
            }
        case _:
            return value


def hide_queries(record: logging.LogRecord) -> bool:
    """Cut the query off every address that httpx logs."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            str(value.copy_with(query=None)) if isinstance(value, httpx.URL) else value
            for value in record.args
        )
    return True


def hide_headers(record: logging.LogRecord) -> bool:
    """Leave out what httpcore logs of the headers of a reply: a provider may echo the key there."""
    return "response_headers.complete" not in record.getMessage()


@lru_cache(maxsize=32)
def _blot_for(values: tuple[str, ...]) -> Blot:
    secrets = sorted({each for value in values for each in _secrets_in(value)}, key=len)
    secrets.reverse()
    if not secrets:
        return lambda text: text
    pattern = re.compile("|".join(map(_spelled, secrets)))
    telling = all(len(secret) >= _TELLING for secret in secrets)

    def blot(text: str) -> str:
        if telling and not any(escape in text for escape in _ESCAPES):
            for secret in secrets:
                text = text.replace(secret, _BLOT)
            return text
        return pattern.sub(_BLOT, text)

    return blot


def _secrets_in(value: str) -> Iterator[str]:
    """Yield what nobody may read out of a header: its value, the key in it, both in base64."""
    credentials = {value, value.partition(" ")[2], value.rpartition(" ")[2]}
    scheme, _, coded = value.partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            pair = base64.b64decode(coded, validate=True).decode()
            credentials |= {pair, pair.partition(":")[2]}
    for secret in credentials:
        if len(secret) >= _SHORTEST:
            yield secret
        if len(secret) >= _TELLING:
            yield from _in_base64(secret)


def _in_base64(secret: str) -> Iterator[str]:
    """Yield how a secret looks in base64, whatever stands before and behind it there."""
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        coded = base64.b64encode(bytes(before) + secret.encode()).decode()
        shown = coded[skipped : (before + len(secret)) * 8 // 6]
        if len(shown) >= _TELLING:
            yield shown
            yield shown.translate(str.maketrans("+/", "-_"))


def _spelled(secret: str) -> str:
    """Return a pattern of every spelling: JSON's escapes, those of addresses, and HTML's."""
    pattern = "".join(f"(?:{_spellings(letter)})" for letter in secret)
    alone = len(secret) < _TELLING
    return rf"(?<![\w-]){pattern}(?![\w-])" if alone else pattern


def _spellings(letter: str) -> str:
    code = f"(?i:{ord(letter):02x})"
    return "|".join(
        (
            rf"\\{{0,4}}{re.escape(letter)}",
            rf"\\{{1,4}}u00{code}",
            rf"%(?:25){{0,2}}{code}",
            rf"&\#(?:0*{ord(letter)}|[xX]0*{code});",
            re.escape(html.escape(letter)),
        )
    )
