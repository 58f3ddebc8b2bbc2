"""The application: one VideoClient, all routes over it."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.distribution import own_version
from media_agent.server.context import ServerContext
from media_agent.server.errors import add_error_handlers
from media_agent.server.host import ClientHost


def build_app(settings: Settings, *, client: VideoClient | None = None) -> FastAPI:
    """Return the application; its client is opened when it starts, and closed when it ends."""

    @contextlib.asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        host = ClientHost(VideoClient(settings=settings) if client is None else client)
        context = app.state.context = ServerContext(host, settings)
        try:
            await host.start()
            yield
        finally:
            context.stopping.set()
            await host.aclose()

    app = FastAPI(title="media-agent", version=own_version() or "0", lifespan=live, docs_url=None)
    add_error_handlers(app)
    return app
