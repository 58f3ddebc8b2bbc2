"""A server for the time in which somebody watches: on a free port, for this machine only."""

import socket

import uvicorn

from media_agent.config.settings import Settings
from media_agent.server.app import build_app

_PATIENCE = 1  # seconds; a page that is left open must not hold the command back


def listen_here() -> socket.socket:
    """Return a socket on a free port; whoever connects waits until `serve_on` answers."""
    return socket.create_server(("127.0.0.1", 0))


def serve_on(listener: socket.socket, settings: Settings) -> None:
    """Answer on this socket until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        build_app(settings),
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])
