"""Google: Gemini Omni video, through the Gemini API's Interactions."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.google.backend import GoogleBackend

    return GoogleBackend(settings)


SPEC = BackendSpec(
    name="google",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:GoogleSimulator",
    key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    key_origin="https://generativelanguage.googleapis.com",
)
