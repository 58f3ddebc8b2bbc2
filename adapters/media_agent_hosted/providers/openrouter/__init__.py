"""OpenRouter: video models of many vendors behind one API and one bill."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.openrouter.backend import OpenRouterBackend

    return OpenRouterBackend(settings)


SPEC = BackendSpec(
    name="openrouter",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:OpenRouterSimulator",
    key_variables=("OPENROUTER_API_KEY",),
    key_origin="https://openrouter.ai",
)
