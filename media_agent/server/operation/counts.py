"""Counts the requests to a server, and tells the log of each."""

import logging
import time
from bisect import bisect_left
from collections import Counter, defaultdict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_agent.telemetry.callers import trace_of_caller

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds up to which a request counts as so quick."""
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
_OTHER = "other"
_LOGGER = logging.getLogger(__name__)

Call = tuple[str, str]
"""The method and the route of a request; of both there are only so many."""


class CallCounts:
    """Counts requests; as cheap as a few additions each."""

    def __init__(self) -> None:
        self.by_status: Counter[tuple[Call, int]] = Counter()
        self.seconds: defaultdict[Call, float] = defaultdict(float)
        self.buckets: dict[Call, list[int]] = {}

    def add(self, call: Call, status: int, seconds: float) -> None:
        """Count a request whose reply began after so many seconds."""
        self.by_status[call, status] += 1
        self.seconds[call] += seconds
        if call not in self.buckets:
            self.buckets[call] = [0] * (len(BOUNDS) + 1)
        self.buckets[call][bisect_left(BOUNDS, seconds)] += 1


class Counting:
    """The middleware that counts requests, and tells the log of each."""

    def __init__(self, app: ASGIApp, *, counts: CallCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message["status"], time.monotonic() - begun)
            await send(message)

        with trace_of_caller(scope["headers"]):
            await self._app(scope, receive, tell)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        route = getattr(scope.get("route"), "path", _OTHER)
        self._counts.add((method, route), status, seconds)
        if _LOGGER.isEnabledFor(logging.INFO):  # no query: keys are put there by mistake
            shown = scope["path"].encode("unicode_escape").decode("ascii")
            _LOGGER.info("%s %s %d %.1f ms", method, shown, status, 1000 * seconds)
