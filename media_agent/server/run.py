"""Runs the application with uvicorn until a signal ends it."""

import uvicorn

from media_agent.config.settings import Settings
from media_agent.server.access.bind import check_has_key, is_open_to_others
from media_agent.server.app import build_app

_PATIENCE = 10  # seconds that open connections have when the server ends


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Listen until SIGINT or SIGTERM; jobs under way can be resumed.

    Raises:
        ConfigurationError: others could reach it, and there is no API key.
    """
    needs_keys = is_open_to_others(settings.server, host)
    if needs_keys:
        check_has_key(settings)
    config = uvicorn.Config(
        build_app(settings, needs_keys=needs_keys),
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    uvicorn.Server(config).run()
