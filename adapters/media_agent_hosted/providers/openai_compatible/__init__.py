"""Servers of one's own that speak OpenAI's video API."""

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.openai_compatible.backend import OpenAICompatibleBackend

    return OpenAICompatibleBackend(settings)


SPEC = BackendSpec(
    name="openai-compatible",
    factory=_make,
    simulator=f"{__name__}.simulator:OpenAISimulator",
    key_variables=("OPENAI_API_KEY",),
    key_origin="https://api.openai.com",
)
