"""Declares the backend; heavy imports wait until its first video is generated."""

from collections.abc import Iterable
from pathlib import Path

from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def make(settings: BackendSettings) -> VideoBackend:
    """Build the backend."""
    from media_agent_plasma.backend import PlasmaBackend

    return PlasmaBackend(settings)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the backend "plasma"."""
    catalogue = Path(__file__).with_name("catalogue.yaml")
    return [BackendSpec(name="plasma", factory=make, catalogue=catalogue)]
