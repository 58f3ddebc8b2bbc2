"""Declares the hosted backends; each is imported when it is first used."""

from collections.abc import Iterable
from pathlib import Path

from media_agent.backend.hookspecs import hookimpl
from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def make_fal(settings: BackendSettings) -> VideoBackend:
    """Build the fal backend."""
    from media_agent_hosted.providers.fal.backend import FalBackend

    return FalBackend(settings)


def make_openai_compatible(settings: BackendSettings) -> VideoBackend:
    """Build the backend for servers that speak OpenAI's video API."""
    from media_agent_hosted.providers.openai_compatible.backend import OpenAICompatibleBackend

    return OpenAICompatibleBackend(settings)


def make_http(settings: BackendSettings) -> VideoBackend:
    """Build a backend for a service that the settings describe."""
    from media_agent_hosted.declared.backend import HttpBackend

    return HttpBackend(settings)


@hookimpl
def media_agent_backends() -> Iterable[BackendSpec]:
    """Offer the hosted backends."""
    return [
        BackendSpec(
            name="fal",
            factory=make_fal,
            catalogue=Path(__file__).parent / "providers" / "fal" / "catalogue.yaml",
            simulator="media_agent_hosted.providers.fal.simulator:FalSimulator",
            key_variable="FAL_KEY",
        ),
        BackendSpec(
            name="openai-compatible",
            factory=make_openai_compatible,
            simulator="media_agent_hosted.providers.openai_compatible.simulator:OpenAISimulator",
        ),
        BackendSpec(name="http", factory=make_http, needs_section=True),
    ]
