"""Gradio: any app with an API, on your own machine or as a Space of Hugging Face."""

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.gradio.backend import GradioBackend

    return GradioBackend(settings)


SPEC = BackendSpec(
    name="gradio",
    factory=_make,
    simulator=f"{__name__}.simulator:GradioSimulator",
    needs_section=True,
)
