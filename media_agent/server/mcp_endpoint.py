"""The Model Context Protocol at /mcp: the same jobs, for the same callers, by the same keys.

It is loaded with the first call, because it takes memory and most servers have no agents.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from media_agent.client import VideoClient
from media_agent.config.server_section import ServerSection
from media_agent.ledger.serving.api_keys import LOCAL
from media_agent.server.access.caller import CALLER, Caller
from media_agent.server.access.requests import admit_request
from media_agent.server.host import ClientHost
from media_agent.server.jobs.new_jobs import new_folder
from media_agent.server.jobs.public import content_uri
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from media_agent.tools.elsewhere import Address
    from media_agent.tools.files import FileKind
    from media_agent.tools.toolbox import ToolBox

T = TypeVar("T")
PATH = "/mcp"


class McpEndpoint:
    """Answers calls at /mcp; `aclose` ends what is open."""

    def __init__(self, find_host: Callable[[], ClientHost]) -> None:
        self._find_host = find_host
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
        started = asyncio.Event()
        self._serving = asyncio.create_task(self._serve(sessions, started))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([self._serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not started.is_set():
            waiting.cancel()
            await self._serving  # raises what kept it from starting
        return sessions

    def _load(self) -> "StreamableHTTPSessionManager":
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from media_agent.mcp.server import build_server

        routes = self._find_host().client.settings.routes
        server = build_server(self._run, routes=routes)
        return StreamableHTTPSessionManager(server, stateless=True)

    async def _serve(
        self, sessions: "StreamableHTTPSessionManager", started: asyncio.Event
    ) -> None:
        async with sessions.run():
            started.set()
            await self._ending.wait()

    async def _run(
        self, context: "ServerRequestContext[Any, Any]", work: "Callable[[ToolBox], Awaitable[T]]"
    ) -> T:
        """Run work with the toolbox of the caller of a request, in the loop of the client."""
        from media_agent.tools.toolbox import ToolBox

        request = context.request
        assert isinstance(request, Request)
        caller: Caller = request.scope[CALLER]
        host = self._find_host()
        settings = host.client.settings  # those of now: a reload may have changed them
        address = _build_address(request, settings.server) if caller.is_remote else None

        def open_box(client: VideoClient) -> ToolBox:
            return ToolBox(
                client,
                caller="agent" if caller.name == LOCAL else caller.name,
                ask_above_usd=settings.confirm_above_usd,
                owner=caller.name,
                resale_factor=caller.resale_factor,
                sees_all=caller.sees_all,
                address=address,
                admit=lambda request, *, is_kept: self._admit(client, caller, request, is_kept),
                allow=caller.check_scope,
            )

        return await host.call(lambda client: work(open_box(client)))

    @contextlib.asynccontextmanager
    async def _admit(
        self, client: VideoClient, caller: Caller, request: VideoRequest, is_kept: bool
    ) -> AsyncIterator[tuple[str, VideoRequest]]:
        """Bring the inputs of a request into the folder of a new job, as the other routes do."""
        most = client.settings.server.max_upload_bytes
        async with new_folder(client, is_kept=is_kept) as (job_id, folder):
            yield job_id, await admit_request(request, caller, folder, max_bytes=most)


def _build_address(request: Request, section: ServerSection) -> "Address":
    """Return where a caller elsewhere finds files: the video at its URL, for a player."""
    base = section.public_url or str(request.base_url)

    def address(job_id: str, kind: "FileKind") -> str:
        if kind == "video":
            return f"{base.rstrip('/')}{content_uri(job_id)}"
        return f"media-agent://jobs/{job_id}/{kind}"

    return address
