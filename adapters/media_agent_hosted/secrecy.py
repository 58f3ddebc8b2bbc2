"""How a key is sent, and kept out of everything that is said."""

import logging
from collections.abc import Callable, Mapping

import httpx
from pydantic import SecretStr

from media_agent.errors import ConfigurationError

Headers = Mapping[str, str]


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


def blotted(content: bytes, auth: Headers) -> bytes:
    """Return the content without the values of these headers, nor the key in them."""
    for value in auth.values():
        for secret in (value, value.rpartition(" ")[2]):
            if len(secret) >= 4:
                content = content.replace(secret.encode("ascii", "replace"), b"[key]")
    return content


def hide_queries(record: logging.LogRecord) -> bool:
    """Cut the query off every address that httpx logs."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            str(value.copy_with(query=None)) if isinstance(value, httpx.URL) else value
            for value in record.args
        )
    return True
