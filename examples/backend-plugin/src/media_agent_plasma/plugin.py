"""Declares the backend; what is heavy is imported when its first film is made."""

from collections.abc import Iterable

from media_agent.backend import BackendSettings, BackendSpec, VideoBackend
from media_agent.hookspecs import hookimpl


def make(settings: BackendSettings) -> VideoBackend:
    """Build the backend."""
    from media_agent_plasma.backend import PlasmaBackend

    return PlasmaBackend(settings)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the backend "plasma"."""
    return [BackendSpec(name="plasma", factory=make)]
