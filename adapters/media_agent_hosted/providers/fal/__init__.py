"""fal.ai: many video models behind one queue."""

from pathlib import Path

from media_agent.backend.protocol import (
    BackendSettings,
    BackendSpec,
    CallbackSigning,
    VideoBackend,
)


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.fal.backend import FalBackend

    return FalBackend(settings)


SPEC = BackendSpec(
    name="fal",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:FalSimulator",
    key_variables=("FAL_KEY",),
    key_origin="https://queue.fal.run",
    callbacks=CallbackSigning("fal", keys_url="https://rest.alpha.fal.ai/.well-known/jwks.json"),
)
