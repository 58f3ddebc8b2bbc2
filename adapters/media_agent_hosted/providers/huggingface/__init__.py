"""Hugging Face: models of the Hub at partners that its router reaches, on one bill."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.huggingface.backend import HuggingFaceBackend

    return HuggingFaceBackend(settings)


SPEC = BackendSpec(
    name="huggingface",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:HuggingFaceSimulator",
    key_variables=("HF_TOKEN",),
    key_origin="https://router.huggingface.co",
)
