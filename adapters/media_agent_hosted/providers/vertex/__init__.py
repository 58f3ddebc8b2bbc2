"""Google Cloud: Veo, on Vertex AI."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.vertex.backend import VertexBackend

    return VertexBackend(settings)


SPEC = BackendSpec(
    name="vertex",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:VertexSimulator",
    key_variables=("GOOGLE_OAUTH_ACCESS_TOKEN",),
    key_origin="https://aiplatform.googleapis.com",
)
