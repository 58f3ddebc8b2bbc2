"""Seedance keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.seedance import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestSeedance20(ProviderConformance):
    """A model with audio that can be switched off, at BytePlus."""

    spec = SPEC
    model = "dreamina-seedance-2-0-260128"


class TestSeedance10OfAnImage(ProviderConformance):
    """An older model without audio, which needs an image and knows a camera that stands still."""

    spec = SPEC
    model = "seedance-1-0-lite-i2v-250428"
