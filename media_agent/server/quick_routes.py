"""Answers the calls that programs make most: make a video, and how far is it?

FastAPI looks through the routes, works out what each is given, and opens what may have to be closed
again, for every call. That costs as much as the rest of the answer, so these calls are answered
before. Their routes stay where they are described, and answer whatever is not matched here.
"""

import re
from collections.abc import Awaitable, Callable
from typing import NoReturn

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from media_agent.server.access.caller import CALLER, Caller
from media_agent.server.context import ServerContext
from media_agent.server.jobs.own_job import LONGEST_ID, find_job
from media_agent.server.native.jobs import answer_job
from media_agent.server.openai.videos import answer_video, create
from media_agent_schemas.jobs import VideoJob

Answer = Callable[[Request, ServerContext, Caller], Awaitable[Response]]


class _QuickRoute(BaseRoute):
    """One method of one path."""

    def __init__(self, method: str, path: str, pattern: str, answer: Answer) -> None:
        """`answer` returns the answer; what it raises is answered as on every route."""
        self.path = path
        self._method = method
        self._pattern = re.compile(pattern)
        self._answer = answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a call is such a call."""
        if scope["type"] != "http" or scope["method"] != self._method:
            return Match.NONE, {}
        found = self._pattern.fullmatch(scope["path"])
        if found is None:
            return Match.NONE, {}
        return Match.FULL, {"route": self, "path_params": found.groupdict()}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it."""
        server: ServerContext = scope["app"].state.context
        response = await self._answer(Request(scope, receive), server, scope[CALLER])
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> NoReturn:
        """Leave the name to the route that is described."""
        raise NoMatchFound(name, path_params)


def _status(path: str, show: Callable[[VideoJob, Caller], Response]) -> _QuickRoute:
    """Return the route `GET {path}/{job_id}`, which shows a job of the caller."""

    async def answer(request: Request, server: ServerContext, caller: Caller) -> Response:
        return show(await find_job(server, caller, request.path_params["job_id"]), caller)

    pattern = rf"{path}/(?P<job_id>[^/]{{1,{LONGEST_ID}}})"
    return _QuickRoute("GET", f"{path}/{{job_id}}", pattern, answer)


QUICK_ROUTES = (
    _status("/v1/videos", answer_video),
    _status("/v1/jobs", answer_job),
    _QuickRoute("POST", "/v1/videos", "/v1/videos", create),
)
