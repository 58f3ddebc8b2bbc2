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
from starlette.exceptions import HTTPException

from media_agent.errors import (
    AuthenticationError,
    BackendRateLimitError,
    InvalidRequestError,
    MediaAgentError,
    RateLimitError,
    http_status,
    to_info,
)
from media_agent.server.jobs.verdict import choose_next_step, may_be_accepted
from media_agent.server.wording import info_to_http
from media_agent_schemas.errors import ErrorInfo

_LOGGER = logging.getLogger(__name__)
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
    info = info_to_http(info)
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    told = info.message if info.hint is None else f"{info.message}; {info.hint}"
    accepted = may_be_accepted(info.code)
    own: dict[str, Any] = info.model_dump(mode="json", exclude={"schema_version"})
    return {
        "error": {"message": told, "type": kind, "param": param, "code": info.code},
        "media_agent": own
        | {
            "accepted": accepted,
            "billed": False if accepted is False else None,
            "next": choose_next_step(info, accepted=accepted),
        },
    }


def answer_error(error: MediaAgentError) -> JSONResponse:
    """Return the reply that says what went wrong."""
    status = http_status(error)
    headers = {"x-should-retry": str(to_info(error).retryable).lower()}  # OpenAI's clients ask
    if isinstance(error, BackendRateLimitError | RateLimitError) and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(build_error(to_info(error), status), status, headers)


async def _answer_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MediaAgentError)
    return answer_error(error)


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    said = "; ".join(
        f"{'.'.join(str(part) for part in each['loc'][1:]) or 'body'}: {each['msg']}"
        for each in error.errors()[:10]
    )
    info = to_info(InvalidRequestError(said))
    return JSONResponse(build_error(info, 400, param=place or None), 400)


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    info = ErrorInfo(code=code, message=str(error.detail))
    return JSONResponse(build_error(info, error.status_code), error.status_code, error.headers)


async def _answer_broken(request: Request, error: Exception) -> JSONResponse:
    _LOGGER.error("%s %s broke", request.method, request.url.path, exc_info=error)
    info = ErrorInfo(code="internal", message="the server broke at this; its log says more")
    return JSONResponse(build_error(info, 500), 500)
