"""The command that serves agents over the Model Context Protocol."""

from typing import Annotated

from cyclopts import Parameter

from media_agent.cli.arguments import Flag
from media_agent.cli.screen import find_binary_stdout, write_stderr


def mcp(*, http: Flag = False, port: Annotated[int, Parameter(metavar="NUMBER")] = 8765) -> int:
    """Serve the agent tools over the Model Context Protocol, on stdin and stdout.

    Args:
        http: Serve http://127.0.0.1:PORT/mcp (streamable HTTP) instead, for this machine only.
        port: Port to listen on, with --http.
    """
    from media_agent.backend.local import describe_missing
    from media_agent.config.settings import load_settings
    from media_agent.errors import ConfigurationError

    missing = describe_missing("mcp", "mcp")
    if missing is not None:
        raise ConfigurationError(f"the MCP server lacks {missing}")
    settings = load_settings()
    from media_agent.mcp.run import PATH, serve_http, serve_stdio

    if not http:
        return serve_stdio(settings, find_binary_stdout())
    write_stderr(f"serving http://127.0.0.1:{port}{PATH} (Ctrl-C ends it; jobs can be resumed)")
    serve_http(settings, port=port)
    return 0
