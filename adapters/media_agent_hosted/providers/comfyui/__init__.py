"""ComfyUI: workflows of your own, on a server that runs already."""

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.comfyui.backend import ComfyBackend

    return ComfyBackend(settings)


SPEC = BackendSpec(
    name="comfyui",
    factory=_make,
    simulator=f"{__name__}.simulator:ComfySimulator",
    needs_section=True,
)
