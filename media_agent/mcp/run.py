"""Runs the server for agents of this machine: over stdin and stdout, or over HTTP on loopback."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from io import TextIOWrapper
from typing import Any, BinaryIO

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from starlette.applications import Starlette

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.mcp.access import OneBox
from media_agent.mcp.server import REPORT_EVERY, build_server
from media_agent.tools import ToolBox

LOOPBACK = "127.0.0.1"
PATH = "/mcp"
_PATIENCE = 5  # seconds that open connections have when the server ends


def serve_stdio(settings: Settings, stdout: BinaryIO) -> int:
    """Serve until stdin ends or a signal comes; jobs under way can be resumed."""
    return asyncio.run(_serve_stdio(settings, stdout))


def serve_http(settings: Settings, listening: socket.socket) -> None:
    """Serve on a socket of loopback until a signal comes; jobs under way can be resumed."""
    import uvicorn

    config = uvicorn.Config(
        build_http_app(VideoClient(settings=settings)),
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    uvicorn.Server(config).run(sockets=[listening])


def build_http_app(client: VideoClient, *, report_every: float = REPORT_EVERY) -> Starlette:
    """Return the application for agents of this machine; its end closes the client."""
    server = _build_server(client, report_every)
    app = server.streamable_http_app(streamable_http_path=PATH, host=LOOPBACK)
    sessions = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def live(app: Starlette) -> AsyncIterator[Any]:
        async with client, sessions(app) as state:
            yield state

    app.router.lifespan_context = live
    return app


async def _serve_stdio(settings: Settings, stdout: BinaryIO) -> int:
    text = TextIOWrapper(stdout, encoding="utf-8")
    try:
        async with (
            stdio_server(stdout=anyio.wrap_file(text)) as (read, write),
            VideoClient(settings=settings) as client,
        ):
            server = _build_server(client)
            options = server.create_initialization_options()
            serving = asyncio.create_task(server.run(read, write, options))
            stopping = asyncio.create_task(_wait_for_signal())
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await client.aclose()
                os._exit(128 + stopping.result())  # the thread that reads stdin cannot be told
            stopping.cancel()
            await serving
    finally:
        text.detach()  # stdout is not ours to close
    return 0


async def _wait_for_signal() -> int:
    """Return the number of the signal that ends the server; a second one ends it at once."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[int] = loop.create_future()
    is_asked = False

    def receive(number: int) -> None:
        nonlocal is_asked
        if is_asked:  # the end waits for a reply of a service, or for a step of a model
            os._exit(128 + number)
        is_asked = True
        if not came.done():
            came.set_result(number)

    if sys.platform != "win32":  # there a signal ends the process
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, receive, number)
    return await came


def _build_server(client: VideoClient, report_every: float = REPORT_EVERY) -> Server[Any]:
    settings = client.settings
    box = ToolBox(client, ask_above_usd=settings.confirm_above_usd)
    return build_server(OneBox(box), routes=settings.routes, report_every=report_every)
