"""Bounds on what `gradio_client` does by itself: threads that hold nobody up, replies of a size.

The library reads a reply whole, however long it is, and httpx bounds each read, not their sum.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import ParamSpec, TypeVar

import httpx

from media_agent_hosted.http.auth import Auth, OwnOrigin
from media_agent_hosted.http.body import LARGEST_REPLY

_EVENTS = ("/queue/data", "/queue/join")  # what the app tells of a call as long as that runs
_HEARTBEAT = "/heartbeat/"

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class DaemonExecutor(Executor):
    """Runs each piece of work in a thread that the end of the process does not wait for."""

    def submit(
        self, fn: Callable[Given, Answer], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Answer]:
        """Start the work."""
        future: Future[Answer] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                answer = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
                future.set_exception(error)
            else:
                future.set_result(answer)

        threading.Thread(target=work, name="gradio", daemon=True).start()
        return future


async def in_daemon_thread(
    work: Callable[Given, Answer], *args: Given.args, **kwargs: Given.kwargs
) -> Answer:
    """Wait for work that blocks; once nobody waits any more, it holds nothing up."""
    context = copy_context()

    def run() -> Answer:
        try:
            return context.run(work, *args, **kwargs)
        except StopIteration as error:  # what asyncio cannot hand on, and would wait for
            raise ValueError("something is missing in its answer") from error

    return await asyncio.wrap_future(DaemonExecutor().submit(run))


class BoundedOrigin(OwnOrigin):
    """Adds the key, and bounds each reply in size and, unless it is one of events, in time."""

    def __init__(self, base_url: str, auth: Auth, timeout_seconds: float) -> None:
        super().__init__(base_url, auth)
        self.timeout_seconds = timeout_seconds
        self.is_closed = False
        """Whether nobody wants what still comes."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the key, and bound the reply.

        Raises:
            BackendRefusedError: the request is for another origin.
        """
        request.headers["Accept-Encoding"] = "identity"  # a small reply may unpack to a huge one
        ends_at = time.monotonic() + self.timeout_seconds
        for signed in super().auth_flow(request):
            response = yield signed
            assert isinstance(response.stream, httpx.SyncByteStream)
            response.stream = _BoundedStream(response, response.stream, self, ends_at)


class _BoundedStream(httpx.SyncByteStream):
    def __init__(
        self,
        response: httpx.Response,
        stream: httpx.SyncByteStream,
        origin: BoundedOrigin,
        ends_at: float,
    ) -> None:
        self._response, self._stream = response, stream
        self._origin, self._ends_at = origin, ends_at

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces.

        Raises:
            ValueError: it is too large, or packed although that was not asked for.
            httpx.TransportError: it takes too long, or is not wanted any more.
        """
        if self._response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ValueError("a packed answer, which was not asked for")
        has_events, size = _is_of_events(self._response.request), 0
        for piece in self._stream:
            if self._origin.is_closed:
                raise httpx.RemoteProtocolError("it is not wanted any more")
            if not has_events and time.monotonic() >= self._ends_at:
                raise httpx.ReadTimeout("it takes too long")
            ends_event = has_events and b"\n\n" in piece
            size = len(piece) if ends_event else size + len(piece)
            if size > LARGEST_REPLY:
                raise ValueError(f"more than {LARGEST_REPLY} bytes where a short answer was due")
            yield piece

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def _is_of_events(request: httpx.Request) -> bool:
    path = request.url.path
    return request.method == "GET" and (path.endswith(_EVENTS) or _HEARTBEAT in path)
