"""The command that serves agents over the Model Context Protocol."""

import sys
from typing import Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import find_binary_stdout, write_stderr

_FOR_PROGRAMS = (
    "waiting for an MCP client on stdin; an agent's program starts this command by itself, and "
    "--http serves several (Ctrl-C ends it)"
)


def mcp(*, http: Flag = False, port: Annotated[int, Parameter(metavar="NUMBER")] = 8765) -> int:
    """Serve the agent tools over the Model Context Protocol, on stdin and stdout.

    Args:
        http: Serve http://127.0.0.1:PORT/mcp (streamable HTTP) instead, for this machine only.
        port: Port to listen on, with --http; 0 picks a free one.
    """
    from media_agent.backend.local import describe_missing
    from media_agent.config.settings import load_settings
    from media_agent.errors import ConfigurationError

    missing = describe_missing("mcp", "mcp")
    if missing is not None:
        raise ConfigurationError(f"the MCP server lacks {missing}")
    settings = load_settings()
    from media_agent.mcp.run import LOOPBACK, PATH, serve_http, serve_stdio
    from media_agent.storage.listening import listen

    if not http:
        if sys.stdin.isatty():
            write_stderr(_FOR_PROGRAMS)
        return serve_stdio(settings, find_binary_stdout())
    with listen(LOOPBACK, port) as listening:
        url = f"http://{LOOPBACK}:{listening.getsockname()[1]}{PATH}"
        write_stderr(f"serving {url} (Ctrl-C ends it; jobs can be resumed)")
        serve_http(settings, listening)
    return 0
