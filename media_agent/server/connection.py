"""Connections to the server, whose heads are bounded in size and time; uvicorn bounds neither.

What is over a bound has no caller yet, and gets no more than a short answer.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 20.0
"""How long the address and headers of a call may take to come, from the first byte."""
_LARGEST_HEAD = 512 * 2**10  # bytes, as they come; what a call may really have is less


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    head_seconds = HEAD_SECONDS
    _waiting: asyncio.TimerHandle | None = None
    _head_size = 0
    _reading_on: asyncio.TimerHandle | None = None
    _is_whole = True
    """Whether all of the newest call has come."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for a head, though not for ever."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        if self._reading_on is not None:
            self._reading_on.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; end the connection if a head has no end."""
        super().data_received(data)
        if self._waiting is None:
            return
        self._head_size += len(data)
        if self._head_size > _LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        """Wait for the head of a further call."""
        super().on_message_begin()
        self._is_whole = False
        if self._waiting is None:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Begin with a call."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Know that all of a call has come."""
        super().on_message_complete()
        self._is_whole = True
        if self._reading_on is not None:
            self._reading_on.cancel()

    def on_response_complete(self) -> None:
        """Let the rest of a call that is answered already come, though not for ever."""
        super().on_response_complete()
        if not self._is_whole and not self.transport.is_closing():
            self._reading_on = self.loop.call_later(self.head_seconds, self.transport.close)

    def _wait_for_head(self) -> None:
        self._head_size = 0
        self._waiting = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        self.transport.close()
