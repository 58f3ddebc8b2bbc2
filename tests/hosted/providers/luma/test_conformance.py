"""Luma keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.luma import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestLumaRay(ProviderConformance):
    """A model of text, frames and videos, whose work can be neither stopped nor found again."""

    spec = SPEC
    model = "ray-3.2"
