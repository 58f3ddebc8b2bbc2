"""MiniMax keeps the contract of a backend, against its simulator."""

from media_agent_hosted.providers.minimax import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestMiniMaxH3(ProviderConformance):
    """A model of version 2: it is found in a list, stopped while it waits, and makes audio."""

    spec = SPEC
    model = "MiniMax-H3"


class TestMiniMaxHailuo(ProviderConformance):
    """A model of version 1: two calls after the poll, errors with HTTP 200, no list."""

    spec = SPEC
    model = "MiniMax-Hailuo-2.3"
