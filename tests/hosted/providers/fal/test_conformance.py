"""fal keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.fal import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestFalWan(ProviderConformance):
    """A model whose length is said in frames, at a rate that can be chosen."""

    spec = SPEC
    model = "fal-ai/wan/v2.2-a14b/text-to-video"


class TestFalMagi(ProviderConformance):
    """A model whose length is said in frames, at one rate."""

    spec = SPEC
    model = "fal-ai/magi"


class TestFalKling(ProviderConformance):
    """A model whose lengths are texts, and whose submission takes no number of frames."""

    spec = SPEC
    model = "fal-ai/kling-video/v3/pro/text-to-video"


class TestFalVeo(ProviderConformance):
    """A model whose lengths are texts with a unit, and that makes audio if it is let."""

    spec = SPEC
    model = "fal-ai/veo3.1/fast"
