"""Fetches an update and its signature: https only, of bounded size, without redirects."""

import asyncio

import httpx

from media_agent.errors import BackendResponseError, BackendUnavailableError, InvalidRequestError
from media_agent.storage.addresses import parsed_address
from media_agent.storage.network import (
    STRANGE,
    TROUBLE,
    Way,
    before_sending,
    decode,
    open_client,
    reason_of,
    safe_cause,
)

LARGEST_FILE = 4 * 2**20  # bytes; the facts about a thousand models take one of them
_LARGEST_SIGNATURE = 1024
_SECONDS = 30.0


async def fetch_update(
    url: str, transport: httpx.AsyncBaseTransport | None = None
) -> tuple[bytes, bytes]:
    """Return a file, and what lies at the same address with .sig behind it.

    Raises:
        InvalidRequestError: the address is not https.
        BackendUnavailableError: it cannot be reached.
        BackendResponseError: it answers with anything but a file of a sensible size.
    """
    parsed = parsed_address(url)
    if parsed is None or parsed.scheme != "https" or parsed.userinfo:
        raise InvalidRequestError(
            f"a catalogue is read from an https address only, not from {url[:200]!r}",
            hint="give one such as https://example.com/catalogue.json, without a password",
        )
    signed = parsed.copy_with(path=f"{parsed.path}.sig")
    try:
        async with asyncio.timeout(2 * _SECONDS):
            content = await _fetch(parsed, LARGEST_FILE, transport)
            return content, await _fetch(signed, _LARGEST_SIGNATURE, transport)
    except TimeoutError:
        said = f"{parsed.host} takes longer than {2 * _SECONDS:g} s"
        raise BackendUnavailableError(said, hint="try again later") from None


async def _fetch(url: httpx.URL, largest: int, transport: httpx.AsyncBaseTransport | None) -> bytes:
    way, content = Way(), bytearray()
    timeout = httpx.Timeout(_SECONDS, connect=10.0)
    async with open_client(url, timeout=timeout, transport=transport) as client:
        try:
            request = client.build_request("GET", url, extensions={"trace": way})
            response = await client.send(request, stream=True)
            try:
                _check(response, url)
                async for piece in decode(response):
                    content += piece
                    if len(content) > largest:
                        raise BackendResponseError(
                            f"{url.host} sends more than {largest} bytes for {url.path}"
                        )
            finally:
                await response.aclose()
        except (*TROUBLE, *STRANGE) as error:
            known = before_sending(error, url.host, way)
            if known is None and not isinstance(error, TROUBLE):
                raise
            said = f"{url.host} broke off ({reason_of(error)})"
            trouble = known or BackendUnavailableError(said, hint="try again later")
            raise trouble from safe_cause(error)
    return bytes(content)


def _check(response: httpx.Response, url: httpx.URL) -> None:
    if 300 <= response.status_code < 400:
        raise BackendResponseError(
            f"{url.host} redirects {url.path} to another address",
            hint="give that address, if you trust it",
        )
    if response.status_code != 200:
        missing = " (the signature)" if url.path.endswith(".sig") else ""
        raise BackendResponseError(
            f"{url.host} answers with status {response.status_code} for {url.path}{missing}"
        )
