"""New settings for a server that runs: new jobs follow them, those under way end as they began."""

import asyncio
from functools import partial
from typing import Annotated

from fastapi import Depends, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.errors import ConfigurationError
from media_agent.server.access.caller import Caller
from media_agent.server.context import Server, ServerContext, require
from media_agent.server.operation.openapi import new_router
from media_agent_schemas.base import Schema

router = new_router("operation")
_FIXED = ("host", "port", "public_url", "allowed_origins", "webhooks", "callbacks")
"""Settings of [server] that a running server keeps."""
Administrator = Annotated[Caller, Depends(require("admin"))]


class Reloaded(Schema):
    """What new settings changed."""

    changed: tuple[str, ...] = Field(description="The settings, or sections, that are others now.")
    after_restart: tuple[str, ...] = Field(
        description="Those of them that count only when the server starts again."
    )


@router.post("/v1/admin/reload", response_model=Reloaded)
async def reload_settings(server: Server, caller: Administrator) -> Response:
    """Read the settings again, as the signal SIGHUP does; faulty ones change nothing."""
    return JSONResponse((await reload(server)).model_dump(mode="json"))


async def reload(server: ServerContext) -> Reloaded:
    """Read the settings again and use them for new jobs.

    Raises:
        ConfigurationError: they are faulty, or name another data folder; nothing has changed.
    """
    async with server.reloading:
        before = server.settings
        new = await asyncio.to_thread(server.read_settings)
        if (new.data_dir, new.ledger) != (before.data_dir, before.ledger):
            raise ConfigurationError(
                "the settings name another data folder or ledger",
                hint="restart the server to use it",
            )
        client = await asyncio.to_thread(partial(VideoClient, settings=new))
        await server.host.replace(client)  # keys may be others in any case
        server.settings = new
        server.access.settings = new.server
        return Reloaded(changed=_compare(before, new), after_restart=_compare_fixed(before, new))


def _compare(before: Settings, new: Settings) -> tuple[str, ...]:
    names = type(new).model_fields
    return tuple(name for name in names if getattr(before, name) != getattr(new, name))


def _compare_fixed(before: Settings, new: Settings) -> tuple[str, ...]:
    old, section = before.server, new.server
    changed = (name for name in _FIXED if getattr(old, name) != getattr(section, name))
    return tuple(f"server.{name}" for name in changed)
