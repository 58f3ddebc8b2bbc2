"""The route that providers call when they have news: it needs no key, and tells nothing."""

from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request, Response

from media_agent.server.operation.openapi import new_router
from media_agent.server.webhooks.callbacks import LARGEST_BODY, Callbacks, Verdict

PATH = "/v1/webhooks/{backend}"

_REFUSALS = {
    Verdict.FORGED: HTTPException(401, "the signature is wrong, or of another time"),
    Verdict.UNKNOWN_BACKEND: HTTPException(404, "there is no such backend"),
}
_TOO_LARGE = HTTPException(413, f"a callback may have {LARGEST_BODY} bytes")

router = new_router("webhooks")
"""The route over `Callbacks`, which stand in the state of the application."""


def get_callbacks(request: Request) -> Callbacks:
    """Return what takes the callbacks of this server."""
    return cast(Callbacks, request.app.state.callbacks)


@router.post(
    PATH,
    status_code=204,
    responses={
        401: {"description": "The signature is wrong, or too old."},
        404: {"description": "There is no such backend."},
        413: {"description": "The body is too large."},
    },
)
async def take_callback(
    backend: str, request: Request, callbacks: Annotated[Callbacks, Depends(get_callbacks)]
) -> Response:
    """Take what a provider says about work of a backend; it is then asked how far that is."""
    body = await _read(request)
    verdict = await callbacks.take(backend, request.headers, body)
    if verdict in _REFUSALS:
        raise _REFUSALS[verdict]
    return Response(status_code=204)


async def _read(request: Request) -> bytes:
    """Return the body, unless it is too large."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            raise _TOO_LARGE
    return bytes(body)
