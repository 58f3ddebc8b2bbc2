"""Runway keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.runway import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestRunwayGen45(ProviderConformance):
    """A model whose sizes are said in pixels, that takes a seed and an image if it gets one."""

    spec = SPEC
    model = "gen4.5"


class TestRunwayVeo(ProviderConformance):
    """A model with audio that can be switched off, a negative prompt and two images."""

    spec = SPEC
    model = "veo3.1"
