"""Runs the application with uvicorn until a signal ends it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI

from media_agent.config.settings import Settings
from media_agent.errors import MediaAgentError, in_full
from media_agent.server.access.bind import check_has_key, is_open_to_others
from media_agent.server.app import build_app
from media_agent.server.connection import BoundedProtocol
from media_agent.server.context import ServerContext
from media_agent.server.operation.reload import reload
from media_agent.storage.listening import listen

_PATIENCE = 10  # seconds that open connections have when the server ends
_ENDING = (signal.SIGINT, signal.SIGTERM)
_LOGGER = logging.getLogger(__name__)

Say = Callable[[str], None]


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    say: Say,
    on_ready: Say | None = None,
    logs: bool = False,
) -> None:
    """Listen until SIGINT or SIGTERM; jobs under way can be resumed. A second one ends it at once.

    SIGHUP reads the settings again. `on_ready` is called with the address once it answers.

    Raises:
        ConfigurationError: the address cannot be used, or others could reach it and there is no API
            key.
        MediaAgentError: the ledger cannot be used.
    """
    needs_keys = is_open_to_others(settings.server, host)
    if needs_keys:
        check_has_key(settings)
    with listen(host, port) as listening:
        app = build_app(settings, needs_keys=needs_keys)
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            log_config=None,
            access_log=False,  # ours says no query, where a key may stand by mistake
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
        )
        logging.basicConfig(
            level=logging.INFO if logs else logging.WARNING,
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("uvicorn.error").addFilter(lambda _: _failure_of(app) is None)
        try:
            server = _Server(config, app, say, _url_of(listening, host), on_ready)
            server.run(sockets=[listening])
        except SystemExit:
            raise (_failure_of(app) or SystemExit(1)) from None


class _Server(uvicorn.Server):
    """A server that says when it is there, and what signals mean to it."""

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, say: Say, url: str, on_ready: Say | None
    ) -> None:
        super().__init__(config)
        self._app = app
        self._say = say
        self._url = url
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._say(f"serving {self._url} (the page) and {self._url}/v1 (Ctrl-C ends it)")
            if self._on_ready is not None:
                self._on_ready(self._url)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear signals as long as the server runs."""
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()

        def end(number: int, frame: FrameType | None) -> None:
            if self.should_exit:
                os._exit(128 + number)  # nothing is half-done under a final name
            self.should_exit = True
            self._say("ending; jobs under way can be resumed (again to end at once)")
            loop.call_soon_threadsafe(self._stop_streams)

        def read_settings(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(lambda: tasks.add(loop.create_task(self._reload())))

        handlers = dict.fromkeys(_ENDING, end)
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = read_settings
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop_streams(self) -> None:
        context: ServerContext | None = getattr(self._app.state, "context", None)
        if context is not None:
            context.stop()

    async def _reload(self) -> None:
        try:
            found = await reload(self._app.state.context)
        except MediaAgentError as error:
            self._say(f"the settings stay as they were: {in_full(error)}")
            return
        self._say(f"settings read again; changed: {', '.join(found.changed) or 'nothing'}")
        if found.after_restart:
            self._say(f"after a restart: {', '.join(found.after_restart)}")


def _failure_of(app: FastAPI) -> MediaAgentError | None:
    """Return why the application could not start."""
    failure: MediaAgentError | None = getattr(app.state, "failure", None)
    return failure


def _url_of(listening: socket.socket, host: str) -> str:
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
