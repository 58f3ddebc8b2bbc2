"""Kling keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.kling import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestKlingV26(ProviderConformance):
    """A model with audio, a negative prompt, and an image if it gets one."""

    spec = SPEC
    model = "kling-v2-6"


class TestKlingV3(ProviderConformance):
    """A model that takes several shots at once."""

    spec = SPEC
    model = "kling-v3"


class TestKlingV16(ProviderConformance):
    """A model without audio that takes references."""

    spec = SPEC
    model = "kling-v1-6"


class TestKlingOmni(ProviderConformance):
    """A model whose images share a list."""

    spec = SPEC
    model = "kling-v3-omni"
