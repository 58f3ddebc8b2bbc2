"""How a key is sent, and kept out of what the libraries log of sending it."""

import logging
from collections.abc import Callable, Mapping

import httpx
from pydantic import SecretStr

from media_agent.errors import ConfigurationError

Headers = Mapping[str, str]
Auth = Callable[[httpx.Request], Headers]
"""Returns the headers with the key for a request that is built: a signature may cover its body."""


def no_auth(request: httpx.Request) -> Headers:
    """Return no header: the service takes no key."""
    return {}


def key_header(key: SecretStr | None, *, name: str = "Authorization", scheme: str = "") -> Auth:
    """Return what makes the header with the key, such as scheme "Bearer"; none without a key.

    Raises:
        ConfigurationError: the key cannot stand in a header; the key itself is not shown.
    """
    if key is None:
        return no_auth
    value = key.get_secret_value().strip()
    if not value or not value.isascii() or not value.isprintable():
        raise ConfigurationError(
            "the key is empty or holds characters that no key has", hint="copy it again, whole"
        )
    return lambda request: {name: f"{scheme} {value}" if scheme else value}


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
