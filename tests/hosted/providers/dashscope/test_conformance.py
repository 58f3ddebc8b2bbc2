"""DashScope keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.dashscope import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestDashscopeWan27(ProviderConformance):
    """A model with resolutions and ratios, which always makes audio."""

    spec = SPEC
    model = "wan2.7-t2v"


class TestDashscopeWan26Image(ProviderConformance):
    """An older model, which needs an image and whose audio can be switched off."""

    spec = SPEC
    model = "wan2.6-i2v"
