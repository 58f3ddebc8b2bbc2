"""Luma: Ray 3.2 by the Agents API, at agents.lumalabs.ai."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.luma.backend import LumaBackend

    return LumaBackend(settings)


SPEC = BackendSpec(
    name="luma",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:LumaSimulator",
    key_variables=("LUMA_AGENTS_API_KEY",),
    key_origin="https://agents.lumalabs.ai",
)
