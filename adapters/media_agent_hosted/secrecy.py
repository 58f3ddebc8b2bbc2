"""How a key is sent, and kept out of everything that is said, in whatever spelling it comes back.

Text is looked through after it was decoded, where it becomes a value or a message: the raw bytes
of a reply spell a key in more ways, and are damaged by what is put in its place.
"""

import base64
import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import httpx
from pydantic import JsonValue, SecretStr

from media_agent.errors import ConfigurationError
from media_agent.redact import HIDDEN, redact

Headers = Mapping[str, str]
Blot = Callable[[str], str]
"""Returns a text without any secret."""

_SHORTEST = 4  # characters; below, a key is no secret and would be found everywhere
_TELLING = 8  # characters; a shorter key is blotted only where it stands alone: it may be a word
_LONG = 2**16  # characters; a longer text, such as a video in base64, is only skimmed
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
    secrets = {each for value in values for each in _secrets_in(value)}
    telling = sorted((each for each in secrets if len(each) >= _TELLING), key=len, reverse=True)
    words = [re.escape(each) for each in secrets if _SHORTEST <= len(each) < _TELLING]
    alone = re.compile(rf"(?<![\w-])(?:{'|'.join(words)})(?![\w-])") if words else None

    def blot(text: str) -> str:
        if len(text) > _LONG and not any(escape in text for escape in _ESCAPES):
            for secret in telling:
                text = text.replace(secret, HIDDEN)
        elif telling:
            text = redact(text, telling)
        return text if alone is None else alone.sub(HIDDEN, text)

    return blot


def _secrets_in(value: str) -> Iterator[str]:
    """Yield what nobody may read out of a header: its value, and the key in it."""
    scheme, _, key = value.partition(" ")
    yield from (value, key, value.rpartition(" ")[2])
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            pair = base64.b64decode(key, validate=True).decode()
            yield from (pair, pair.partition(":")[2])
