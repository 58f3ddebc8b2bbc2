"""What every route of a server is given: the client's host, the settings, the caller."""

from dataclasses import dataclass, field
from threading import Event
from typing import Annotated, cast

from fastapi import Depends, Request

from media_agent.config.settings import Settings
from media_agent.server.access.caller import LOCAL, Caller
from media_agent.server.host import ClientHost

SCOPES = frozenset({"videos:read", "videos:write", "admin"})


@dataclass
class ServerContext:
    """The parts of one server."""

    host: ClientHost
    settings: Settings
    stopping: Event = field(default_factory=Event)
    """Set when the server shuts down: streams end then."""


def get_context(request: Request) -> ServerContext:
    """Return the server that a request came to."""
    return cast(ServerContext, request.app.state.context)


async def get_caller(request: Request) -> Caller:
    """Return who makes the call."""
    return Caller(LOCAL, SCOPES, sees_all=True, is_remote=False)


Server = Annotated[ServerContext, Depends(get_context)]
CallerHere = Annotated[Caller, Depends(get_caller)]
