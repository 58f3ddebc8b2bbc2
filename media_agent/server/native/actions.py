"""What is done to a job under way, or after its end; and the videos that continue it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from media_agent.server.access.caller import Caller
from media_agent.server.access.requests import check_names
from media_agent.server.context import CallerHere, Server, ServerContext
from media_agent.server.jobs.new_jobs import start_job
from media_agent.server.jobs.own_job import OwnJob
from media_agent.server.jobs.public import ServedJob, view, view_job
from media_agent.server.jobs.repeats import NewJobCall
from media_agent.server.native.bodies import (
    FoundWork,
    NewBranch,
    NewExtension,
    Resumption,
    Steering,
)
from media_agent.server.native.jobs import Key, make_once
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoRequest

router = new_router("jobs")

Planned = tuple[VideoRequest, tuple[Plan, ...]]
"""What a continuation is a request for, and the plans to follow, the first that works."""

_NEW: dict[int | str, dict[str, Any]] = {
    200: {"model": ServedJob, "description": "The job that has this key already"}
}


@router.post("/v1/jobs/{job_id}/steer", response_model=ServedJob)
async def steer_job(job: OwnJob, body: Steering, server: Server, caller: CallerHere) -> Response:
    """Change the prompt of a running video; the event prompt.changed says from which chunk."""
    steered = await server.host.call(
        lambda client: client.steer(
            job.id, body.prompt, at=body.at, allow_unknown_words=body.allow_unknown_words
        )
    )
    return JSONResponse(view_job(steered, caller))


@router.post("/v1/jobs/{job_id}/finish", response_model=ServedJob)
async def finish_job(job: OwnJob, server: Server, caller: CallerHere) -> Response:
    """End a running video, complete, with its next chunk."""
    finished = await server.host.call(lambda client: client.finish(job.id))
    return JSONResponse(view_job(finished, caller))


@router.post("/v1/jobs/{job_id}/cancel", response_model=ServedJob)
async def cancel_job(job: OwnJob, server: Server, caller: CallerHere) -> Response:
    """Ask a job to stop; what was made of it is kept. Harmless when it is over."""
    stopped = await server.host.call(lambda client: client.cancel(job.id))
    return JSONResponse(view_job(stopped, caller))


@router.post("/v1/jobs/{job_id}/resume", response_model=ServedJob)
async def resume_job(
    job: OwnJob, server: Server, caller: CallerHere, body: Resumption | None = None
) -> Response:
    """Continue a job that failed, was stopped, or is of unknown outcome; nothing is paid twice."""
    takes_over = body is not None and body.take_over
    resumed = await server.host.call(
        lambda client: client.begin_resume(job.id, take_over=takes_over)
    )
    return JSONResponse(view_job(resumed, caller))


@router.post("/v1/jobs/{job_id}/reconcile", response_model=FoundWork)
async def reconcile_job(job: OwnJob, server: Server, caller: CallerHere) -> Response:
    """Ask the backend whether it knows of work whose reply was lost; nothing is started."""
    finding = await server.host.call(lambda client: client.reconcile(job.id))
    ref = None if finding.ref is None else view(finding.ref, job.id, caller)
    found = {"job": view_job(finding.job, caller), "ref": ref, "said": finding.said}
    return JSONResponse(found)


@router.post("/v1/jobs/{job_id}/branch/plan", response_model=Plan)
async def plan_branch(job: OwnJob, body: NewBranch, server: Server, caller: CallerHere) -> Response:
    """Return what such a branch would be and cost; nothing is started or spent."""
    _, (plan,) = await _plan_branch(server, caller, job.id, body)
    return JSONResponse(view(plan, "", caller))


@router.post("/v1/jobs/{job_id}/branch", status_code=201, response_model=ServedJob, responses=_NEW)
async def branch_job(
    job: OwnJob,
    body: NewBranch,
    server: Server,
    caller: CallerHere,
    idempotency_key: Key = None,
) -> Response:
    """Make a second video that begins as this one does."""
    plan = partial(_plan_branch, server, caller, job.id, body)
    return await _begin(server, caller, f"branch {job.id}", body, idempotency_key, plan)


@router.post("/v1/jobs/{job_id}/extend/plan", response_model=Plan)
async def plan_extension(
    job: OwnJob, body: NewExtension, server: Server, caller: CallerHere
) -> Response:
    """Return what such a continuation would be and cost; nothing is started or spent."""
    _, plans = await _plan_extension(server, caller, job.id, body)
    return JSONResponse(view(plans[0], "", caller))


@router.post("/v1/jobs/{job_id}/extend", status_code=201, response_model=ServedJob, responses=_NEW)
async def extend_job(
    job: OwnJob,
    body: NewExtension,
    server: Server,
    caller: CallerHere,
    idempotency_key: Key = None,
) -> Response:
    """Continue a video; the result is the whole of it, and a job of its own."""
    plan = partial(_plan_extension, server, caller, job.id, body)
    return await _begin(server, caller, f"extend {job.id}", body, idempotency_key, plan)


async def _begin(
    server: ServerContext,
    caller: Caller,
    route: str,
    body: NewBranch | NewExtension,
    key: str | None,
    plan: Callable[[], Awaitable[Planned]],
) -> Response:
    """Answer with the job that a call for a continuation means, planned and begun if it is new."""

    async def make(call: NewJobCall) -> VideoJob:
        request, plans = await plan()
        return await start_job(
            server,
            caller,
            request,
            plans=plans,
            label=body.label,
            policy=body.policy,
            idempotency_key=call.key,
            fingerprint=call.fingerprint,
        )

    return await make_once(server, caller, route, body, key, make)


async def _plan_branch(
    server: ServerContext, caller: Caller, job_id: str, body: NewBranch
) -> Planned:
    plan = await server.host.call(
        lambda client: client.plan_branch(
            job_id,
            at=body.at,
            prompt=body.prompt,
            duration=body.duration,
            shots=body.shots,
            endless=body.endless,
            max_cost_usd=body.max_cost_usd,
            policy=body.policy,
            allow_unknown_words=body.allow_unknown_words,
            caller=caller.name,
        )
    )
    return plan.request, (plan,)


async def _plan_extension(
    server: ServerContext, caller: Caller, job_id: str, body: NewExtension
) -> Planned:
    await check_names(body.model, body.options, caller)
    return await server.host.call(
        lambda client: client.plan_extension(
            job_id,
            prompt=body.prompt,
            duration=body.duration,
            shots=body.shots,
            seed=body.seed,
            model=body.model,
            size=body.size,
            options=body.options,
            only_new=body.only_new,
            max_cost_usd=body.max_cost_usd,
            policy=body.policy,
            allow_unknown_words=body.allow_unknown_words,
            caller=caller.name,
        )
    )
