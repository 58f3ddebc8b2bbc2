"""Vertex keeps the contract of a backend, against its simulator."""

from typing import ClassVar

from pydantic import JsonValue

from media_agent_hosted.providers.vertex import SPEC
from tests.hosted.provider_kit import ProviderConformance


class TestVertexVeo(ProviderConformance):
    """A model whose videos come within the answer to a poll."""

    spec = SPEC
    model = "veo-3.1-generate-001"
    options: ClassVar[dict[str, JsonValue]] = {"project": "p"}
