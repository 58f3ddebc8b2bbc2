"""Downloads a finished video: streamed, bounded, and judged by its bytes.

What a provider has just promised may not be there at once, may be a page under the label of a
video, or may break off: it is asked for again for 45 seconds, until a whole video comes.
"""

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from media_agent.errors import MediaAgentError, StorageError, VideoNotFetchedError
from media_agent.ingest.inline import read_inline_video
from media_agent.storage.addresses import is_followed, parsed_address, resolved
from media_agent.storage.files import storage_errors, write_aside
from media_agent.storage.network import (
    STRANGE,
    TROUBLE,
    Way,
    before_sending,
    decode,
    open_client,
    reason_of,
    retry_after_seconds,
    safe_cause,
)
from media_agent.video.container import LARGEST_VIDEO

LARGEST_REPLY = 2**16  # bytes of an answer that is no video
_PAUSES = (1.0, 2.0, 4.0, 8.0, 14.0, 14.0)  # seconds; a file may appear after its address
_LONGEST_PAUSE = 120.0  # seconds, whatever the server asks for
_LONGEST_URL = 65_536  # characters, as httpx has it
_REDIRECTS = 5
_STALL_SECONDS = 60.0  # without a byte
_LEAST_RATE = 1000  # bytes a second, over that time
_FINAL = frozenset({401, 402, 405, 406, 407, 410, 451})  # asked again, it is answered the same
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,40}", re.ASCII)

Headers = Callable[[httpx.URL], Mapping[str, str]]
"""Which headers go to an address: a key to its own origin only."""
Refusal = Callable[[httpx.Response, bytes], MediaAgentError | None]
"""What it means with this provider, at once, that it gives no video; None: nothing of its own."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A video on this machine."""

    path: Path
    size_bytes: int
    sha256: str


async def fetch(
    uri: str,
    path: Path,
    *,
    named_by: str | None = None,
    headers: Headers = lambda url: {},
    refusal: Refusal = lambda response, body: None,
    size_bytes: int | None = None,
    max_bytes: int = LARGEST_VIDEO,
    images: bool = False,
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Fetched:
    """Stream a video to `path`, which is replaced whole or not at all; trouble is retried.

    `named_by` is the address whose answer named this one, where it is known: a relative one is
    relative to it, and only one of an own network may name another there. `size_bytes` is what was
    announced. A video that stays cut off is kept next to `path`, named "cut". `images`: it is an
    image or an animation instead, of which only the beginning is looked at.

    Raises:
        VideoNotFetchedError: it is gone, too large, no video, cut off, or at a forbidden address.
        ConfigurationError: the network of this machine is set up wrongly, or a certificate unknown.
        StorageError: it could not be written.
        MediaAgentError: what `refusal` says.
    """
    attempts = _Attempts(
        path, named_by, headers, refusal, size_bytes, max_bytes, images, transport, clock
    )
    return await attempts.fetch_first_whole(uri, sleep)


class _NotYetError(Exception):
    """There may be a point in asking again."""

    def __init__(self, error: MediaAgentError, wait: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


@dataclass
class _Attempts:
    path: Path
    named_by: str | None
    headers: Headers
    refusal: Refusal
    size_bytes: int | None
    max_bytes: int
    images: bool
    transport: httpx.AsyncBaseTransport | None
    clock: Callable[[], float]
    kept: str | None = field(default=None, init=False)
    """Where a video is that was cut off, in words."""

    async def fetch_first_whole(
        self, uri: str, sleep: Callable[[float], Awaitable[None]]
    ) -> Fetched:
        content = read_inline_video(uri, self.max_bytes)
        if content is not None:
            return await self._take_inline(content)
        target = _check_url(uri, self.named_by)
        trouble: MediaAgentError | None = None
        requested = 0.0
        for pause in (0.0, *_PAUSES):
            if trouble is not None:
                await sleep(max(pause, min(requested, _LONGEST_PAUSE)))
            try:
                return await self._try_once(target)
            except _NotYetError as error:
                trouble, requested = error.error, error.wait
        assert trouble is not None
        raise self._add_kept(trouble)

    async def _take_inline(self, content: bytes) -> Fetched:
        """Take a video that came within the answer; asked again, it would be the same."""
        try:
            return await self._store(_yield_once(content), "the answer itself", "nothing")
        except _NotYetError as error:
            raise self._add_kept(error.error) from None

    def _add_kept(self, error: MediaAgentError) -> MediaAgentError:
        if self.kept is not None and isinstance(error, VideoNotFetchedError):
            error.hint = self.kept
        return error

    async def _try_once(self, target: httpx.URL) -> Fetched:
        """Follow redirects, each of them named by the server that answers it."""
        first = target
        for _ in range(_REDIRECTS + 1):
            way = Way()
            try:
                async with self._open_response(target, way) as response:
                    if response.next_request is None:
                        return await self._take(response)
                    following = str(response.next_request.url)
            except (*TROUBLE, *STRANGE) as error:
                known = before_sending(error, target.host, way)
                if known is None and not isinstance(error, TROUBLE):
                    raise
                raise _translate(error, known, target.host) from safe_cause(error)
            target = _check_url(following, str(target))
        raise VideoNotFetchedError(f"{first.host} redirects its video without end")

    @contextlib.asynccontextmanager
    async def _open_response(self, target: httpx.URL, way: Way) -> AsyncIterator[httpx.Response]:
        timeout = httpx.Timeout(_STALL_SECONDS, connect=10.0)
        async with (
            open_client(target, timeout=timeout, transport=self.transport) as client,
            client.stream(
                "GET", target, headers=self.headers(target), extensions={"trace": way}
            ) as response,
        ):
            yield response

    async def _take(self, response: httpx.Response) -> Fetched:
        host = response.url.host
        if response.is_success:
            length = response.headers.get("content-length", "")
            if length.isdecimal() and int(length) > self.max_bytes:
                raise self._too_large_error(host)
            return await self._store(decode(response), host, _read_label(response))
        body = b""
        async for piece in decode(response):
            body += piece
            if len(body) > LARGEST_REPLY:
                break
        own = self.refusal(response, body)
        if own is not None:
            raise own
        error = VideoNotFetchedError(
            f"{host} answered {response.status_code} for the video",
            hint="its address may have expired; the provider's own page may still have it",
        )
        if response.status_code in _FINAL:
            raise error
        requested = retry_after_seconds(response.headers.get("retry-after"), time.time())
        raise _NotYetError(error, requested or 0.0)

    async def _store(self, pieces: AsyncIterator[bytes], host: str, label: str) -> Fetched:
        """Write to a temporary file, check it, and move it into place when it is complete."""
        with storage_errors(str(self.path)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with write_aside(self.path) as aside:
                try:
                    size, digest = await self._receive(pieces, aside, host)
                except (httpx.TransportError, httpx.DecodingError, _NotYetError):
                    self._keep(aside)
                    raise
                flaw = await asyncio.to_thread(self._find_flaw, aside, size, host, label)
                if flaw is not None:
                    raise _NotYetError(VideoNotFetchedError(flaw))
        self._cut.unlink(missing_ok=True)
        return Fetched(self.path, size, digest)

    async def _receive(
        self, pieces: AsyncIterator[bytes], aside: Path, host: str
    ) -> tuple[int, str]:
        from media_agent.ingest.completeness import HEAD

        digest, head = hashlib.sha256(), b""
        since, came = self.clock(), 0
        with aside.open("xb") as file:
            async for piece in pieces:
                if file.tell() + len(piece) > self.max_bytes:
                    raise self._too_large_error(host)
                file.write(piece)
                digest.update(piece)
                head += piece[: HEAD - len(head)]
                if len(head) == HEAD and not self._is_wanted(head):
                    break  # it may have no end
                came += len(piece)
                if (seconds := self.clock() - since) >= _STALL_SECONDS:
                    if came < _LEAST_RATE * seconds:
                        rate = f"{came / seconds:.3g} bytes per second"
                        said = f"the video at {host} arrives at only {rate}"
                        raise _NotYetError(VideoNotFetchedError(said))
                    since, came = self.clock(), 0
            return file.tell(), digest.hexdigest()

    def _is_wanted(self, head: bytes) -> bool:
        from media_agent.ingest.completeness import is_image, is_video

        return is_image(head) if self.images else is_video(head)

    def _find_flaw(self, aside: Path, size: int, host: str, label: str) -> str | None:
        """Say what keeps a file from being the whole video; a cut one is kept."""
        from media_agent.ingest.completeness import HEAD, check_whole

        with aside.open("rb") as file:
            head = file.read(HEAD)
        if not self._is_wanted(head):
            what = "nothing" if not head else "other data"
            wanted = "an image" if self.images else "a video"
            return f"{host} sent {what} instead of {wanted} (Content-Type: {label})"
        try:
            if not self.images:
                check_whole(aside)
        except StorageError as error:
            self._keep(aside)
            return f"the video at {host} is incomplete: {error.message}"
        if self.size_bytes is not None and size < self.size_bytes:
            self._keep(aside)
            return (
                f"the video at {host} is cut off: {size} of {self.size_bytes} bytes were received"
            )
        return None

    def _keep(self, aside: Path) -> None:
        """Keep a video that is cut off next to its place, unless a longer one is there already."""
        came = aside.stat().st_size
        if not came or self.images:
            return
        if not self._cut.exists() or self._cut.stat().st_size <= came:
            aside.replace(self._cut)
        self.kept = f"the bytes received are in {self._cut}"

    @property
    def _cut(self) -> Path:
        return self.path.with_name(f"{self.path.stem}.cut{self.path.suffix}")

    def _too_large_error(self, host: str) -> VideoNotFetchedError:
        return VideoNotFetchedError(
            f"the video at {host} is larger than the {self.max_bytes} bytes allowed"
        )


async def _yield_once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _read_label(response: httpx.Response) -> str:
    """Return what a server calls its answer; anything but a media type is not repeated."""
    said = response.headers.get("content-type", "").partition(";")[0].strip()
    return said if _MEDIA_TYPE.fullmatch(said) else "nothing"


def _translate(error: Exception, known: MediaAgentError | None, host: str) -> Exception:
    """Translate a network error: final, or worth another attempt."""
    if known is not None and not known.retryable:
        return known
    said = known.message if known is not None else reason_of(error)
    return _NotYetError(
        VideoNotFetchedError(
            f"the video at {host} could not be fetched ({said})", hint="check the network"
        )
    )


def _check_url(uri: str, named_by: str | None) -> httpx.URL:
    url = resolved(uri, named_by)
    if url is None:
        scheme, colon, _ = uri.strip().partition(":")
        if colon and scheme.isalnum() and scheme.lower() not in ("http", "https"):
            said = f"the video is at a {scheme[:20]} address, which is not fetched"
        elif len(uri) > _LONGEST_URL:
            said = f"the video is at an address of {len(uri)} characters, which is too long"
        else:
            said = "the address of the video is malformed"
        raise VideoNotFetchedError(said)
    if not is_followed(url, None if named_by is None else parsed_address(named_by)):
        raise VideoNotFetchedError(
            f"the video is at {url.scheme}://{url.host}, which is not fetched: only https to a "
            "public host is",
            hint="the record has its address; set base_url if the service is in your network",
        )
    return url
