"""Replicate keeps the contract of a backend, against its simulator."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.testing.conformance import Faults, MakeBackend, ServiceConformance
from media_agent_hosted.providers.replicate.backend import ReplicateBackend
from media_agent_hosted.providers.replicate.simulator import ReplicateSimulator

KEY = "replicate-conformance-0123456789"


async def no_sleep(seconds: float) -> None:
    """Let others work, and the clock go on, without waiting."""
    await asyncio.sleep(0.001)


class ReplicateConformance(ServiceConformance):
    @pytest.fixture
    def secret(self) -> str:
        return KEY

    @pytest.fixture
    def simulator(self, faults: Faults) -> Iterator[ReplicateSimulator]:
        with ReplicateSimulator(faults) as simulator:
            yield simulator

    @pytest.fixture
    def make_backend(self, tmp_path: Path, simulator: ReplicateSimulator) -> MakeBackend:
        settings = BackendSettings(data_dir=tmp_path, base_url=simulator.url, key=SecretStr(KEY))
        return lambda: ReplicateBackend(settings, sleep=no_sleep)


class TestReplicateWan(ReplicateConformance):
    """A model whose length is said in frames."""

    model = "wan-video/wan-2.2-t2v-fast"


class TestReplicateKling(ReplicateConformance):
    """A model whose length is said in seconds, that takes no seed and an image if it gets one."""

    model = "kwaivgi/kling-v2.5-turbo-pro"


del ReplicateConformance
