"""Runs the server for agents of this machine: over stdin and stdout, or over HTTP on loopback."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from io import TextIOWrapper
from typing import Any, BinaryIO

import anyio
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from starlette.applications import Starlette

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.mcp.access import OneBox
from media_agent.mcp.server import build_server
from media_agent.tools import ToolBox

LOOPBACK = "127.0.0.1"
PATH = "/mcp"
_ENDED = 128 + signal.SIGTERM
_PATIENCE = 5  # seconds that open connections have when the server ends


def serve_stdio(settings: Settings, stdout: BinaryIO) -> int:
    """Serve until stdin ends or a signal comes; jobs under way can be resumed."""
    return asyncio.run(_serve_stdio(settings, stdout))


def serve_http(settings: Settings, *, port: int) -> None:
    """Serve on loopback until a signal comes; jobs under way can be resumed."""
    config = uvicorn.Config(
        build_http_app(VideoClient(settings=settings)),
        host=LOOPBACK,
        port=port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    uvicorn.Server(config).run()


def build_http_app(client: VideoClient) -> Starlette:
    """Return the application for agents of this machine; its end closes the client."""
    app = _build_server(client).streamable_http_app(streamable_http_path=PATH, host=LOOPBACK)
    sessions = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def live(app: Starlette) -> AsyncIterator[Any]:
        async with client, sessions(app) as state:
            yield state

    app.router.lifespan_context = live
    return app


async def _serve_stdio(settings: Settings, stdout: BinaryIO) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    text = TextIOWrapper(stdout, encoding="utf-8")
    try:
        async with (
            stdio_server(stdout=anyio.wrap_file(text)) as (read, write),
            VideoClient(settings=settings) as client,
        ):
            server = _build_server(client)
            await server.run(read, write, server.create_initialization_options())
    except asyncio.CancelledError:
        os._exit(_ENDED)  # a thread still reads stdin, and cannot be told
    finally:
        text.detach()  # stdout is not ours to close
    return 0


def _build_server(client: VideoClient) -> Server[Any]:
    settings = client.settings
    box = ToolBox(client, ask_above_usd=settings.confirm_above_usd)
    return build_server(OneBox(box), routes=settings.routes)
