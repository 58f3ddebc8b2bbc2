"""xAI: Grok Imagine video, by the second."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.xai.backend import XaiBackend

    return XaiBackend(settings)


SPEC = BackendSpec(
    name="xai",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:XaiSimulator",
    key_variables=("XAI_API_KEY",),
    key_origin="https://api.x.ai",
)
