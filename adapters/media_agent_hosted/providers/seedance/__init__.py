"""ByteDance Seedance: at BytePlus ModelArk, or on the mainland at Volcengine Ark."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.seedance.backend import SeedanceBackend

    return SeedanceBackend(settings)


SPEC = BackendSpec(
    name="seedance",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:SeedanceSimulator",
    key_variables=("ARK_API_KEY",),
    key_origin="https://ark.ap-southeast.bytepluses.com",
)
