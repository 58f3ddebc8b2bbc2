"""Brings an image or a video that a caller names by its address, before anything is submitted."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

import httpx
from httpx_secure import SSRFProtectionError

from media_agent.errors import InvalidRequestError, TooLargeError, TooSlowError
from media_agent.ingest.completeness import HEAD, is_image, is_video
from media_agent.ingest.file_parts import media_type_of
from media_agent.server.access.public_network import (
    check_public,
    open_public_client,
    unreachable_error,
)
from media_agent.storage.addresses import resolved
from media_agent.storage.files import make_folder, storage_errors
from media_agent.storage.network import TROUBLE, decode, safe_cause

LARGEST_INPUT = 512 * 2**20
"""Bytes, unless the settings say otherwise."""
_TOTAL_SECONDS = 300.0
_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_REDIRECTS = 5
_ENDINGS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}


OpenClient = Callable[[], httpx.AsyncClient]


async def fetch_input(
    url: str,
    folder: Path,
    *,
    max_bytes: int = LARGEST_INPUT,
    total_seconds: float = _TOTAL_SECONDS,
    open_client: OpenClient = lambda: open_public_client(timeout=_TIMEOUT),
) -> Path:
    """Bring the file at a public address into a folder, named by its digest; return where it is.

    Raises:
        InvalidRequestError: it cannot be had from there, or is no image or video that is read.
        TooLargeError: it is larger than that.
        TooSlowError: it took too long.
        StorageError: it cannot be written.
    """
    await asyncio.to_thread(make_folder, folder)
    aside = folder / f".{secrets.token_hex(8)}.fetching"
    try:
        async with asyncio.timeout(total_seconds):
            target = await check_public(url)
            async with open_client() as client:
                digest, head = await _fetch(client, target, aside, max_bytes)
        await asyncio.to_thread(_check_readable, aside, head, target.host)
        path = folder / f"{digest}{_ENDINGS.get(media_type_of(head) or '', '')}"
        await asyncio.to_thread(_move, aside, path)
        return path
    except TimeoutError:
        said = f"what the address names did not come within {total_seconds:g} s"
        raise TooSlowError(said, hint="send the file itself") from None
    finally:
        await asyncio.to_thread(aside.unlink, missing_ok=True)


def _move(aside: Path, path: Path) -> None:
    with storage_errors(str(path)):
        aside.replace(path)


async def _fetch(
    client: httpx.AsyncClient, target: httpx.URL, aside: Path, max_bytes: int
) -> tuple[str, bytes]:
    """Follow redirects, each of them judged as the first address was; return digest and head."""
    for _ in range(_REDIRECTS + 1):
        try:
            async with client.stream("GET", target) as response:
                if response.next_request is None:
                    return await _receive(response, aside, max_bytes)
                following = resolved(str(response.next_request.url), str(target))
        except SSRFProtectionError:
            raise unreachable_error(target) from None
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise unreachable_error(target) from None
        except (*TROUBLE, httpx.InvalidURL) as error:
            said = f"the file at {target.host} could not be fetched ({type(error).__name__})"
            raise InvalidRequestError(said) from safe_cause(error)
        if following is None or (target.scheme == "https" and following.scheme == "http"):
            raise InvalidRequestError(f"{target.host} redirects to where nothing is fetched")
        target = await check_public(str(following))
    raise InvalidRequestError(f"{target.host} redirects without end")


async def _receive(response: httpx.Response, aside: Path, max_bytes: int) -> tuple[str, bytes]:
    host = response.url.host
    if not response.is_success:
        raise InvalidRequestError(f"{host} answered {response.status_code} for the file")
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large_error(host, max_bytes)
    digest, head, size = hashlib.sha256(), b"", 0

    def keep(piece: bytes) -> None:
        digest.update(piece)
        file.write(piece)

    with storage_errors(str(aside)), aside.open("xb") as file:
        async for piece in decode(response):
            size += len(piece)
            if size > max_bytes:
                raise _too_large_error(host, max_bytes)
            head += piece[: HEAD - len(head)]
            if len(head) == HEAD:
                _check_kind(head, host)
            await asyncio.to_thread(keep, piece)
    _check_kind(head, host)
    return digest.hexdigest(), head


def _check_kind(head: bytes, host: str) -> None:
    if not is_image(head) and not is_video(head):
        raise InvalidRequestError(f"what {host} sent is neither an image nor a video")


def _check_readable(path: Path, head: bytes, host: str) -> None:
    """Read it as a model would be given it.

    Raises:
        InvalidRequestError: it is damaged, too large, or of a kind that is not read.
    """
    from media_agent.ingest.read import check_image, check_video  # with PyAV

    name = f"the file at {host}"
    if is_image(head) and not head.startswith(b"GIF8"):
        check_image(path, name)
    else:
        check_video(path, name)


def _too_large_error(host: str, max_bytes: int) -> TooLargeError:
    return TooLargeError(f"the file at {host} has more than the {max_bytes} bytes allowed")
