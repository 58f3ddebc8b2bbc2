"""Whose jobs a request of the Model Context Protocol is about."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from mcp.server.context import ServerRequestContext

from media_agent.tools import ToolBox

T = TypeVar("T")
RequestContext = ServerRequestContext[Any, Any]


class Access(Protocol):
    """Runs work with the toolbox of whoever sent a request, in the event loop of its client."""

    async def __call__(self, context: RequestContext, work: Callable[[ToolBox], Awaitable[T]]) -> T:
        """Return what the work returns; over HTTP `context.request` is the request."""


class OneBox:
    """All requests are of one agent, in one event loop."""

    def __init__(self, box: ToolBox) -> None:
        self._box = box

    async def __call__(self, context: RequestContext, work: Callable[[ToolBox], Awaitable[T]]) -> T:
        """Return what the work returns."""
        return await work(self._box)
