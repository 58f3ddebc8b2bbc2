"""Replicate: many models, each behind a queue of predictions."""

from pathlib import Path

from media_agent.backend.protocol import (
    BackendSettings,
    BackendSpec,
    CallbackSigning,
    VideoBackend,
)


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.replicate.backend import ReplicateBackend

    return ReplicateBackend(settings)


SPEC = BackendSpec(
    name="replicate",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:ReplicateSimulator",
    key_variables=("REPLICATE_API_TOKEN",),
    key_origin="https://api.replicate.com",
    callbacks=CallbackSigning("standard-webhooks"),
)
