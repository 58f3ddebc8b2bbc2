"""Declares local diffusers models; torch and diffusers are imported for the first video."""

from collections.abc import Iterable

from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def make(settings: BackendSettings) -> VideoBackend:
    """Build the backend."""
    from media_agent_diffusers.backend import DiffusersBackend

    return DiffusersBackend(settings)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the backend "diffusers"."""
    return [BackendSpec(name="diffusers", factory=make, takes_folders=True)]
