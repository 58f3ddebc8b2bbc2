"""How a key is sent, and kept out of what the libraries log of sending it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol, runtime_checkable

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


def written_header(key: SecretStr | None, written: str) -> Auth:
    """Return what makes the header that the settings wrote, such as "Authorization: Bearer {key}".

    Raises:
        ConfigurationError: the key cannot stand in a header; the key itself is not shown.
    """
    name, scheme = split_auth(written)
    return key_header(key, name=name, scheme=scheme)


@runtime_checkable
class Renewable(Protocol):
    """What makes headers with a key that ends, and is renewed."""

    async def prepare(self) -> None:
        """Renew the key if it is about to end."""
        ...

    def forget(self, server_time: float | None) -> None:
        """Renew the key before the next call: it was refused, at that time of the server."""
        ...


@dataclass(frozen=True, slots=True)
class Token:
    """A key, and until when it is good, in seconds since 1970; None: until it is refused."""

    value: str
    ends_at: float | None = None


class RenewedToken:
    """Makes headers with a token that is fetched again before it ends, and when it was refused.

    A clock that goes wrong here is corrected by that of the server, where a token was refused.
    """

    def __init__(
        self,
        fetch: Callable[[float], Token],
        *,
        clock: Callable[[], float] = time.time,
        scheme: str = "Bearer",
        early_seconds: float = 60.0,
    ) -> None:
        """Take what returns a new token, given the time; it may wait, and runs in a thread."""
        self._fetch = fetch
        self._clock = clock
        self._scheme = scheme
        self._early = early_seconds
        self._token: Token | None = None
        self._skew = 0.0  # seconds by which the server's clock is ahead
        self._lock = asyncio.Lock()

    async def prepare(self) -> None:
        """Renew the token if it is about to end."""
        async with self._lock:
            if self._is_due():
                self._token = await asyncio.to_thread(self._fetch, self._now())

    def forget(self, server_time: float | None) -> None:
        """Renew the token before the next call, by the time of the server."""
        self._token = None
        if server_time is not None:
            self._skew = server_time - self._clock()

    def __call__(self, request: httpx.Request) -> Headers:
        """Return the header with the token."""
        token = self._token or self._fetch(self._now())
        self._token = token
        return {"Authorization": f"{self._scheme} {token.value}".strip()}

    def _is_due(self) -> bool:
        token = self._token
        if token is None:
            return True
        return token.ends_at is not None and self._now() >= token.ends_at - self._early

    def _now(self) -> float:
        return self._clock() + self._skew


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

    async def prepare(self) -> None:
        """Renew a key that is about to end."""
        if isinstance(self._auth, Renewable):
            await self._auth.prepare()

    def forget(self, date: str | None) -> bool:
        """Return whether another key can be had than the one that was refused, at that date."""
        if not isinstance(self._auth, Renewable):
            return False
        self._auth.forget(_read_date(date))
        return True

    @property
    def secrets(self) -> frozenset[str]:
        """What was sent as a key, and the further secrets."""
        further = (secret.get_secret_value() for secret in self._further)
        return frozenset((*self._sent, *further))


def _read_date(date: str | None) -> float | None:
    """Return the time in a header `Date`, in seconds since 1970; None: there is none."""
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


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
