"""A server in a thread of this process, over a real socket."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from media_agent.config.settings import Settings
from media_agent.server.app import build_app


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve in a thread, as `media-agent serve` does, and return the address."""
    config = uvicorn.Config(build_app(settings), log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
