"""Whether the server is alive, and whether it can take work."""

import asyncio
from typing import Literal

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import Field

from media_agent.distribution import own_version
from media_agent.errors import BackendUnavailableError, LedgerBusyError, StorageError
from media_agent.ledger.ledger import Ledger
from media_agent.server.context import Server
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.base import Schema

router = new_router("operation")
_PATIENCE = 2.0  # seconds for the ledger


class Health(Schema):
    """The server answers."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="Of media-agent.")


class Readiness(Schema):
    """The server takes work."""

    status: Literal["ready"] = "ready"


@router.get("/health", response_model=Health)
async def get_health() -> Response:
    """Say that the server is alive; needs no API key."""
    return JSONResponse(Health(version=own_version() or "0").model_dump())


@router.get("/ready", response_model=Readiness)
async def get_readiness(server: Server) -> Response:
    """Say whether new jobs can be kept: 503 while the server stops; needs no API key."""
    if server.stopping.is_set():
        raise BackendUnavailableError("the server is stopping", hint="send calls to another one")
    try:
        async with asyncio.timeout(_PATIENCE):
            await server.host.write(_try_to_write)
    except TimeoutError:
        raise LedgerBusyError("the ledger is busy", hint="ask again soon") from None
    except StorageError:
        raise BackendUnavailableError(
            "the ledger cannot be written", hint="the log of the server says why"
        ) from None
    return JSONResponse(Readiness().model_dump())


def _try_to_write(ledger: Ledger) -> None:
    with ledger.database.writing(durably=False):
        pass
