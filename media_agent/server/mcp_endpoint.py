"""The Model Context Protocol at /mcp: the same jobs, for the same callers, by the same keys.

It is loaded with the first call, because it takes memory and most servers have no agents.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.ledger.api_keys import LOCAL
from media_agent.server.access.caller import CALLER, Caller
from media_agent.server.host import ClientHost

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from media_agent.tools import ToolBox
    from media_agent.tools.elsewhere import Address
    from media_agent.tools.files import FileKind

T = TypeVar("T")
PATH = "/mcp"


class McpEndpoint:
    """Answers calls at /mcp; `aclose` ends what is open."""

    def __init__(self, find_host: Callable[[], ClientHost], settings: Settings) -> None:
        self._find_host = find_host
        self._settings = settings
        self._lock = asyncio.Lock()
        self._sessions: StreamableHTTPSessionManager | None = None
        self._serving: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    @property
    def route(self) -> Route:
        """The route to put into an application."""
        return Route(PATH, endpoint=self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        async with self._lock:
            if self._sessions is None:
                self._sessions = await self._start()
        await self._sessions.handle_request(scope, receive, send)

    async def aclose(self) -> None:
        """End all sessions."""
        self._ending.set()
        if self._serving is not None:
            await self._serving

    async def _start(self) -> "StreamableHTTPSessionManager":
        sessions = await asyncio.to_thread(self._load)
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(self._serve(sessions, started))
        await started
        return sessions

    def _load(self) -> "StreamableHTTPSessionManager":
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from media_agent.mcp.server import build_server

        server = build_server(self._run, routes=self._settings.routes)
        return StreamableHTTPSessionManager(server, stateless=True)

    async def _serve(
        self, sessions: "StreamableHTTPSessionManager", started: asyncio.Future[None]
    ) -> None:
        async with sessions.run():
            started.set_result(None)
            await self._ending.wait()

    async def _run(
        self, context: "ServerRequestContext[Any, Any]", work: "Callable[[ToolBox], Awaitable[T]]"
    ) -> T:
        """Run work with the toolbox of the caller of a request, in the loop of the client."""
        from media_agent.tools import ToolBox

        request = context.request
        assert isinstance(request, Request)
        caller: Caller = request.scope[CALLER]
        address = self._build_address(request) if caller.is_remote else None
        ask_above = self._settings.confirm_above_usd

        def open_box(client: VideoClient) -> ToolBox:
            return ToolBox(
                client,
                caller="agent" if caller.name == LOCAL else caller.name,
                ask_above_usd=ask_above,
                owner=caller.name,
                sees_all=caller.sees_all,
                address=address,
                allow=caller.check_scope,
            )

        return await self._find_host().call(lambda client: work(open_box(client)))

    def _build_address(self, request: Request) -> "Address":
        """Return where a caller elsewhere finds files: the video at its URL, for a player."""
        base = self._settings.server.public_url or str(request.base_url)

        def address(job_id: str, kind: "FileKind") -> str:
            if kind == "video":
                return f"{base.rstrip('/')}/v1/videos/{job_id}/content"
            return f"media-agent://jobs/{job_id}/{kind}"

        return address
