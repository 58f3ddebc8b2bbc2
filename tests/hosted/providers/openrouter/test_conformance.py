"""OpenRouter keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.openrouter import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestOpenRouterSeedance(ProviderConformance):
    """A model that is known before the list of OpenRouter was ever fetched."""

    spec = SPEC
    model = "bytedance/seedance-2.0"


class TestOpenRouterUnlisted(ProviderConformance):
    """A model of which nothing is known but its name."""

    spec = SPEC
    model = "acme/motion-1"
