"""Jobs: made, listed, looked at, deleted; their records and files."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import Header, Path, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel

from media_agent.errors import JobNotFoundError, VideoNotReadyError
from media_agent.ledger.pages import JobFilter
from media_agent.provenance.record import read_record
from media_agent.server.access.caller import Caller
from media_agent.server.access.requests import admit_request
from media_agent.server.context import CallerHere, Server, ServerContext
from media_agent.server.file_response import answer_file
from media_agent.server.jobs.new_jobs import new_folder, start_job
from media_agent.server.jobs.own_job import JobHere, OwnJob, find_job
from media_agent.server.jobs.public import ServedJob, view, view_job, view_summary
from media_agent.server.jobs.repeats import LONGEST_KEY, NewJobCall, read_call
from media_agent.server.list_page import answer_page
from media_agent.server.native.bodies import JobPage, NewJob, RemovedJob
from media_agent.server.native.inputs import bring_files
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.records import GenerationRecord
from media_agent_schemas.request import Budget, VideoRequest

router = new_router("jobs")

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        description="The same key with the same request is the same job, and is made once.",
    ),
]
LISTED = 20
MOST_LISTED = 100


@router.post(
    "/v1/jobs",
    status_code=201,
    response_model=ServedJob,
    responses={200: {"model": ServedJob, "description": "The job that has this key already"}},
)
async def create_job(
    body: NewJob, server: Server, caller: CallerHere, idempotency_key: Key = None
) -> Response:
    """Begin to make a video, and answer with its job at once."""

    async def make(call: NewJobCall) -> VideoJob:
        async with new_folder(server.host.client) as (job_id, folder):
            most = server.settings.server.max_upload_bytes
            admitted = await admit_request(body.request, caller, folder, max_bytes=most)
            request = await bring_files(server, caller, admitted, folder)
            return await start_job(
                server,
                caller,
                _within(request, body.max_cost_usd),
                job_id=job_id,
                policy=body.policy,
                label=body.label,
                allow_unknown_words=body.allow_unknown_words,
                idempotency_key=call.key,
                fingerprint=call.fingerprint,
            )

    return await make_once(server, caller, "job", body, idempotency_key, make)


@router.get("/v1/jobs", response_model=JobPage)
async def list_jobs(
    server: Server,
    caller: CallerHere,
    status: Annotated[list[JobStatus], Query(description="Only these; may be repeated.")] = [],  # noqa: B006
    label: Annotated[str | None, Query(description="Only those of this label.")] = None,
    backend: Annotated[str | None, Query(description="A backend or backend/model.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED, description="Jobs of a page.")] = LISTED,
    after: Annotated[str | None, Query(description="The last job of the page before.")] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="desc: newest first.")] = "desc",
) -> Response:
    """List the jobs, without the segments that a video is made of."""
    if after is not None:
        await find_job(server, caller, after)
    chosen = JobFilter(
        statuses=tuple(status),
        label=label,
        backend=backend,
        caller=caller.only,
        before=after,
        limit=limit + 1,
        oldest_first=order == "asc",
    )
    found = await server.host.read(lambda ledger: ledger.jobs.list(chosen))
    page = [view_summary(each, caller) for each in found[:limit]]
    return answer_page(page, has_more=len(found) > limit)


@router.get("/v1/jobs/{job_id}", response_model=ServedJob)
async def get_job(job: OwnJob, caller: CallerHere) -> Response:
    """Return a job as it stands."""
    return answer_job(job, caller)


@router.delete("/v1/jobs/{job_id}", response_model=RemovedJob)
async def delete_job(
    job: OwnJob,
    server: Server,
    videos: Annotated[
        bool | None,
        Query(description="Whether its videos go too; default: those made for a server."),
    ] = None,
) -> Response:
    """Forget a job that is over, with its files; what it cost still counts in budgets."""
    takes_videos = job.caller is not None if videos is None else videos
    removal = await server.host.call(lambda client: client.remove(job.id, videos=takes_videos))
    gone = RemovedJob(
        id=job.id,
        freed_bytes=removal.freed_bytes,
        removed_videos=len(removal.removed_videos),
        kept_videos=len(removal.kept_videos),
    )
    return JSONResponse(gone.model_dump(mode="json"))


@router.get("/v1/jobs/{job_id}/record", response_model=GenerationRecord)
async def get_record(job: JobHere, caller: CallerHere) -> Response:
    """Return the record of a job: what was asked, adjusted, sent and delivered."""
    record = await asyncio.to_thread(read_record, job)
    if record is None:
        if not job.status.is_terminal:
            raise VideoNotReadyError(f"job {job.id} has no record yet: it is written at its end")
        raise JobNotFoundError(f"job {job.id} has no record")
    return JSONResponse(view(record, job.id, caller))


@router.get(
    "/v1/jobs/{job_id}/files/{number}",
    response_class=FileResponse,
    responses={
        206: {"description": "The parts that Range names."},
        304: {"description": "It is the file that If-None-Match names."},
    },
)
async def get_file(
    job: JobHere,
    request: Request,
    number: Annotated[int, Path(ge=0, le=1000, description="0: the first.")],
) -> Response:
    """Return a file of a job: each of its videos, and its contact sheet."""
    artifact = job.artifacts[number] if number < len(job.artifacts) else None
    path = None if artifact is None or artifact.path is None else FilePath(artifact.path)
    if artifact is None or path is None:
        raise JobNotFoundError(f"job {job.id} has no file {number}")
    name = f"{job.id}-{number}{path.suffix}"
    return await answer_file(request, path, name, artifact.sha256, media_type=artifact.mime_type)


def answer_job(job: VideoJob, caller: Caller) -> Response:
    """Return what a caller sees of a job."""
    return JSONResponse(view_job(job, caller))


async def make_once(
    server: ServerContext,
    caller: Caller,
    route: str,
    body: BaseModel,
    key: str | None,
    make: Callable[[NewJobCall], Awaitable[VideoJob]],
) -> Response:
    """Answer with the job that a call means, which `make` begins if there is none yet.

    Raises:
        IdempotencyConflictError: the key belongs to another call.
        MediaAgentError: as `make` does.
    """
    headers = {} if key is None else {"idempotency-key": key}
    call = read_call(caller.name, route, body.model_dump(mode="json"), headers)
    job, is_new = await server.repeats.once(server.host, call, lambda: make(call))
    shown, place = view_job(job, caller), {"Location": f"/v1/jobs/{job.id}"}
    return JSONResponse(shown, 201 if is_new else 200, place)


def _within(request: VideoRequest, max_cost_usd: float | None) -> VideoRequest:
    """Return a request that costs at most so much."""
    own = None if request.budget is None else request.budget.max_cost_usd
    if max_cost_usd is None or (own is not None and own <= max_cost_usd):
        return request
    return request.model_copy(update={"budget": Budget(max_cost_usd=max_cost_usd)})
