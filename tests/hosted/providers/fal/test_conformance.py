"""fal keeps the contract of a backend, against its simulator."""

from typing import ClassVar

from pydantic import JsonValue

from media_agent_hosted.providers.fal import SPEC
from tests.hosted.provider_kit import ProviderConformance


class FalConformance(ProviderConformance):
    """fal, with a list that shows work as soon as it is accepted."""

    spec = SPEC
    simulated: ClassVar[dict[str, JsonValue]] = {"lists_unended": True}


class TestFalWan(FalConformance):
    """A model whose length is said in frames, at a rate that can be chosen; with a seed."""

    model = "fal-ai/wan/v2.2-a14b/text-to-video"


class TestFalMagi(FalConformance):
    """A model whose length is said in frames, at one rate."""

    model = "fal-ai/magi"


class TestFalKling(FalConformance):
    """A model whose lengths are texts, and which takes neither a number of frames nor a seed."""

    model = "fal-ai/kling-video/v3/pro/text-to-video"


class TestFalVeo(FalConformance):
    """A model whose lengths are texts with a unit, and that makes audio if it is let."""

    model = "fal-ai/veo3.1/fast"
