"""MiniMax: H3 from text, images and references, and the older Hailuo models, at api.minimax.io."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.minimax.backend import MiniMaxBackend

    return MiniMaxBackend(settings)


SPEC = BackendSpec(
    name="minimax",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:MiniMaxSimulator",
    key_variables=("MINIMAX_API_KEY",),
    key_origin="https://api.minimax.io",
)
