"""The backend for OpenAI-compatible servers keeps the contract of a backend, with both servers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.backend.protocol import BackendSettings
from media_agent.testing.conformance import (
    Faults,
    MakeBackend,
    ServiceConformance,
)
from media_agent_hosted.providers.openai_compatible.backend import OpenAICompatibleBackend
from media_agent_hosted.providers.openai_compatible.simulator import WAN, Flavour, OpenAISimulator


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0.001)


class OpenAIContract(ServiceConformance):
    flavour: Flavour

    @pytest.fixture
    def secret(self) -> str:
        return "sk-conformance-0123456789"

    @pytest.fixture
    def simulator(self, faults: Faults, secret: str) -> Iterator[OpenAISimulator]:
        with OpenAISimulator(faults, flavour=self.flavour, key=secret) as simulator:
            yield simulator

    @pytest.fixture
    def make_backend(self, tmp_path: Path, simulator: OpenAISimulator, secret: str) -> MakeBackend:
        settings = BackendSettings(
            data_dir=tmp_path,
            base_url=simulator.url,
            key=SecretStr(secret),
            model=WAN,
            options={
                "server": self.flavour,
                "default_size": "64x48",
                "default_fps": 8,
            },
        )
        return lambda: OpenAICompatibleBackend(settings, sleep=no_sleep)


class TestSGLang(OpenAIContract):
    flavour = "sglang"


class TestVllmOmni(OpenAIContract):
    flavour = "vllm-omni"


del OpenAIContract
