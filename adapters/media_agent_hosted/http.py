"""The one place where hosted adapters meet the network: an adapter builds, this sends, it parses.

Three promises: a key goes to the provider's own origin and nowhere else, also after redirects; a
paid request is sent again only when nothing can have been accepted; no message, log line or
representation carries a secret.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal

import httpx
from pydantic import JsonValue

from media_agent.addresses import is_followed, is_loopback, origin_of, parsed_address
from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    MediaAgentError,
)
from media_agent.polled import sending
from media_agent_hosted.addresses import checked_base, place_of
from media_agent_hosted.film_file import LARGEST_FILM, PIECE, film_is_gone, store
from media_agent_hosted.repeating import repeated
from media_agent_hosted.replies import Reply, Translate, general_error, uncertain
from media_agent_hosted.secrecy import Headers, blotted, hide_queries

__all__ = ["FilePart", "HttpApi", "Reply", "Translate", "Transport"]

Transport = httpx.AsyncBaseTransport
FilePart = tuple[str | None, bytes, str | None]
"""File name, bytes and media type of one part of a form; no name for a plain field."""

LARGEST_REPLY = 32 * 2**20  # bytes of an API reply, which is held in memory
_LONGEST_DOWNLOAD = 3600.0  # seconds
_REDIRECTS = 5


class HttpApi:
    """One provider's API at one address."""

    def __init__(
        self,
        base_url: str,
        *,
        auth: Callable[[], Headers] = dict,
        allow_plain_http: bool = False,
        timeout_seconds: float = 60.0,
        transport: Transport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Check the address; nothing is sent.

        Raises:
            ConfigurationError: the address is malformed, holds a password, or is plain http
                to another machine without `allow_plain_http`.
        """
        self._base = checked_base(base_url, allow_plain_http=allow_plain_http)
        self._auth = auth
        self._timeout_seconds = timeout_seconds
        self._transport = transport
        self._sleep = sleep
        self._client: httpx.AsyncClient | None = None
        logging.getLogger("httpx").addFilter(hide_queries)  # signed links are secrets

    def __repr__(self) -> str:
        return f"HttpApi({str(self._base)!r})"

    @property
    def host(self) -> str:
        """The provider's host, with the port where it is not the usual one."""
        return place_of(self._base)

    @property
    def is_here(self) -> bool:
        """Whether the provider is a program on this machine."""
        return is_loopback(self._base.host)

    def has(self, url: str) -> bool:
        """Whether an address is on the provider's own origin, so that the key may go there."""
        parsed = parsed_address(url)
        return parsed is not None and self._is_own(parsed)

    def own_url(self, url: str, what: str = "URL") -> str:
        """Return a URL that came out of a reply, if it is on the provider's own origin.

        Raises:
            BackendResponseError: it is elsewhere, where the key must not go.
        """
        if not self.has(url):
            parsed = parsed_address(url)
            where = "no address" if parsed is None else place_of(parsed)
            raise BackendResponseError(
                f"{self.host} answered a {what} on another origin ({where}); the key stays here",
                hint="if the service really answers from there, make that its base_url",
            )
        return url

    async def send(
        self,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
        url: str,
        *,
        json: JsonValue = None,
        files: Mapping[str, FilePart] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Headers | None = None,
        paid: bool = False,
        is_known_again: bool = False,
        accepts: Collection[int] = (),
        translate: Translate | None = None,
    ) -> Reply:
        """Send one request with the key; return a reply below status 400, or one of `accepts`.

        `url` is a path below the base URL, or a whole URL on the provider's own origin. A free
        request is repeated through trouble; a paid one only after a refused connection or a 429.
        One that the provider knows again, by a key in its `headers`, is repeated too.

        Raises:
            SubmitUncertainError: a paid request may have been accepted, and its reply was lost.
            BackendUnavailableError: the provider cannot be reached, or says it is in trouble.
            BackendRateLimitError: it asks to wait, for long or again and again.
            MediaAgentError: what the reply means, by `translate` and the general table.
        """
        target = self._absolute(url)

        async def attempt() -> Reply:
            request = self._opened().build_request(
                method,
                target,
                json=json,
                files=files,
                params=params,
                headers={**(headers or {}), **self._auth()},
            )
            with sending() if paid else contextlib.nullcontext():
                reply = await self._answer(request, paid=paid)
                if reply.status >= 400 and reply.status not in accepts:
                    raise self._error(reply, translate)
            return reply

        return await repeated(attempt, self._sleep, is_known_again=is_known_again)

    async def download(
        self,
        url: str,
        path: Path,
        *,
        max_bytes: int = LARGEST_FILM,
        translate: Translate | None = None,
    ) -> None:
        """Stream a result file to `path`, which is replaced whole or not at all.

        The key goes along on the provider's own origin only; elsewhere only https is followed.

        Raises:
            BackendResponseError: it is too large, no film, gone, or at a forbidden address.
            BackendUnavailableError: it could not be fetched.
            StorageError: it could not be written.
        """

        async def attempt() -> None:
            with self._transport_errors(paid=False):
                async with asyncio.timeout(_LONGEST_DOWNLOAD):
                    await self._download(url, path, max_bytes, translate)

        await repeated(attempt, self._sleep)

    async def aclose(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _answer(self, request: httpx.Request, *, paid: bool) -> Reply:
        """Send and read the reply; a GET follows redirects within the provider's own origin."""
        with self._transport_errors(paid=paid):
            async with asyncio.timeout(self._timeout_seconds):
                for _ in range(_REDIRECTS + 1):
                    response = await self._opened().send(request, stream=True)
                    reply = await self._read(response, paid=paid)
                    if not 300 <= reply.status < 400:
                        return reply
                    if request.method != "GET" or response.next_request is None:
                        raise _redirected(request, response)
                    target = self.own_url(str(response.next_request.url), "redirect")
                    request = self._opened().build_request("GET", target, headers=self._auth())
        raise BackendResponseError(f"{self.host} redirects without end", hint="check base_url")

    async def _read(self, response: httpx.Response, *, paid: bool) -> Reply:
        """Read a reply of bounded size and blot out the key where the provider echoed it."""
        content = bytearray()
        try:
            async for piece in response.aiter_bytes(PIECE):
                content += piece
                if len(content) > LARGEST_REPLY:
                    break
        finally:
            await response.aclose()
        reply = Reply(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            content=blotted(bytes(content), self._auth()),
            host=place_of(response.url),
            paid=paid,
        )
        if len(content) > LARGEST_REPLY:
            raise reply.senseless(f"more than {LARGEST_REPLY} bytes where a short answer was due")
        return reply

    async def _download(
        self, url: str, path: Path, max_bytes: int, translate: Translate | None
    ) -> None:
        target = self._followed(url if "://" in url else self._absolute(url), self._base)
        for _ in range(_REDIRECTS + 1):
            auth = self._auth() if self._is_own(target) else {}
            headers = {**auth, "Accept-Encoding": "identity"}
            request = self._opened().build_request("GET", target, headers=headers)
            response = await self._opened().send(request, stream=True)
            async with contextlib.aclosing(response):
                if response.next_request is not None:
                    target = self._followed(str(response.next_request.url), target)
                    continue
                if not 200 <= response.status_code < 300:
                    reply = await self._read(response, paid=False)
                    raise self._error(reply, translate or film_is_gone)
                return await store(response, path, max_bytes)
        raise BackendResponseError(f"{self.host} redirects its film without end")

    def _followed(self, url: str, named_by: httpx.URL) -> httpx.URL:
        """Return the address of a result file, if it is one that may be fetched."""
        parsed = parsed_address(url)
        if parsed is None:
            raise BackendResponseError(f"{self.host} gave no usable address for its film")
        if is_followed(parsed, named_by):
            return parsed
        raise BackendResponseError(
            f"{self.host} keeps its film at {parsed.scheme}://{place_of(parsed)}, "
            "which is not followed: only https to a public host is"
        )

    def _error(self, reply: Reply, translate: Translate | None) -> MediaAgentError:
        said = translate(reply) if translate is not None else None
        return said or general_error(reply)

    @contextlib.contextmanager
    def _transport_errors(self, *, paid: bool) -> Iterator[None]:
        """Tell apart what never left this machine from what was sent and got no answer."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise BackendUnavailableError(
                f"{self.host} cannot be reached ({type(error).__name__})",
                hint="check base_url and the network; nothing was sent",
            ) from error
        except (httpx.TransportError, httpx.DecodingError, TimeoutError) as error:
            said = f"the answer of {self.host} was lost ({type(error).__name__})"
            if paid:
                raise uncertain(self.host, said) from error
            raise BackendUnavailableError(said, hint="try again later") from error

    def _absolute(self, url: str) -> str:
        if url.startswith("/"):
            return str(self._base).rstrip("/") + url
        return self.own_url(url)

    def _is_own(self, url: httpx.URL) -> bool:
        return origin_of(url) == origin_of(self._base) and not url.userinfo

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self._transport,
                timeout=httpx.Timeout(self._timeout_seconds, connect=10.0),
                # On a kept connection that the other side just closed, nobody could tell whether
                # a paid request got through.
                limits=httpx.Limits(max_keepalive_connections=0),
                trust_env=not is_loopback(self._base.host),  # proxies
                follow_redirects=False,
                headers={"User-Agent": "media-agent"},
            )
        return self._client


def _redirected(request: httpx.Request, response: httpx.Response) -> BackendResponseError:
    return BackendResponseError(
        f"{place_of(request.url)} answered a {request.method} with the redirect "
        f"{response.status_code}, which is not followed",
        hint="set base_url to where the API really is",
    )
