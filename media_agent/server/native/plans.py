"""Who could make a video and for how much; which models there are."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import JSONResponse

from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError
from media_agent.routing.listing import Listed
from media_agent.server.access.requests import admit_request
from media_agent.server.context import CallerHere, Server
from media_agent.server.jobs.new_jobs import new_folder
from media_agent.server.jobs.public import view
from media_agent.server.native.bodies import ModelPage, NewPlan, OfferedModel, ServedReport
from media_agent.server.native.inputs import bring_files
from media_agent.server.native.jobs import LISTED
from media_agent.server.operation.openapi import new_router
from media_agent.server.wording import report_to_http, to_http

router = new_router("plans")


@router.post("/v1/plan", response_model=ServedReport)
async def plan_video(body: NewPlan, server: Server, caller: CallerHere) -> Response:
    """Return every candidate with price, reasons and changes; nothing is started or spent."""
    async with new_folder(server.host.client, is_kept=False) as (_, folder):
        most = server.settings.server.max_upload_bytes
        admitted = await admit_request(body.request, caller, folder, max_bytes=most)
        request = await bring_files(server, caller, admitted, None)
        report = await server.host.call(
            lambda client: client.plan_all(
                request,
                best=body.best,
                policy=body.policy,
                allow_unknown_words=body.allow_unknown_words,
                caller=caller.name,
            )
        )
    shown = ServedReport(**dict(report_to_http(report)) | {"request": body.request})
    return JSONResponse(view(shown, "", caller))


@router.get("/v1/backends", response_model=ModelPage)
async def list_backends(
    server: Server,
    caller: CallerHere,
    search: Annotated[str | None, Query(description="Words of its name or description.")] = None,
    backend: Annotated[str | None, Query(description="Only the models of this backend.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Models of a page.")] = LISTED,
    after: Annotated[str | None, Query(description="The last model of the page before.")] = None,
) -> Response:
    """List the models with their abilities and prices, and what keeps other backends out."""
    listing = await server.host.ask(VideoClient.models)
    words = (search or "").lower().split()
    found = [each for each in listing.models if _is_wanted(each, words, backend)]
    page = _cut(found, after)
    models = [OfferedModel.of(each).model_dump(mode="json") for each in page[:limit]]
    answer = {
        "object": "list",
        "data": models,
        "total": len(found),
        "has_more": len(page) > limit,
        "problems": [to_http(each) for each in listing.problems],
        "notes": [to_http(each) for each in listing.notes],
    }
    return JSONResponse(answer)


def _cut(models: Sequence[Listed], after: str | None) -> Sequence[Listed]:
    """Return the models behind one of them.

    Raises:
        InvalidRequestError: it is not among them.
    """
    if after is None:
        return models
    for number, each in enumerate(models, start=1):
        if each.name == after:
            return models[number:]
    raise InvalidRequestError(f"after: no model {after!r} is in this list")


def _is_wanted(listed: Listed, words: list[str], backend: str | None) -> bool:
    if backend is not None and listed.capabilities.backend != backend:
        return False
    text = f"{listed.name} {listed.capabilities.description}".lower()
    return all(word in text for word in words)
