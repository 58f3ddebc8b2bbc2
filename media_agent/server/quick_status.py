"""Answers the call that programs make most: how far is a job?

FastAPI looks through the routes of all routers, and works out what each is given, for every call.
That costs several times what the answer does, so this call is answered before. Its routes stay
where they are described, and answer whatever is not matched here.
"""

import re
from collections.abc import Callable
from typing import NoReturn

from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from media_agent.server.access.caller import CALLER, Caller
from media_agent.server.jobs.own_job import LONGEST_ID, find_job
from media_agent.server.native.jobs import answer_job
from media_agent.server.openai.videos import answer_video
from media_agent_schemas.jobs import VideoJob

Answer = Callable[[VideoJob, Caller], Response]


class QuickStatus(BaseRoute):
    """`GET {path}/{job_id}`."""

    def __init__(self, path: str, answer: Answer) -> None:
        self.path = f"{path}/{{job_id}}"
        self._pattern = re.compile(rf"{path}/([^/]{{1,{LONGEST_ID}}})")
        self._answer = answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a call is such a call."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return Match.NONE, {}
        found = self._pattern.fullmatch(scope["path"])
        if found is None:
            return Match.NONE, {}
        return Match.FULL, {"route": self, "path_params": {"job_id": found[1]}}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it.

        Raises:
            JobNotFoundError: there is no such job, or it is of somebody else.
        """
        caller: Caller = scope[CALLER]
        job_id = scope["path_params"]["job_id"]
        job = await find_job(scope["app"].state.context, caller, job_id)
        await self._answer(job, caller)(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> NoReturn:
        """Leave the name to the route that is described."""
        raise NoMatchFound(name, path_params)


QUICK_ROUTES = (
    QuickStatus("/v1/videos", answer_video),
    QuickStatus("/v1/jobs", answer_job),
)
