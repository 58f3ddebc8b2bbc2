"""Bounds what is sent to a server: how much, how many headers, and how slowly."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_agent.config.server_section import ServerSection
from media_agent.errors import (
    InvalidRequestError,
    MediaAgentError,
    TooLargeError,
    TooSlowError,
)
from media_agent.server.errors import answer_error

STALL_SECONDS = 20.0
"""How long nothing may come."""
_GRACE_SECONDS = 30.0  # before the rate counts
_LEAST_RATE = 1000  # bytes a second, from then on
_MOST_HEADERS = 100
_LARGEST_HEADERS = 32 * 2**10  # bytes, with the address
_FORM_ROUTES = ("/v1/videos", "/v1/files")  # they put files on disk as they come; others do not


class _Stopped(Exception):  # noqa: N818  # it ends the reading of a body, and is no error of ours
    """The body is not read on."""


class BodyLimits:
    """The middleware that ends calls whose headers or bodies are too large or too slow."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        find_section: Callable[[], ServerSection],
        stall_seconds: float = STALL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._find_section = find_section
        self._stall_seconds = stall_seconds
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, as long as its body keeps to the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(
            receive, send, self._limit_of(scope["path"], headers), self._stall_seconds, self._clock
        )
        try:
            _check_headers(scope)
            body.check_announced(headers)
        except MediaAgentError as error:
            await _refuse(error, scope, receive, send)
            return
        try:
            await self._app(scope, body.receive, body.send)
        except _Stopped:
            pass
        except ClientDisconnect:
            if not body.is_given_up:
                raise
        except Exception:
            if body.error is None:
                raise
        if body.error is not None and not body.is_answered:
            await _refuse(body.error, scope, receive, send)

    def _limit_of(self, path: str, headers: Headers) -> int:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        is_form = kind == "multipart/form-data" and path.startswith(_FORM_ROUTES)
        section = self._find_section()  # others after a reload
        return section.max_upload_bytes if is_form else section.max_json_bytes


@dataclass
class _Body:
    """The body of one call as it comes."""

    inner_receive: Receive
    inner_send: Send
    most: int
    stall_seconds: float
    clock: Callable[[], float]
    error: MediaAgentError | None = None
    is_answered: bool = False
    is_given_up: bool = False
    """Whether the caller hung up before all of it came: nobody is left to be answered."""
    _size: int = 0
    _begun: float | None = None
    _is_whole: bool = False

    def check_announced(self, headers: Headers) -> None:
        """Refuse a body that says that it is too large, before any of it is read."""
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise InvalidRequestError("Content-Length is not a number")
        if int(length[:20]) > self.most:
            raise self._too_large_error()

    async def receive(self) -> Message:
        """Return the next message; what is over the limit ends the call."""
        if self.error is not None:
            raise _Stopped
        if self._is_whole:  # what comes now is that the caller has gone, whenever that is
            return await self.inner_receive()
        self._begun = self.clock() if self._begun is None else self._begun
        try:
            async with asyncio.timeout(self.stall_seconds):
                message = await self.inner_receive()
        except TimeoutError:
            raise self._stop(TooSlowError(f"nothing came for {self.stall_seconds:g} s")) from None
        if message["type"] == "http.request":
            self._take(message)
        self.is_given_up = message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        """Pass on what is answered, unless we answer."""
        if self.error is not None and not self.is_answered:
            raise _Stopped
        self.is_answered = True
        await self.inner_send(message)

    def _take(self, message: Message) -> None:
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._size > self.most:
            raise self._stop(self._too_large_error())
        seconds = self.clock() - (self._begun or 0.0)
        is_slow = seconds > _GRACE_SECONDS and self._size < _LEAST_RATE * seconds
        if is_slow and not self._is_whole:
            raise self._stop(TooSlowError(f"only {self._size} bytes came in {seconds:.0f} s"))

    def _stop(self, error: MediaAgentError) -> _Stopped:
        self.error = error
        return _Stopped()

    def _too_large_error(self) -> TooLargeError:
        return TooLargeError(
            f"the body has more than the {self.most} bytes allowed for its type",
            hint="send images and videos as files of a form, or to /v1/files",
        )


def _check_headers(scope: Scope) -> None:
    headers = scope["headers"]
    size = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    size += sum(len(name) + len(value) for name, value in headers)
    if len(headers) > _MOST_HEADERS or size > _LARGEST_HEADERS:
        raise TooLargeError(
            f"the headers are more than {_MOST_HEADERS}, or have more than {_LARGEST_HEADERS} bytes"
        )


async def _refuse(error: MediaAgentError, scope: Scope, receive: Receive, send: Send) -> None:
    reply = answer_error(error)
    reply.headers["Connection"] = "close"  # the rest of the body is nothing we want to read
    await reply(scope, receive, send)
