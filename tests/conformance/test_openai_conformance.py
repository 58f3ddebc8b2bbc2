"""The backend for servers with OpenAI's video API keeps the contract, with both programs."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import anyio.lowlevel
import pytest
from pydantic import SecretStr

from media_agent.backend import BackendSettings
from media_agent.testing.conformance import Faults, MakeBackend, ServiceConformance
from media_agent_hosted.openai_compatible import OpenAICompatibleBackend
from media_agent_hosted.openai_simulator import WAN, Flavour, OpenAISimulator

KEY = "sk-conformance-0123456789"


async def no_sleep(seconds: float) -> None:
    """Let others work, without waiting."""
    await anyio.lowlevel.checkpoint()


class TestSGLang(ServiceConformance):
    flavour: ClassVar[Flavour] = "sglang"

    @pytest.fixture
    def secret(self) -> str:
        return KEY

    @pytest.fixture
    def simulator(self, faults: Faults) -> Iterator[OpenAISimulator]:
        with OpenAISimulator(faults, flavour=self.flavour, key=KEY) as simulator:
            yield simulator

    @pytest.fixture
    def make_backend(self, tmp_path: Path, simulator: OpenAISimulator) -> MakeBackend:
        settings = BackendSettings(
            data_dir=tmp_path,
            base_url=f"{simulator.url}/v1",
            key=SecretStr(KEY),
            options={"server": self.flavour, "model": WAN},
        )
        return lambda: OpenAICompatibleBackend(settings, sleep=no_sleep)


class TestVllmOmni(TestSGLang):
    flavour = "vllm-omni"
