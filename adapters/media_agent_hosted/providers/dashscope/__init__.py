"""Alibaba Model Studio (DashScope): Wan and HappyHorse, in Singapore or Beijing."""

from pathlib import Path

from media_agent.backend.protocol import BackendSettings, BackendSpec, VideoBackend


def _make(settings: BackendSettings) -> VideoBackend:
    from media_agent_hosted.providers.dashscope.backend import DashscopeBackend

    return DashscopeBackend(settings)


SPEC = BackendSpec(
    name="dashscope",
    factory=_make,
    catalogue=Path(__file__).with_name("catalogue.yaml"),
    simulator=f"{__name__}.simulator:DashscopeSimulator",
    key_variables=("DASHSCOPE_API_KEY",),
    key_origin="https://dashscope-intl.aliyuncs.com",
)
