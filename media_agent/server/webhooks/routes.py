"""The route that providers call when they have news: it needs no key, and tells nothing."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request, Response

from media_agent.server.webhooks.callbacks import LARGEST_BODY, Callbacks, Verdict

PATH = "/v1/webhooks/{backend}"

_STATUS = {Verdict.TAKEN: 204, Verdict.FORGED: 401, Verdict.UNKNOWN_BACKEND: 404}
_TOO_LARGE = 413

router = APIRouter(tags=["webhooks"])
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
    if body is None:
        return Response(status_code=_TOO_LARGE)
    return Response(status_code=_STATUS[await callbacks.take(backend, request.headers, body)])


async def _read(request: Request) -> bytes | None:
    """Return the body; None: it is too large."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)
