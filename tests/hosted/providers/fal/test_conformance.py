"""fal keeps the contract of a backend, against its simulator."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.testing.conformance import Faults, MakeBackend, ServiceConformance
from media_agent_hosted.providers.fal.backend import FalBackend
from media_agent_hosted.providers.fal.simulator import FalSimulator

KEY = "fal-conformance-0123456789"


async def no_sleep(seconds: float) -> None:
    """Let others work, and the clock go on, without waiting."""
    await asyncio.sleep(0.001)


class FalConformance(ServiceConformance):
    @pytest.fixture
    def secret(self) -> str:
        return KEY

    @pytest.fixture
    def simulator(self, faults: Faults) -> Iterator[FalSimulator]:
        with FalSimulator(faults) as simulator:
            yield simulator

    @pytest.fixture
    def make_backend(self, tmp_path: Path, simulator: FalSimulator) -> MakeBackend:
        settings = BackendSettings(data_dir=tmp_path, base_url=simulator.url, key=SecretStr(KEY))
        return lambda: FalBackend(settings, sleep=no_sleep)


class TestFalWan(FalConformance):
    model = "fal-ai/wan/v2.2-a14b/text-to-video"


class TestFalMagi(FalConformance):
    model = "fal-ai/magi"


class TestFalKling(FalConformance):
    """A model whose lengths are texts, and whose submission takes no number of frames."""

    model = "fal-ai/kling-video/v3/pro/text-to-video"


del FalConformance
