"""xAI keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.xai import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestXaiImagine(ProviderConformance):
    """A model whose length is said in seconds, that takes no seed and an image if it gets one."""

    spec = SPEC
    model = "grok-imagine-video-1.5"


class TestXaiExtension(ProviderConformance):
    """A model that continues a video: the kit gives it what it needs."""

    spec = SPEC
    model = "grok-imagine-video"
