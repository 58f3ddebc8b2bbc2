"""Answers the calls that programs make most: make a video, and how far is it?

FastAPI looks through the routes, works out what each is given, and opens what may have to be closed
again, for every call. That costs as much as the rest of the answer, so these calls are answered
before. Their routes stay where they are described, and answer whatever is not matched here.
"""

import re
from abc import abstractmethod
from collections.abc import Callable
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

Answer = Callable[[VideoJob, Caller], Response]


class _QuickRoute(BaseRoute):
    """One method of one path."""

    def __init__(self, method: str, path: str, pattern: str) -> None:
        self.path = path
        self._method = method
        self._pattern = re.compile(pattern)

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
        response = await self.answer(Request(scope, receive), server, scope[CALLER])
        await response(scope, receive, send)

    @abstractmethod
    async def answer(self, request: Request, server: ServerContext, caller: Caller) -> Response:
        """Return the answer; what it raises is answered as on every route."""
        ...

    def url_path_for(self, name: str, /, **path_params: object) -> NoReturn:
        """Leave the name to the route that is described."""
        raise NoMatchFound(name, path_params)


class QuickStatus(_QuickRoute):
    """`GET {path}/{job_id}`."""

    def __init__(self, path: str, answer: Answer) -> None:
        pattern = rf"{path}/(?P<job_id>[^/]{{1,{LONGEST_ID}}})"
        super().__init__("GET", f"{path}/{{job_id}}", pattern)
        self._answer = answer

    async def answer(self, request: Request, server: ServerContext, caller: Caller) -> Response:
        """Return the state of a job of the caller.

        Raises:
            JobNotFoundError: there is no such job, or it is of somebody else.
        """
        job = await find_job(server, caller, request.path_params["job_id"])
        return self._answer(job, caller)


class QuickCreate(_QuickRoute):
    """`POST /v1/videos`."""

    def __init__(self) -> None:
        super().__init__("POST", "/v1/videos", "/v1/videos")

    async def answer(self, request: Request, server: ServerContext, caller: Caller) -> Response:
        """Begin to make a video.

        Raises:
            MediaAgentError: it cannot be made.
        """
        return await create(request, server, caller)


QUICK_ROUTES = (
    QuickStatus("/v1/videos", answer_video),
    QuickStatus("/v1/jobs", answer_job),
    QuickCreate(),
)
