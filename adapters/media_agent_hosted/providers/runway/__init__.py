"""Runway: its own models, and those of others that it resells."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.runway.backend import RunwayBackend

    return RunwayBackend(settings)


SPEC = BackendSpec(
    name="runway",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:RunwaySimulator",
    key_variables=("RUNWAYML_API_SECRET",),
    key_origin="https://api.dev.runwayml.com",
)
