"""The routes of /v1/models: what can be named in a call."""

from typing import Annotated, Any

from fastapi import HTTPException, Path, Query
from fastapi.responses import JSONResponse

from media_agent.client import VideoClient
from media_agent.errors import InvalidRequestError, MediaAgentError, in_full
from media_agent.routing.listing import Listed
from media_agent.server.context import CallerHere, Server, ServerContext
from media_agent.server.openai.wire import Model, ModelDetails, ModelList
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.capabilities import Capabilities

router = new_router("models")


@router.get("/v1/models", response_model=ModelList)
async def list_models(
    server: Server,
    caller: CallerHere,
    lacking: Annotated[
        bool, Query(description="Also those that lack something, such as a key.")
    ] = False,
) -> JSONResponse:
    """List the models that can make a video here, and the names that the settings give them."""
    listing = await server.host.ask(VideoClient.models)
    models = [
        _view(server, each)
        for each in listing.models
        if lacking or each.capabilities.missing is None
    ]
    known = {each.id: each for each in models}
    aliases = [await _view_alias(server, *each, known) for each in _aliases(server).items()]
    return JSONResponse(ModelList(data=[*aliases, *models]).model_dump(mode="json"))


@router.get("/v1/models/{model_id:path}", response_model=Model)
async def retrieve_model(
    model_id: Annotated[str, Path(max_length=300)], server: Server, caller: CallerHere
) -> JSONResponse:
    """Return one model with all that is known of it."""
    target = _aliases(server).get(model_id, model_id)
    try:
        capabilities = await _ask(server, target)
    except InvalidRequestError as error:
        raise HTTPException(404, in_full(error)) from error
    name = f"{capabilities.backend}/{capabilities.model}"
    if "/" in target and name != target:
        raise HTTPException(404, f"unknown model {model_id!r} (GET /v1/models lists them)")
    details = ModelDetails(
        alias_of=target if target != model_id else None,
        is_default=target == server.settings.default_backend,
        **_facts_of(capabilities),
        capabilities=capabilities.model_dump(mode="json"),
    )
    model = Model(id=model_id, owned_by=capabilities.backend, media_agent=details)
    return JSONResponse(model.model_dump(mode="json"))


def _aliases(server: ServerContext) -> dict[str, str]:
    return server.settings.server.models


def _view(server: ServerContext, listed: Listed) -> Model:
    capabilities, default = listed.capabilities, server.settings.default_backend
    details = ModelDetails(
        is_default=listed.name == default,
        offer_of=listed.offer_of,
        price=listed.price(),
        **_facts_of(capabilities),
    )
    return Model(id=listed.name, owned_by=capabilities.backend, media_agent=details)


async def _view_alias(
    server: ServerContext, name: str, target: str, known: dict[str, Model]
) -> Model:
    """Return the line of a name that means a model, or a backend: its usual one is meant then."""
    if target in known:
        model = known[target]
        details = model.media_agent.model_copy(update={"alias_of": target})
        return model.model_copy(update={"id": name, "media_agent": details})
    try:
        facts = _facts_of(await _ask(server, target))
    except MediaAgentError:  # it is gone, or cannot be asked now
        facts = {}
    owner = target.partition("/")[0]
    details = ModelDetails(alias_of=target, **facts)
    return Model(id=name, owned_by=owner, media_agent=details)


async def _ask(server: ServerContext, target: str) -> Capabilities:
    return await server.host.ask(lambda client: client.capabilities(target))


def _facts_of(capabilities: Capabilities) -> dict[str, Any]:
    return {
        "modes": list(capabilities.modes),
        "local": capabilities.local,
        "verification": str(capabilities.verification),
        "missing": capabilities.missing,
    }
