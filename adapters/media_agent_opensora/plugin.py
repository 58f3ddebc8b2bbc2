"""Declares Open-Sora, which runs in its own checkout; nothing of it is ever imported."""

from collections.abc import Iterable
from pathlib import Path

from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def make(settings: BackendSettings) -> VideoBackend:
    """Build the backend."""
    from media_agent_opensora.backend import OpenSoraBackend

    return OpenSoraBackend(settings)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the backend "opensora"."""
    catalogue = Path(__file__).with_name("catalogue.yaml")
    return [
        BackendSpec(name="opensora", factory=make, catalogue=catalogue, awaits_option="checkout")
    ]
