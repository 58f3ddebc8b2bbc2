"""xAI keeps the contract of a backend, against its simulator."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.testing.conformance import Faults, MakeBackend, ServiceConformance
from media_agent_hosted.providers.xai.backend import XaiBackend
from media_agent_hosted.providers.xai.simulator import XaiSimulator

KEY = "xai-conformance-0123456789"


async def no_sleep(seconds: float) -> None:
    """Let others work, and the clock go on, without waiting."""
    await asyncio.sleep(0.001)


class XaiConformance(ServiceConformance):
    @pytest.fixture
    def secret(self) -> str:
        return KEY

    @pytest.fixture
    def simulator(self, faults: Faults) -> Iterator[XaiSimulator]:
        with XaiSimulator(faults) as simulator:
            yield simulator

    @pytest.fixture
    def make_backend(self, tmp_path: Path, simulator: XaiSimulator) -> MakeBackend:
        settings = BackendSettings(data_dir=tmp_path, base_url=simulator.url, key=SecretStr(KEY))
        return lambda: XaiBackend(settings, sleep=no_sleep)


class TestXaiImagine(XaiConformance):
    """A model whose length is said in seconds, that takes no seed and an image if it gets one."""

    model = "grok-imagine-video-1.5"


del XaiConformance
