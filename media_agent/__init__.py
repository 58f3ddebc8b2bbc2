"""Say what video you want; the core that decides who makes it, makes it and records it."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from media_agent.client import VideoClient
    from media_agent.sync import BlockingVideoClient
    from media_agent_schemas.request import VideoRequest

__all__ = ["BlockingVideoClient", "VideoClient", "VideoRequest"]

_HOMES = {
    "BlockingVideoClient": "media_agent.sync",
    "VideoClient": "media_agent.client",
    "VideoRequest": "media_agent_schemas.request",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: `import media_agent` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
