"""The application: one VideoClient, all routes over it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from media_agent.client import VideoClient
from media_agent.config.settings import Settings, load_settings
from media_agent.distribution import own_version
from media_agent.errors import MediaAgentError
from media_agent.server.access import session_routes
from media_agent.server.access.bodies import BodyLimits
from media_agent.server.access.gate import EXPOSED, Access, Gate
from media_agent.server.context import ServerContext
from media_agent.server.errors import add_error_handlers
from media_agent.server.host import ClientHost
from media_agent.server.jobs.left_jobs import keep_adopting
from media_agent.server.live.events import EventHub
from media_agent.server.mcp_endpoint import McpEndpoint
from media_agent.server.native import actions, events, jobs, live, plans
from media_agent.server.openai import content, continuing, files, models, videos
from media_agent.server.openai.inputs.file_store import keep_removing_expired
from media_agent.server.openai.request_schema import BODIES
from media_agent.server.operation import health, metrics, reload
from media_agent.server.operation.counts import CallCounts, Counting
from media_agent.server.operation.openapi import describe_api
from media_agent.server.page import page
from media_agent.server.quick_routes import QUICK_ROUTES
from media_agent.server.webhooks import routes as webhooks
from media_agent.server.webhooks.service import check_webhooks, open_webhooks

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
    session_routes.router,
    health.router,
    metrics.router,
    reload.router,
    webhooks.router,
    page.router,
)


def build_app(
    settings: Settings,
    *,
    client: VideoClient | None = None,
    needs_keys: bool = False,
    read_settings: Callable[[], Settings] = load_settings,
) -> FastAPI:
    """Return the application; its client is opened when it starts, and closed when it ends.

    Until there is an API key it answers this machine only, or nobody if `needs_keys`.

    Raises:
        ConfigurationError: the settings of webhooks cannot be used.
    """
    check_webhooks(settings)
    tools = McpEndpoint(lambda: app.state.context.host)
    access = Access(settings.server, needs_keys=needs_keys)
    counts = CallCounts()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        host = ClientHost(VideoClient(settings=settings) if client is None else client)
        context = ServerContext(
            host, settings, access, EventHub(host), counts=counts, read_settings=read_settings
        )
        app.state.context = context
        try:
            await host.call(VideoClient.adopt_left)  # a ledger that cannot be used is said at once
            keeping = [
                asyncio.create_task(each)
                for each in (keep_adopting(host), keep_removing_expired(context))
            ]
            try:
                async with open_webhooks(host, settings) as app.state.callbacks:
                    yield
            finally:
                for task in keeping:
                    task.cancel()
        except MediaAgentError as error:
            app.state.failure = error  # uvicorn says only that there was one
            raise
        finally:
            context.stop()
            context.images.close()
            try:
                await tools.aclose()
            finally:
                await host.aclose()

    app = FastAPI(
        title="media-agent",
        version=own_version() or "0",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    describe_api(app, BODIES)
    add_error_handlers(app)
    app.router.routes.extend(QUICK_ROUTES)
    for router in _ROUTERS:  # included, FastAPI would build each route twice and match it twice
        app.router.routes.extend(router.routes)
    app.router.routes.append(tools.route)
    app.add_middleware(BodyLimits, find_section=lambda: access.settings)
    app.add_middleware(Gate, access=access)
    if settings.server.allowed_origins:
        app.add_middleware(  # around the gate: a preflight has no key
            CORSMiddleware,
            allow_origins=settings.server.allowed_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(Counting, counts=counts)
    return app
