"""Kling: text, images, references, shots and motions, at api-singapore.klingai.com."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.kling.backend import KlingBackend

    return KlingBackend(settings)


SPEC = BackendSpec(
    name="kling",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:KlingSimulator",
    key_variables=("KLINGAI_API_KEY",),
    key_origin="https://api-singapore.klingai.com",
)
