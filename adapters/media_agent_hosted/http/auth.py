"""How a key is sent, and kept out of what the libraries log of sending it."""

import logging
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping

import httpx
from pydantic import SecretStr

from media_agent.errors import BackendRefusedError, ConfigurationError
from media_agent.storage.addresses import origin_of

Headers = Mapping[str, str]
Auth = Callable[[httpx.Request], Headers]
"""Returns the headers with the key for a request that is built: a signature may cover its body."""

AUTH_PATTERN = r"^[A-Za-z0-9-]+: (?:[A-Za-z0-9._-]+ )?\{key\}$"
"""How the settings write a header with the key, such as "Authorization: Bearer {key}"."""

_KEYS_REMEMBERED = 32  # headers with keys that are kept out of texts; a signature is always new


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


def split_auth(written: str) -> tuple[str, str]:
    """Return the name of a header that the settings wrote, and its scheme; "": it has none."""
    name, _, rest = written.partition(": ")
    return name, rest.removesuffix("{key}").strip()


class OwnOrigin(httpx.Auth):
    """Adds the key to what a library sends to one origin, and lets it send nothing elsewhere."""

    def __init__(self, base_url: str, auth: Auth) -> None:
        self._origin = origin_of(httpx.URL(base_url))
        self._auth = auth

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the key.

        Raises:
            BackendRefusedError: the request is for another origin.
        """
        if origin_of(request.url) != self._origin:
            raise BackendRefusedError(
                f"{self._origin[1]} names an address on {request.url.host}, where nothing is sent",
                hint="if the service really answers from there, make that its base_url",
            )
        request.headers.update(self._auth(request))
        yield request


class Signer:
    """Makes the headers with the key, and knows what no text may hold."""

    def __init__(self, auth: Auth, further_secrets: Collection[SecretStr] = ()) -> None:
        self._auth = auth
        self._sent: deque[str] = deque(maxlen=_KEYS_REMEMBERED)
        self._further = further_secrets

    def sign(self, request: httpx.Request) -> Headers:
        """Return the headers with the key for a request, and keep them out of all texts."""
        headers = self._auth(request)
        self._sent += [each for each in headers.values() if each not in self._sent]
        return headers

    @property
    def secrets(self) -> frozenset[str]:
        """What was sent as a key, and the further secrets."""
        further = (secret.get_secret_value() for secret in self._further)
        return frozenset((*self._sent, *further))


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
