"""The command that serves videos over HTTP."""

import gc
from typing import Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import write_stderr

_NEEDED = ("fastapi", "uvicorn", "httptools", "python_multipart", "limits", "httpx_secure")


def serve(
    *,
    host: str | None = None,
    port: Annotated[int | None, Parameter(metavar="NUMBER")] = None,
    log: Flag = False,
) -> int:
    """Serve videos over HTTP: /v1/videos as OpenAI's clients call it, and our own API beside it.

    Args:
        host: Address to listen on; default: as in [server], else this machine only.
        port: Port to listen on; default: as in [server], else 8000.
        log: Print a line for each request.
    """
    gc.disable()  # a quarter of a start would be looking for garbage among what is just loaded
    from media_agent.config.settings import load_settings

    check_installed()
    settings = load_settings()
    from media_agent.server.run import serve as run

    host = settings.server.host if host is None else host
    port = settings.server.port if port is None else port
    run(settings, host=host, port=port, say=write_stderr, on_ready=_begin_to_collect, logs=log)
    return 0


def _begin_to_collect(url: str) -> None:
    """Look for garbage from now on, and never among what the start has loaded."""
    gc.freeze()
    gc.enable()


def check_installed() -> None:
    """Check that the packages of a server are there.

    Raises:
        ConfigurationError: they are not.
    """
    from media_agent.backend.local import describe_missing
    from media_agent.errors import ConfigurationError

    missing = describe_missing("server", *_NEEDED)
    if missing is not None:
        raise ConfigurationError(f"the server lacks {missing}")
