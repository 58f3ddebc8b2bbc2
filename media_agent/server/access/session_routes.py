"""A page signs in with an API key, and out again."""

from typing import Annotated

from fastapi import Cookie, Request, Response

from media_agent.server.access.caller import Caller
from media_agent.server.access.sessions import COOKIE, SESSION_SECONDS
from media_agent.server.context import CallerHere, Server
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.base import Schema

router = new_router("session")


class Session(Schema):
    """Who calls, and what they may do."""

    caller: str
    scopes: tuple[str, ...]
    needs_key: bool
    """Whether the server asks for a key."""


@router.get("/v1/session")
async def read_session(caller: CallerHere) -> Session:
    """Say who calls."""
    return _session_of(caller)


@router.post("/v1/session")
async def begin_session(
    request: Request, response: Response, server: Server, caller: CallerHere
) -> Session:
    """Set a cookie that stands for the key of this call, so that a page needs no header."""
    if caller.key_id is not None:
        public = server.settings.server.public_url or ""
        response.set_cookie(
            COOKIE,
            server.access.sessions.begin(caller.key_id),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https" or public.startswith("https:"),
        )
    return _session_of(caller)


@router.delete("/v1/session", status_code=204)
async def end_session(
    response: Response, server: Server, token: Annotated[str | None, Cookie(alias=COOKIE)] = None
) -> None:
    """Forget the session of the cookie."""
    if token is not None:
        server.access.sessions.end(token)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _session_of(caller: Caller) -> Session:
    return Session(
        caller=caller.name,
        scopes=tuple(sorted(caller.scopes)),
        needs_key=caller.key_id is not None,
    )
