"""What every route of a server is given: the client's host, the settings, the caller."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Annotated, cast

from fastapi import Depends, Request

from media_agent.config.settings import Settings, load_settings
from media_agent.errors import AuthenticationError
from media_agent.ledger.serving.api_keys import Scope
from media_agent.server.access.caller import CALLER, Caller
from media_agent.server.access.gate import Access
from media_agent.server.host import ClientHost
from media_agent.server.jobs.repeats import Repeats
from media_agent.server.live.events import EventHub
from media_agent.server.live.hls import HlsVideos
from media_agent.server.operation.counts import CallCounts
from media_agent.server.shared_work import SharedWork


@dataclass
class ServerContext:
    """The parts of one server."""

    host: ClientHost
    settings: Settings
    access: Access
    events: EventHub
    hls: HlsVideos = field(default_factory=HlsVideos)
    repeats: Repeats = field(default_factory=Repeats)
    """Calls for new jobs that are being planned."""
    images: SharedWork[Path] = field(default_factory=SharedWork)
    """The thumbnails and contact sheets that are being made."""
    counts: CallCounts = field(default_factory=CallCounts)
    read_settings: Callable[[], Settings] = load_settings
    """Reads the settings again."""
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)
    stopping: Event = field(default_factory=Event)
    """Set when the server shuts down: streams end then."""

    def stop(self) -> None:
        """Take no more work, and end all streams."""
        self.stopping.set()
        self.events.close()


async def get_context(request: Request) -> ServerContext:
    """Return the server that a request came to."""
    return cast(ServerContext, request.app.state.context)


async def get_caller(request: Request) -> Caller:
    """Return who makes the call; what their key allows by its method was checked before.

    Raises:
        AuthenticationError: the route is open to everybody.
    """
    caller: Caller | None = request.scope.get(CALLER)
    if caller is None:
        raise AuthenticationError("this needs an API key")
    return caller


Server = Annotated[ServerContext, Depends(get_context)]
CallerHere = Annotated[Caller, Depends(get_caller)]


def require(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    """Return a dependency like `CallerHere`, of a caller with a further scope."""

    async def get_with_scope(caller: CallerHere) -> Caller:
        caller.check_scope(scope)
        return caller

    return get_with_scope
