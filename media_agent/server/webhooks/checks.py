"""How the callbacks of each backend are checked, by what its spec and the settings say."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from media_agent.backend.protocol import CallbackSigning
from media_agent.server.webhooks.callbacks import Check
from media_agent.server.webhooks.sender import open_client
from media_agent.server.webhooks.signing import is_signed, is_signed_by_fal, read_key_set

if TYPE_CHECKING:
    import httpx
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_KEPT_SECONDS = 24 * 3600.0  # as fal allows its keys to be kept
_RETRY_SECONDS = 600.0  # before keys that could not be had, or did not fit, are asked for again
_LARGEST_KEY_SET = 2**16  # bytes
_LOGGER = logging.getLogger(__name__)

FetchKeys = Callable[[], Awaitable["tuple[Ed25519PublicKey, ...]"]]


def check_for(
    signing: CallbackSigning | None, secrets: tuple[bytes, ...], fetch: Callable[[str], FetchKeys]
) -> Check | None:
    """Return what checks the callbacks of a service; None: nothing can, so each is only a hint."""
    match signing:
        case CallbackSigning(scheme="fal", keys_url=str(url)):
            return KeySet(fetch(url)).check
        case CallbackSigning(scheme="standard-webhooks") if secrets:
            return _check_by(secrets)
    return None


def _check_by(secrets: tuple[bytes, ...]) -> Check:
    async def check(headers: Mapping[str, str], body: bytes, now: float) -> bool:
        return is_signed(headers, body, secrets, now=now)

    return check


class KeySet:
    """The public keys of a service, fetched at most every ten minutes and kept for a day."""

    def __init__(self, fetch: FetchKeys, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: tuple[Ed25519PublicKey, ...] = ()
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    async def check(self, headers: Mapping[str, str], body: bytes, now: float) -> bool | None:
        """Return whether a callback is signed by one of them; None: none could be had."""
        if self._keys and self._age() < _KEPT_SECONDS:
            if is_signed_by_fal(headers, body, self._keys, now=now):
                return True
            if self._age() < _RETRY_SECONDS:
                return False
        await self._renew()  # they may have been changed
        return is_signed_by_fal(headers, body, self._keys, now=now) if self._keys else None

    def _age(self) -> float:
        return float("inf") if self._asked_at is None else self._clock() - self._asked_at

    async def _renew(self) -> None:
        """Ask for the keys, unless that was done lately; one answer serves all that wait."""
        import httpx

        async with self._asking:
            if self._age() < _RETRY_SECONDS:
                return
            try:
                self._keys = await self._fetch() or self._keys
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
                _LOGGER.warning("keys to check callbacks cannot be had: %s", type(error).__name__)
            self._asked_at = self._clock()


def fetch_keys(url: str, open_client: "Callable[[], httpx.AsyncClient]" = open_client) -> FetchKeys:
    """Return what fetches the keys at an address."""

    async def fetch() -> "tuple[Ed25519PublicKey, ...]":
        import httpx

        async with open_client() as client, client.stream("GET", url) as response:
            response.raise_for_status()
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _LARGEST_KEY_SET:
                    raise ValueError("too many keys")
        return read_key_set(httpx.Response(200, content=bytes(body)).json())

    return fetch
