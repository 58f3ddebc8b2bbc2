"""Brings a finished film here before its address expires: streamed, bounded, without any key."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from media_agent.addresses import is_followed, is_inner, parsed_address
from media_agent.errors import BackendResponseError, BackendUnavailableError
from media_agent.files import storage_errors, written_aside

LARGEST_FILM = 8 * 2**30  # bytes
_ATTEMPTS = 5
_REDIRECTS = 5
_STALL_SECONDS = 60.0  # without a byte
_LONGEST_SECONDS = 3600.0
_PIECE = 1 << 18
_HEAD = 12  # bytes that tell what a file is
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Fetched:
    """A film on this machine."""

    path: Path
    size_bytes: int
    sha256: str


async def fetch(
    uri: str,
    path: Path,
    *,
    named_by: str | None = None,
    max_bytes: int = LARGEST_FILM,
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Fetched:
    """Stream a film to `path`, which is replaced whole or not at all; trouble is retried.

    `named_by` is the address of the service that named this one, where it is known: only one of
    an own network may name another there.

    Raises:
        BackendResponseError: it is gone, too large, no MP4, or at an address not to be fetched.
        BackendUnavailableError: it could not be fetched, again and again.
        StorageError: it could not be written.
    """
    first = _checked(uri, None if named_by is None else parsed_address(named_by))
    retrying = AsyncRetrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=1.0, max=20.0),
        retry=retry_if_exception_type(BackendUnavailableError),
        sleep=sleep,
        reraise=True,
    )
    async with httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(_STALL_SECONDS, connect=10.0),
        trust_env=not is_inner(first.host),
        headers={"User-Agent": "media-agent", "Accept-Encoding": "identity"},
    ) as client:
        return await retrying(_fetch_once, client, first, path, max_bytes)


async def _fetch_once(
    client: httpx.AsyncClient, uri: httpx.URL, path: Path, max_bytes: int
) -> Fetched:
    try:
        async with asyncio.timeout(_LONGEST_SECONDS), _response(client, uri) as response:
            with storage_errors(str(path)):
                path.parent.mkdir(parents=True, exist_ok=True)
                return await _stored(response, path, max_bytes)
    except (httpx.TransportError, httpx.DecodingError, TimeoutError) as error:
        raise BackendUnavailableError(
            f"the film at {uri.host} could not be fetched ({type(error).__name__})",
            hint="check the network",
        ) from error


@contextlib.asynccontextmanager
async def _response(client: httpx.AsyncClient, uri: httpx.URL) -> AsyncIterator[httpx.Response]:
    """Follow redirects, each of them named by the server that answers it."""
    target = uri
    for _ in range(_REDIRECTS + 1):
        async with client.stream("GET", target) as response:
            if response.next_request is None:
                _check_status(response)
                yield response
                return
            target = _checked(str(response.next_request.url), target)
    raise BackendResponseError(f"{uri.host} redirects its film without end")


def _check_status(response: httpx.Response) -> None:
    status, host = response.status_code, response.url.host
    if status in _TRANSIENT:
        raise BackendUnavailableError(f"{host} answered {status} for the film")
    if not response.is_success:
        raise BackendResponseError(
            f"{host} answered {status} for the film",
            hint="its address may have expired; the provider's own page may still have it",
        )


async def _stored(response: httpx.Response, path: Path, max_bytes: int) -> Fetched:
    digest = hashlib.sha256()
    with written_aside(path) as aside:
        with aside.open("xb") as file:
            async for piece in response.aiter_bytes(_PIECE):
                file.write(piece)
                digest.update(piece)
                if file.tell() > max_bytes:
                    raise BackendResponseError(
                        f"the film at {response.url.host} is larger than {max_bytes} bytes"
                    )
            size = file.tell()
            _check_whole(response, size)
        with aside.open("rb") as file:
            _check_kind(file, response)
    return Fetched(path, size, digest.hexdigest())


def _check_whole(response: httpx.Response, size: int) -> None:
    promised = response.headers.get("content-length", "")
    if promised.isdecimal() and int(promised) != size:
        raise BackendUnavailableError(f"{response.url.host} sent {size} of {promised} bytes")


def _check_kind(file: BinaryIO, response: httpx.Response) -> None:
    """Look at the first bytes; what a server calls them proves nothing."""
    head = file.read(_HEAD)
    if head[4:8] == b"ftyp":
        return
    said = response.headers.get("content-type", "nothing").partition(";")[0][:60]
    what = "WebM" if head.startswith(b"\x1aE\xdf\xa3") else "no video"
    raise BackendResponseError(
        f"what {response.url.host} gave as its film is {what}, not MP4 (it says {said})",
        hint="the record has its address",
    )


def _checked(uri: str, named_by: httpx.URL | None) -> httpx.URL:
    url = parsed_address(uri)
    if url is None:
        scheme = uri.partition(":")[0] if ":" in uri else "nameless"
        raise BackendResponseError(f"the film is at a {scheme[:20]} address, which is not fetched")
    if not is_followed(url, named_by):
        raise BackendResponseError(
            f"the film is at {url.scheme}://{url.host}, which is not fetched: only https to a "
            "public host is",
            hint="the record has its address; set base_url if the service is in your network",
        )
    return url
