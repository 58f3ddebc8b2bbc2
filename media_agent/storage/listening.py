"""How a server of ours begins to listen."""

import os
import socket

from media_agent.errors import ConfigurationError

_BACKLOG = 2048
_LAST_PORT = 65535


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there.

    Raises:
        ConfigurationError: it is taken, or is no address of this machine.
    """
    if not 0 <= port <= _LAST_PORT:
        raise ConfigurationError(f"port {port} is not within 0 to {_LAST_PORT}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {_say_why(error)}",
            hint="name another port with --port; 0 takes any that is free",
        ) from None


def _say_why(error: OSError) -> str:
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)  # without what Python adds of its own
