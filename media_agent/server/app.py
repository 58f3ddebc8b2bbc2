"""The application: one VideoClient, all routes over it."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from media_agent.client import VideoClient
from media_agent.config.settings import Settings
from media_agent.distribution import own_version
from media_agent.server.access import session_routes
from media_agent.server.access.bodies import BodyLimits
from media_agent.server.access.gate import EXPOSED, Access, Gate
from media_agent.server.context import ServerContext
from media_agent.server.errors import add_error_handlers
from media_agent.server.host import ClientHost


def build_app(
    settings: Settings, *, client: VideoClient | None = None, needs_keys: bool = False
) -> FastAPI:
    """Return the application; its client is opened when it starts, and closed when it ends.

    Until there is an API key it answers this machine only, or nobody if `needs_keys`.
    """
    access = Access(settings.server, needs_keys=needs_keys)

    @contextlib.asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        host = ClientHost(VideoClient(settings=settings) if client is None else client)
        context = app.state.context = ServerContext(host, settings, access)
        try:
            await host.start()
            yield
        finally:
            context.stopping.set()
            await host.aclose()

    app = FastAPI(title="media-agent", version=own_version() or "0", lifespan=live, docs_url=None)
    add_error_handlers(app)
    app.include_router(session_routes.router)
    app.add_middleware(BodyLimits, section=settings.server)
    app.add_middleware(Gate, access=access)
    if settings.server.allowed_origins:
        app.add_middleware(  # around the gate: a preflight has no key
            CORSMiddleware,
            allow_origins=settings.server.allowed_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    return app
