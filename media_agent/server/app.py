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
from media_agent.server.live.events import EventHub
from media_agent.server.native import actions, events, jobs, live, plans
from media_agent.server.openai import content, continuing, files, models, videos

_ROUTERS = (
    jobs.router,
    actions.router,
    events.router,
    live.router,
    plans.router,
    continuing.router,
    videos.router,
    content.router,
    files.router,
    models.router,
)


def build_app(settings: Settings, *, client: VideoClient | None = None) -> FastAPI:
    """Return the application; its client is opened when it starts, and closed when it ends."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        host = ClientHost(VideoClient(settings=settings) if client is None else client)
        context = app.state.context = ServerContext(host, settings, EventHub(host))
        try:
            await host.start()
            yield
        finally:
            context.stopping.set()
            await context.events.aclose()
            await host.aclose()

    app = FastAPI(
        title="media-agent", version=own_version() or "0", lifespan=lifespan, docs_url=None
    )
    add_error_handlers(app)
    for router in _ROUTERS:
        app.include_router(router)
    return app
