"""What /openapi.json says beside what FastAPI knows: errors, keys, names of operations."""

from typing import Any

from fastapi import FastAPI
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


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorReply, "description": "The call is refused; nothing was done."},
    "5XX": {"model": ErrorReply, "description": "The server or a provider is at fault."},
}
"""How every route may answer besides."""


def name_operation(route: APIRoute) -> str:
    """Return a name that is one operation's alone: jobs_create_job, videos_list_videos."""
    group = str(route.tags[0]).replace(" ", "_") if route.tags else "server"
    return f"{group}_{route.name}"


def _schemas_of_events() -> dict[str, Any]:
    """Return what the data of server-sent events refer to."""
    template = "#/components/schemas/{model}"
    _, found = models_json_schema([(JobEvent, "serialization")], ref_template=template)
    schemas: dict[str, Any] = found["$defs"]
    return schemas


def describe_api(app: FastAPI) -> None:
    """Let the application describe itself as it is."""
    generate = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["info"]["description"] = _ABOUT
            document.setdefault("components", {})["securitySchemes"] = _KEYS
            document["components"]["schemas"].update(_schemas_of_events())
            document["security"] = [{}, *({name: []} for name in _KEYS)]
        return generate()  # which keeps the one document

    app.openapi = describe  # type: ignore[method-assign]  # as FastAPI's guide does it
