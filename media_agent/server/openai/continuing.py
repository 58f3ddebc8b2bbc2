"""New videos from finished ones: remix, edit, extend."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from fastapi import Request, Response

from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError, MediaAgentError
from media_agent.server.access.caller import Caller
from media_agent.server.access.requests import check_names
from media_agent.server.context import CallerHere, Server, ServerContext
from media_agent.server.jobs.new_jobs import new_folder
from media_agent.server.jobs.own_job import OwnJob
from media_agent.server.jobs.repeats import NewJobCall, read_call
from media_agent.server.openai.body import read_body
from media_agent.server.openai.create_fields import OwnFields, build_request
from media_agent.server.openai.inputs.sources import (
    Source,
    as_source,
    bring_source,
    check_finished,
    copy_inputs,
    find_finished,
    take_source,
)
from media_agent.server.openai.new_video import ParsedCall, bring_inputs, parse_call, start
from media_agent.server.openai.videos import answer_video
from media_agent.server.openai.view import REMIXED_FROM
from media_agent.server.openai.wire import Video
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.plan import Plan
from media_agent_schemas.request import VideoMode, VideoRequest

router = new_router("videos")


@router.post("/v1/videos/edits", response_model=Video)
async def edit(request: Request, server: Server, caller: CallerHere) -> Response:
    """Begin to change a video as a prompt says, with a model that edits videos."""
    return await _begin(request, server, caller, "edit", _edit)


@router.post("/v1/videos/extensions", response_model=Video)
async def extend(request: Request, server: Server, caller: CallerHere) -> Response:
    """Begin to continue a video; the result is the whole of it: the source, then the new part."""
    return await _begin(request, server, caller, "extend", _extend)


@router.post("/v1/videos/{job_id}/remix", response_model=Video)
async def remix(job: OwnJob, request: Request, server: Server, caller: CallerHere) -> Response:
    """Begin a video like a finished one with another prompt.

    A model that edits videos edits it; any other makes the same request with the new prompt, from
    the same seed.
    """
    body = await read_body(request, server)
    try:
        parsed = await parse_call(server, body.fields)
        if parsed.video.prompt is None:
            raise InvalidRequestError("prompt is missing")
        check_finished(job)
        source = Source(job=job)
        call = await _read(caller, "remix", parsed, source, request.headers)
        if await _edits(server, parsed.video.model or _model_of(job)):
            return answer_video(await _edit(server, caller, parsed, source, call), caller)
        return answer_video(await _make_again(server, caller, parsed, job, call), caller)
    finally:
        await body.aclose()


Make = Callable[[ServerContext, Caller, ParsedCall, Source, NewJobCall], Awaitable[VideoJob]]


async def _begin(
    request: Request, server: ServerContext, caller: Caller, route: str, make: Make
) -> Response:
    """Begin a video from the one that the field `video` of a call names."""
    body = await read_body(request, server)
    try:
        fields = dict(body.fields)
        source = await take_source(server, caller, fields)
        parsed = await parse_call(server, fields)
        call = await _read(caller, route, parsed, source, request.headers)
        return answer_video(await make(server, caller, parsed, source, call), caller)
    finally:
        await body.aclose()


async def _read(
    caller: Caller, route: str, parsed: ParsedCall, source: Source, headers: Mapping[str, str]
) -> NewJobCall:
    fields = await parsed.identify() | {"source": await source.identify()}
    return read_call(caller.name, route, fields, headers)


async def _edit(
    server: ServerContext, caller: Caller, parsed: ParsedCall, source: Source, call: NewJobCall
) -> VideoJob:
    video, own_id = parsed.video, None
    if source.job is not None:
        finished = check_finished(source.job)
        usual = _model_of(source.job)
        if video.model is None and await _edits(server, usual):
            video = video.model_copy(update={"model": usual})
        if video.model == usual:
            own_id = finished.own_id
    own = _with_source(parsed.own, source) | {"mode": VideoMode.VIDEO_EDIT}

    async def make() -> VideoJob:
        async with new_folder(server.host.client) as (job_id, folder):
            path = await bring_source(server, caller, source, folder)
            inputs = await bring_inputs(server, caller, parsed, folder)
            request, asked = build_request(
                video, own, inputs=[as_source(path, own_id), *inputs], options=parsed.options
            )
            return await start(server, caller, request, asked, job_id, call)

    return (await server.repeats.once(server.host, call, make))[0]


async def _make_again(
    server: ServerContext, caller: Caller, parsed: ParsedCall, job: VideoJob, call: NewJobCall
) -> VideoJob:
    """Make the request of a job again, with the new prompt and whatever else the call says."""
    before: dict[str, Any] = job.request.model_dump(exclude_none=True, exclude_defaults=True)
    before |= {"shots": (), "seed": job.plan.request.seed, "model": _model_of(job)}
    if parsed.references:
        raise InvalidRequestError("a remix keeps the inputs of its video: leave them out")
    changed, asked = build_request(parsed.video, parsed.own, options=parsed.options)
    before |= changed.model_dump(exclude_none=True, exclude_defaults=True)
    before["labels"] = {**before.get("labels", {}), REMIXED_FROM: job.id}
    if changed.num_frames is not None or changed.duration is not None:
        for name in {"num_frames", "duration", "endless"} - changed.model_fields_set:
            before.pop(name, None)

    async def make() -> VideoJob:
        async with new_folder(server.host.client) as (job_id, folder):
            await find_finished(job)
            inputs = await asyncio.to_thread(copy_inputs, job, folder)
            request = VideoRequest.model_validate(before | {"inputs": inputs})
            return await start(server, caller, request, asked, job_id, call)

    return (await server.repeats.once(server.host, call, make))[0]


async def _extend(
    server: ServerContext, caller: Caller, parsed: ParsedCall, source: Source, call: NewJobCall
) -> VideoJob:
    if parsed.references:
        raise InvalidRequestError("an extension takes no other input than video")
    asked_for, own = build_request(parsed.video, parsed.own, options=parsed.options)
    _check_extension(asked_for)
    await check_names(asked_for.model, asked_for.options, caller)

    async def make() -> VideoJob:
        async with new_folder(server.host.client) as (job_id, folder):
            if source.job is not None:
                place = source.job.id
            else:
                place = str(await bring_source(server, caller, source, folder))
            request, plans = await server.host.call(
                lambda client: _plan_extension(client, caller, place, asked_for, own)
            )
            labels = {**request.labels, **asked_for.labels}
            if source.job is not None:
                labels[REMIXED_FROM] = source.job.id
            request = request.model_copy(update={"labels": labels})
            return await start(server, caller, request, own, job_id, call, plans=plans)

    return (await server.repeats.once(server.host, call, make))[0]


async def _plan_extension(
    client: VideoClient, caller: Caller, place: str, asked: VideoRequest, own: OwnFields
) -> tuple[VideoRequest, Sequence[Plan]]:
    return await client.plan_extension(
        place,
        prompt=asked.prompt,
        shots=asked.shots,
        duration=asked.duration,
        seed=asked.seed,
        model=asked.model,
        size=asked.size,
        options=asked.options,
        max_cost_usd=None if asked.budget is None else asked.budget.max_cost_usd,
        policy=own.policy,
        allow_unknown_words=own.allow_unknown_words,
        caller=caller.name,
    )


def _check_extension(asked: VideoRequest) -> None:
    """Refuse what a continuation cannot have.

    Raises:
        InvalidRequestError: such a field is given.
    """
    taken = {"prompt", "shots", "duration", "seed", "model", "size", "options", "budget", "labels"}
    others = sorted(asked.model_fields_set - taken - {"schema_version"})
    if others:
        raise InvalidRequestError(
            f"an extension has no {', '.join(others)}", hint=f"it has {', '.join(sorted(taken))}"
        )


def _with_source(own: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """Return our fields with the video that the new one is made from."""
    if source.job is None:
        return dict(own)
    labels = own.get("labels")
    labels = labels if isinstance(labels, dict) else {}
    return {**own, "labels": {**labels, REMIXED_FROM: source.job.id}}


def _model_of(job: VideoJob) -> str:
    return f"{job.plan.backend}/{job.plan.model}"


async def _edits(server: ServerContext, model: str) -> bool:
    """Return whether a model edits videos."""

    async def look(client: VideoClient) -> bool:
        return VideoMode.VIDEO_EDIT in (await client.capabilities(model)).modes

    try:
        return await server.host.call(look)
    except MediaAgentError:  # the planner says what is wrong with it
        return False
