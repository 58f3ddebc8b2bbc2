"""Replicate keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.replicate import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestReplicateWan(ProviderConformance):
    """A model whose length is said in frames."""

    spec = SPEC
    model = "wan-video/wan-2.2-t2v-fast"


class TestReplicateKling(ProviderConformance):
    """A model whose length is said in seconds, that takes no seed and an image if it gets one."""

    spec = SPEC
    model = "kwaivgi/kling-v2.5-turbo-pro"
