"""The one place where hosted adapters meet the network: an adapter builds, this sends, it parses.

Three promises: a key goes to the provider's own origin and nowhere else, also after redirects; a
paid request is sent again only when nothing can have been accepted; no message, log line or
representation carries a secret.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx
from pydantic import JsonValue, SecretStr

from media_agent.backend.polled import sending
from media_agent.errors import BackendResponseError, BackendUnavailableError, MediaAgentError
from media_agent.ingest.download import fetch
from media_agent.ingest.inline import is_inline
from media_agent.storage.addresses import (
    is_followed,
    is_loopback,
    origin_of,
    parsed_address,
    resolved,
)
from media_agent.storage.network import Way, open_client
from media_agent.video.container import LARGEST_VIDEO
from media_agent_hosted.http.auth import Auth, Headers, Signer, hide_headers, hide_queries, no_auth
from media_agent_hosted.http.body import BodyReader
from media_agent_hosted.http.connection import Connection
from media_agent_hosted.http.headers import check_headers
from media_agent_hosted.http.replies import MOST_PARTS, Reply, Translate, error_of
from media_agent_hosted.http.retry import nothing_was_accepted, repeat, was_not_reached
from media_agent_hosted.http.urls import check_base, place_of

Transport = httpx.AsyncBaseTransport
FilePart = tuple[str | None, bytes, str | None]
"""File name, bytes and media type of one part of a form; no name for a plain field."""


class HttpApi:
    """One provider's API at one address."""

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth = no_auth,
        secrets: Collection[SecretStr] = (),
        allow_plain_http: bool = False,
        timeout_seconds: float = 60.0,
        waits_to_submit: bool = True,
        transport: Transport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Check the address; nothing is sent.

        `auth` is called for every request, so that a key may be renewed or sign what it goes
        with. No text that comes back says what it sends, nor one of the further `secrets`. Without
        `waits_to_submit` a paid request is not sent again when it was too early: whoever has other
        keys decides.

        Raises:
            ConfigurationError: the address is malformed, holds a password, or is plain http
                to another machine without `allow_plain_http`.
        """
        self._base = check_base(base_url, allow_plain_http=allow_plain_http)
        self._signer = Signer(auth, secrets)
        self._timeout_seconds = timeout_seconds
        self._waits_to_submit = waits_to_submit
        self._transport = transport
        self._sleep = sleep
        self._connection = Connection(
            self._base,
            self._signer,
            own_url=self.own_url,
            timeout_seconds=timeout_seconds,
            transport=transport,
        )
        logging.getLogger("httpx").addFilter(hide_queries)  # signed links are secrets
        logging.getLogger("httpcore.http11").addFilter(hide_headers)

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

    def resolved(self, url: str, asked: str) -> str:
        """Return an address out of the answer that a path below the base URL gave, absolute."""
        found = None if is_inline(url) else resolved(url, self.below_base(asked))
        return url if found is None else str(found)

    def below_base(self, url: str) -> str:
        """Return a path below the base URL as an address; an address as it is."""
        return str(self._base).rstrip("/") + url if url.startswith("/") else url

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

    def key_headers(self) -> Headers:
        """Return the headers with the key, for a connection of another kind to the same origin."""
        return self._signer.sign(httpx.Request("GET", self._base))

    async def send(
        self,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
        url: str,
        *,
        json: JsonValue = None,
        files: Mapping[str, FilePart] | None = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Headers | None = None,
        paid: bool = False,
        is_known_again: bool = False,
        accepts: Collection[int] = (),
        is_accepted: Callable[[Reply], bool] | None = None,
        translate: Translate | None = None,
        most_parts: int = MOST_PARTS,
        most_levels: int | None = None,
        unpack_to: Path | None = None,
        timeout_seconds: float | None = None,
    ) -> Reply:
        """Send one request with the key; return a reply below status 400, or one of `accepts`.

        A key that is refused and can be renewed is renewed once. Videos that stand in the reply
        as base64 go to `unpack_to`, where it is given.

        So is one of which `is_accepted` says that it names accepted work, whatever its status.

        `url` is a path below the base URL, or a whole URL on the provider's own origin. A free
        request is repeated through trouble; a paid one only after a refused connection or a 429.
        One that the provider knows again, by a key in its `headers`, is repeated too. An answer of
        more than `most_parts` objects, lists and items counts as no JSON. Where `most_levels` is
        given, what is nested deeper in it is null, and it may be of any length. The reply may take
        `timeout_seconds`, as a call does that blocks until a video is made.

        Raises:
            SubmitUncertainError: a paid request may have been accepted, and its reply was lost.
            BackendUnavailableError: the provider cannot be reached, or says it is in trouble.
            BackendRateLimitError: it asks to wait, for long or again and again.
            MediaAgentError: what the reply means, by `translate` and the general table.
        """
        target = self._absolute(url)

        seconds = timeout_seconds or self._timeout_seconds
        body: dict[str, Any] = {"json": json, "files": files, "content": content, "params": params}
        body["timeout"] = httpx.Timeout(seconds, connect=10.0)

        async def ask() -> Reply:
            way = Way()
            await self._signer.prepare()
            request = self._connection.build(method, target, way, headers or {}, **body)
            reader = partial(BodyReader, unpack_to=unpack_to, most_levels=most_levels)
            return await self._connection.send(request, way, reader, seconds=seconds, paid=paid)

        async def attempt() -> Reply:
            with sending() if paid else contextlib.nullcontext():
                reply = await ask()
                if reply.status == 401 and self._signer.forget(reply.headers.get("date")):
                    reply = await ask()
                reply = replace(reply, most_parts=most_parts)
                is_taken = reply.status in accepts or (is_accepted and is_accepted(reply))
                if reply.status >= 400 and not is_taken:
                    raise error_of(reply, translate)
            return reply

        waits = self._waits_to_submit or not paid
        may_repeat = nothing_was_accepted if waits else was_not_reached
        return await repeat(
            attempt, self._sleep, is_known_again=is_known_again, may_repeat=may_repeat
        )

    async def send_elsewhere(
        self,
        method: Literal["POST", "PUT"],
        url: str,
        *,
        files: Mapping[str, FilePart] | None = None,
        content: bytes | None = None,
        headers: Headers | None = None,
    ) -> Reply:
        """Send a file, without the key, to an address that the provider named for it.

        Raises:
            BackendResponseError: the address is forbidden, or the file is refused there.
            BackendUnavailableError: it cannot be reached, or says that it is in trouble.
        """
        target = parsed_address(url)
        if target is None or not is_followed(target, self._base):
            raise BackendResponseError(f"{self.host} names no address for an upload that is used")
        body: dict[str, Any] = {"files": files, "content": content}

        async def attempt() -> Reply:
            way = Way()
            timeout = httpx.Timeout(self._timeout_seconds, connect=10.0)
            async with open_client(target, timeout=timeout, transport=self._transport) as client:
                checked = check_headers(headers or {})
                request = client.build_request(
                    method, target, headers=checked, extensions={"trace": way}, **body
                )
                reply = await self._connection.send_through(client, request, way)
            if reply.status >= 500:
                raise BackendUnavailableError(f"{reply.host} refuses the file: {reply.status}")
            if reply.status >= 300:
                raise BackendResponseError(f"{reply.host} refuses the file: {reply.status}")
            return reply

        return await repeat(attempt, self._sleep)

    async def download(
        self,
        url: str,
        path: Path,
        *,
        asked: str | None = None,
        size_bytes: int | None = None,
        max_bytes: int = LARGEST_VIDEO,
        images: bool = False,
        translate: Translate | None = None,
    ) -> None:
        """Stream a video, or else images, to `path`, which is replaced whole or not at all.

        `url` is a path below the base URL; or, out of the answer that `asked` gave, any address as
        it stands there. The key goes along on the provider's own origin only.

        Raises:
            VideoNotFetchedError: it is too large, no video, cut off, gone, or at a forbidden
                address.
            StorageError: it could not be written.
            MediaAgentError: what `translate` makes of a refusal.
        """

        def refusal(response: httpx.Response, body: bytes) -> MediaAgentError | None:
            if translate is None:
                return None
            return translate(self._connection.reply(response, body, paid=False))

        await self._signer.prepare()
        await fetch(
            self.below_base(url) if asked is None else url,
            path,
            named_by=str(self._base) if asked is None else self.below_base(asked),
            headers=lambda target: (
                self._signer.sign(httpx.Request("GET", target)) if self._is_own(target) else {}
            ),
            refusal=refusal,
            size_bytes=size_bytes,
            max_bytes=max_bytes,
            images=images,
            transport=self._transport,
            sleep=self._sleep,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()

    def _absolute(self, url: str) -> str:
        return self.below_base(url) if url.startswith("/") else self.own_url(url)

    def _is_own(self, url: httpx.URL) -> bool:
        return origin_of(url) == origin_of(self._base) and not url.userinfo
