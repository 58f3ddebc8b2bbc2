"""Google keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.google import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestGoogleOmni(ProviderConformance):
    """A model that takes text, images and videos, and keeps its videos behind the key."""

    spec = SPEC
    model = "gemini-omni-1.2-flash"
