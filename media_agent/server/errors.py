"""Errors as OpenAI's clients read them, with ours beside: one shape on every route.

`{"error": {"message", "type", "param", "code"}, "media_agent": {"code", "retryable", "accepted",
"billed", "next", ...}}`
"""

import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from media_agent.error_codes import http_status
from media_agent.errors import (
    AuthenticationError,
    BackendRateLimitError,
    InvalidRequestError,
    LedgerBusyError,
    MediaAgentError,
    RateLimitError,
    in_one_sentence,
    to_info,
)
from media_agent.server.jobs.verdict import choose_next_step, may_be_accepted
from media_agent.server.wording import info_to_http
from media_agent.validation import fault_in_words, fault_of
from media_agent_schemas.errors import ErrorInfo

_LOGGER = logging.getLogger(__name__)
_MOST_PROBLEMS = 10
_RETRIED = (BackendRateLimitError, LedgerBusyError, RateLimitError)
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def add_error_handlers(app: FastAPI) -> None:
    """Let every error of a route, and of FastAPI itself, answer in the one shape."""
    app.add_exception_handler(MediaAgentError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_broken)


def build_error(info: ErrorInfo, status: int, *, param: str | None = None) -> dict[str, Any]:
    """Return the body of an error, in the words of the server."""
    info = _make_sendable(info_to_http(info))
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    accepted = may_be_accepted(info.code)
    own: dict[str, Any] = info.model_dump(mode="json", exclude={"schema_version", "hint"})
    return {
        "error": {
            "message": in_one_sentence(info),
            "type": kind,
            "param": param,
            "code": info.code,
        },
        "media_agent": own
        | {
            "accepted": accepted,
            "billed": False if accepted is False else None,
            "next": choose_next_step(info, accepted=accepted),
        },
    }


def _make_sendable(info: ErrorInfo) -> ErrorInfo:
    """Return an error whose words can be sent: they may quote half a character of a caller."""
    texts = {"message": info.message, "hint": info.hint}
    sent = {name: text and text.encode("utf-8", "replace").decode() for name, text in texts.items()}
    return info.model_copy(update=sent)


def answer_error(error: MediaAgentError) -> JSONResponse:
    """Return the reply that says what went wrong."""
    status = http_status(error)
    headers = {"x-should-retry": str(to_info(error).retryable).lower()}  # OpenAI's clients ask
    pause = error.retry_after if isinstance(error, _RETRIED) else None
    if pause is not None:
        headers["Retry-After"] = str(max(1, math.ceil(pause)))
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(build_error(to_info(error), status), status, headers)


async def _answer_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MediaAgentError)
    return answer_error(error)


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = error.errors()[:_MOST_PROBLEMS]
    place = ".".join(str(part) for part in problems[0]["loc"][1:])
    place = place.encode("utf-8", "replace").decode()
    shape = _shape_of_body(request)
    said = "; ".join(_tell_problem(each, shape) for each in problems)
    kind = request.headers.get("content-type", "").partition(";")[0]
    is_mistyped = problems[0]["loc"] == ("body",) and not kind.endswith("json")
    hint = 'send JSON with the header "Content-Type: application/json"' if is_mistyped else None
    info = to_info(InvalidRequestError(said, hint=hint))
    return JSONResponse(build_error(info, 400, param=place or None), 400)


def _shape_of_body(request: Request) -> type[BaseModel] | None:
    field = getattr(request.scope.get("route"), "body_field", None)
    shape = None if field is None else field.field_info.annotation
    return shape if isinstance(shape, type) and issubclass(shape, BaseModel) else None


def _tell_problem(problem: Any, shape: type[BaseModel] | None) -> str:
    where, *place = problem["loc"]
    if where == "body" and shape is not None and problem["type"] != "json_invalid":
        return fault_in_words(
            fault_of(problem | {"loc": tuple(place)}, shape, () if place else ("body",))
        )
    return f"{'.'.join(map(str, place)) or 'body'}: {problem['msg']}"


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    is_unknown = error.status_code == 404  # ours say what is unknown, and come another way
    hint = "GET /openapi.json lists the routes" if is_unknown else None
    info = ErrorInfo(code=code, message=str(error.detail), hint=hint)
    return JSONResponse(build_error(info, error.status_code), error.status_code, error.headers)


async def _answer_broken(request: Request, error: Exception) -> JSONResponse:
    path = request.scope["path"].encode("unicode_escape").decode("ascii")  # no line of its own
    _LOGGER.error("%s %s broke", request.method, path, exc_info=error)
    info = ErrorInfo(code="internal", message="the server broke at this; its log says more")
    return JSONResponse(build_error(info, 500), 500)
