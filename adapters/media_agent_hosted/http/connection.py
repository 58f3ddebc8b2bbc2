"""One request to a provider and its reply: built, sent, read whole, and its trouble told apart."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx

from media_agent.errors import BackendResponseError, BackendUnavailableError, InvalidRequestError
from media_agent.redact import redact
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
from media_agent_hosted.http.auth import Headers, Signer
from media_agent_hosted.http.body import BodyReader
from media_agent_hosted.http.headers import check_headers
from media_agent_hosted.http.replies import Reply, uncertain
from media_agent_hosted.http.urls import place_of, redirect_error
from media_agent_hosted.parsing.lenient import trim

_REDIRECTS = 5


class Connection:
    """Sends to one origin, with the key; says which trouble left a paid request in doubt."""

    def __init__(
        self,
        base: httpx.URL,
        signer: Signer,
        *,
        own_url: Callable[[str, str], str],
        timeout_seconds: float,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        """Take the address, and what makes the headers with the key.

        `own_url` returns a URL if it is on the same origin, and raises if it is not.
        """
        self._base = base
        self._host = place_of(base)
        self._signer = signer
        self._own_url = own_url
        self._timeout_seconds = timeout_seconds
        self._transport = transport
        self._clients: dict[bool, httpx.AsyncClient] = {}  # by whether they keep connections

    def build(
        self, method: str, target: str, way: Way, headers: Headers, **body: Any
    ) -> httpx.Request:
        """Return a request with the key.

        Raises:
            ConfigurationError: a header cannot be sent, or the network is set up wrongly.
            InvalidRequestError: the body cannot be written.
        """
        client, headers = self._open(keeps_connections=False), check_headers(headers)
        try:
            request = client.build_request(
                method, target, headers=headers, extensions={"trace": way}, **body
            )
            request.read()  # a form in one piece: each of its fields would be sent alone
        except (ValueError, TypeError, RecursionError, httpx.InvalidURL) as error:
            why = trim(redact(str(error), self._signer.secrets))
            raise InvalidRequestError(
                f"the request cannot be written: {why}",
                hint="change the value; nothing was sent",
            ) from None
        request.headers.update(check_headers(self._signer.sign(request)))
        return request

    async def send(
        self,
        request: httpx.Request,
        way: Way,
        make_reader: Callable[[], BodyReader],
        *,
        seconds: float,
        paid: bool,
    ) -> Reply:
        """Return the reply to a request; a GET follows redirects within the provider's own origin.

        Raises:
            SubmitUncertainError: the reply to a paid request was lost.
            BackendUnavailableError: the provider was not reached, or its reply was lost.
            BackendResponseError: it redirects elsewhere, or without end; or the reply is too large.
        """
        with self._transport_errors(way, paid=paid):
            async with asyncio.timeout(seconds) as limit:
                for _ in range(_REDIRECTS + 1):
                    client = self._open(keeps_connections=not paid)
                    response = await client.send(request, stream=True)
                    reply = await self._read(response, make_reader(), paid=paid, limit=limit)
                    if not 300 <= reply.status < 400:
                        return reply
                    if request.method != "GET" or response.next_request is None:
                        raise redirect_error(request, response, paid=paid)
                    target = self._own_url(str(response.next_request.url), "redirect")
                    request = self.build("GET", target, way, {})
        raise BackendResponseError(f"{self._host} redirects without end", hint="check base_url")

    async def send_through(
        self, client: httpx.AsyncClient, request: httpx.Request, way: Way
    ) -> Reply:
        """Return the reply to a request that costs nothing and has no key, by a client for it.

        Raises:
            BackendUnavailableError: its host was not reached, or its reply was lost.
            BackendResponseError: the reply is too large.
        """
        with self._transport_errors(way, paid=False):
            response = await client.send(request, stream=True)
            return await self._read(response, BodyReader(), paid=False)

    def reply(self, response: httpx.Response, content: bytes, *, paid: bool) -> Reply:
        """Return what came as a reply; no words that come out of it hold the key."""
        secrets = self._signer.secrets
        return Reply(
            status=response.status_code,
            headers={
                name.lower(): redact(value, secrets) for name, value in response.headers.items()
            },
            content=content,
            host=place_of(response.url),
            paid=paid,
            url=str(response.url),
            secrets=secrets,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        while self._clients:
            _, client = self._clients.popitem()
            await client.aclose()

    async def _read(
        self,
        response: httpx.Response,
        reader: BodyReader,
        *,
        paid: bool,
        limit: asyncio.Timeout | None = None,
    ) -> Reply:
        """Read a reply of bounded size; a plain no is one also where its words were lost.

        One that is kept in part only may take as long as something comes.
        """
        try:
            async for piece in decode(response):
                if not reader.take(piece):
                    break
                if reader.is_partial and limit is not None:
                    limit.reschedule(asyncio.get_running_loop().time() + self._timeout_seconds)
        except ValueError as error:
            raise self.reply(response, b"", paid=paid).senseless(str(error)) from None
        except (httpx.TransportError, httpx.DecodingError):
            if not (paid and self.reply(response, b"", paid=paid).is_no):
                raise
        finally:
            await response.aclose()
            reader.close()
        reply = self.reply(response, bytes(reader.content), paid=paid)
        if reader.problem is not None:
            raise reply.senseless(reader.problem)
        return replace(reply, files=reader.files)

    @contextlib.contextmanager
    def _transport_errors(self, way: Way, *, paid: bool) -> Iterator[None]:
        """Tell apart what never left this machine from what was sent and got no answer."""
        try:
            yield
        except (*TROUBLE, *STRANGE) as error:
            known = before_sending(error, self._host, way)
            if known is not None:
                raise known from safe_cause(error)
            if not isinstance(error, TROUBLE):
                raise
            reason = redact(reason_of(error), self._signer.secrets)
            said = f"the answer of {self._host} was lost ({reason})"
            if paid:
                raise uncertain(self._host, said) from safe_cause(error)
            raise BackendUnavailableError(said, hint="try again later") from safe_cause(error)

    def _open(self, *, keeps_connections: bool) -> httpx.AsyncClient:
        client = self._clients.get(keeps_connections)
        if client is None:
            timeout = httpx.Timeout(self._timeout_seconds, connect=10.0)
            client = self._clients[keeps_connections] = open_client(
                self._base,
                timeout=timeout,
                transport=self._transport,
                keeps_connections=keeps_connections,
            )
        return client
