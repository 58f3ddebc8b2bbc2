"""Who could make a video and for how much; which models there are."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from media_agent.errors import InvalidRequestError
from media_agent.routing.listing import Listed
from media_agent.server.access.requests import check_options, check_request
from media_agent.server.context import CallerHere, Server
from media_agent.server.jobs.public import hide_paths, view
from media_agent.server.native.bodies import ModelPage, NewPlan, OfferedModel
from media_agent.server.native.jobs import LISTED
from media_agent.server.wording import info_to_http
from media_agent_schemas.plan import PlanReport

router = APIRouter(tags=["plans"])


@router.post("/v1/plan", response_model=PlanReport)
async def plan_video(body: NewPlan, server: Server, caller: CallerHere) -> Response:
    """Return every candidate with price, reasons and changes; nothing is started or spent."""
    check_request(body.request, caller)
    await check_options(body.request.options, caller)
    report = await server.host.call(
        lambda client: client.plan_all(
            body.request,
            best=body.best,
            policy=body.policy,
            allow_unknown_words=body.allow_unknown_words,
        )
    )
    return JSONResponse(view(_word(report), "", caller))


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
    listing = await server.host.call(lambda client: client.models())
    words = (search or "").lower().split()
    found = [each for each in listing.models if _is_wanted(each, words, backend)]
    page = _cut(found, after)
    models = [OfferedModel.of(each).model_dump(mode="json") for each in page[:limit]]
    answer = {
        "object": "list",
        "data": models,
        "total": len(found),
        "has_more": len(page) > limit,
        "problems": [hide_paths(each) for each in listing.problems],
        "notes": [hide_paths(each) for each in listing.notes],
    }
    return JSONResponse(answer)


def _word(report: PlanReport) -> PlanReport:
    """Return a report whose refusals name fields and routes, not flags and commands."""
    worded = tuple(
        each.model_copy(update={"refusals": tuple(map(info_to_http, each.refusals))})
        for each in report.candidates
    )
    return report.model_copy(update={"candidates": worded})


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
