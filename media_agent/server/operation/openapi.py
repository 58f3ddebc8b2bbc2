"""What /openapi.json says beside what FastAPI knows: errors, keys, bodies, names of operations.

It is worked out when somebody asks for it: a start does not wait for that.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from media_agent_schemas.events import JobEvent

_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of the server."},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
_ABOUT = (
    "Videos from any model over HTTP: the OpenAI-shaped /v1/videos, and the native API beside it, "
    "with all that a request, an event and a record can say. A job has the same id in both."
)


class ErrorLines(BaseModel):
    """An error as OpenAI's clients read it."""

    message: str = Field(description="What went wrong, and the way out.")
    type: str = Field(description="The kind of error, such as invalid_request_error.")
    param: str | None = Field(description="The field at fault; null: none alone.")
    code: str = Field(description="The same as media_agent.code.")


class ErrorDetails(BaseModel):
    """An error with what it means for work and money."""

    code: str = Field(description="Our code, as the page of errors lists it.")
    message: str = Field(description="What went wrong.")
    retryable: bool = Field(description="Whether the same call may work later.")
    provider_code: str | None = Field(description="The provider's own code; null: it said none.")
    accepted: bool | None = Field(
        description="Whether a provider may have accepted work; null: unknown."
    )
    billed: bool | None = Field(description="Whether it cost anything; null: unknown.")
    next: str = Field(description="What to do next.")


class ErrorReply(BaseModel):
    """The body of every error."""

    error: ErrorLines
    media_agent: ErrorDetails


_ERRORS = {
    "4XX": "The call is refused; nothing was done.",
    "5XX": "The server or a provider is at fault.",
}
"""How every route may answer besides."""
_OF_FASTAPI = ("HTTPValidationError", "ValidationError")  # its errors are answered as ours
_PLACE = "#/components/schemas/{model}"


def new_router(tag: str, **options: Any) -> APIRouter:
    """Return a router whose operations have names that are theirs alone: jobs_create_job."""
    return APIRouter(tags=[tag], generate_unique_id_function=_name_operation, **options)


def _name_operation(route: APIRoute) -> str:
    return f"{str(route.tags[0]).replace(' ', '_')}_{route.name}"


def describe_api(app: FastAPI, bodies: Mapping[str, Callable[[], dict[str, Any]]]) -> None:
    """Let the application describe itself as it is; `bodies` has those that are read by hand."""
    generate = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(generate(), bodies)
        return generate()  # which keeps the one document

    app.openapi = describe  # type: ignore[method-assign]  # as FastAPI's guide does it


def _complete(document: dict[str, Any], bodies: Mapping[str, Callable[[], dict[str, Any]]]) -> None:
    document["info"]["description"] = _ABOUT
    document["security"] = [{}, *({name: []} for name in _KEYS)]
    schemas = document["components"]["schemas"]
    document["components"]["securitySchemes"] = _KEYS
    _, found = models_json_schema(
        [(ErrorReply, "serialization"), (JobEvent, "serialization")],  # server-sent events too
        ref_template=_PLACE,
    )
    schemas.update(found["$defs"])
    for name in _OF_FASTAPI:
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"] |= _describe_errors()
    for path, describe_body in bodies.items():
        document["paths"][path]["post"]["requestBody"] = describe_body()


def _describe_errors() -> dict[str, Any]:
    schema = {"$ref": _PLACE.format(model=ErrorReply.__name__)}
    content = {"application/json": {"schema": schema}}
    return {name: {"description": said, "content": content} for name, said in _ERRORS.items()}
