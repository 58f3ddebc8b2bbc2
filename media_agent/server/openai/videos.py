"""The routes of /v1/videos: create, list, look at, delete."""

import asyncio
import contextlib
from functools import partial
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from media_agent.client import VideoClient
from media_agent.errors import JobNotFoundError, VideoNotReadyError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.pages import JobFilter
from media_agent.server.access.caller import Caller
from media_agent.server.context import CallerHere, Server, ServerContext
from media_agent.server.jobs.own_job import OwnJob, find_job
from media_agent.server.list_page import answer_page
from media_agent.server.openai.body import read_body
from media_agent.server.openai.new_video import create_video
from media_agent.server.openai.view import choose_pause, view_video
from media_agent.server.openai.wire import Video, VideoDeleted, VideoList
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.jobs import JobStatus, VideoJob

router = new_router("videos")

LISTED = 20
MOST_LISTED = 100
_PATIENCE = 5.0  # seconds in which a video that is deleted should have stopped
_LOOK_SECONDS = 0.1


@router.post("/v1/videos", response_model=Video)
async def create(request: Request, server: Server, caller: CallerHere) -> Response:
    """Begin to make a video, and answer with it at once."""
    body = await read_body(request, server)
    try:
        job = await create_video(server, caller, body.fields, request.headers)
    finally:
        await body.aclose()
    return answer_video(job, caller)


@router.get("/v1/videos", response_model=VideoList)
async def list_videos(
    server: Server,
    caller: CallerHere,
    limit: Annotated[int, Query(ge=0, le=MOST_LISTED, description="Videos of a page.")] = LISTED,
    after: Annotated[str | None, Query(description="The last one of the page before.")] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="By time.")] = "desc",
) -> JSONResponse:
    """List the videos of the caller."""
    if after is not None:
        await find_job(server, caller, after)
    chosen = JobFilter(
        caller=caller.only, before=after, limit=limit + 1, oldest_first=order == "asc"
    )
    jobs, has_more = await server.host.read(partial(_read_page, chosen, limit))
    return answer_page([view_video(job) for job in jobs], has_more=has_more)


@router.get("/v1/videos/{job_id}", response_model=Video)
async def retrieve(job: OwnJob, caller: CallerHere) -> Response:
    """Return a video as it stands; `openai-poll-after-ms` says when to look again."""
    return answer_video(job, caller)


@router.delete("/v1/videos/{job_id}", response_model=VideoDeleted)
async def delete(job: OwnJob, server: Server) -> JSONResponse:
    """Delete a video with its files; one that is being made is stopped first.

    OpenAI's API has no other call that stops a video. What cannot be stopped within seconds, or may
    exist at its provider, stays: the answer is 409.
    """
    if not job.status.is_terminal:
        job = await _stop(server, job)
    takes_videos = job.caller is not None
    await server.host.call(lambda client: client.remove(job.id, videos=takes_videos))
    return JSONResponse(VideoDeleted(id=job.id).model_dump(mode="json"))


def answer_video(job: VideoJob, caller: Caller) -> Response:
    """Return a video, and when to look again; every caller sees the same of it."""
    headers = {}
    if not job.status.is_terminal or job.status is JobStatus.OUTCOME_UNKNOWN:
        headers["openai-poll-after-ms"] = str(choose_pause(job))
    shown = view_video(job).model_dump_json()
    return Response(shown, headers=headers, media_type="application/json")


def _read_page(chosen: JobFilter, limit: int, ledger: Ledger) -> tuple[list[VideoJob], bool]:
    found = ledger.jobs.list(chosen)
    jobs = []
    for each in found[:limit]:
        with contextlib.suppress(JobNotFoundError):  # it was deleted a moment ago
            jobs.append(ledger.jobs.get(each.id))
    return jobs, len(found) > limit


async def _stop(server: ServerContext, job: VideoJob) -> VideoJob:
    """Stop a video and return it as it ended.

    Raises:
        VideoNotReadyError: it has not stopped yet.
    """
    job_id = job.id
    await server.host.call(lambda client: client.cancel(job_id))
    until = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        job = await server.host.read(lambda ledger: ledger.jobs.get(job_id))
        is_at_work = await server.host.call(lambda client: _is_at_work(client, job_id))
        if job.status.is_terminal and not is_at_work:
            return job
        if asyncio.get_running_loop().time() > until:
            raise VideoNotReadyError(
                f"video {job_id} is still being stopped", hint=f"DELETE /v1/videos/{job_id} again"
            )
        await asyncio.sleep(_LOOK_SECONDS)


async def _is_at_work(client: VideoClient, job_id: str) -> bool:
    return client.is_running(job_id)
