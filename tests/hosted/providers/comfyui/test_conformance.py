"""The ComfyUI backend keeps the contract of a backend, against the simulator of a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from media_agent.testing.conformance import Faults, MakeBackend, ServiceConformance
from media_agent_hosted.providers.comfyui.simulator import ComfySimulator
from tests.hosted.providers.comfyui.kit import make


class TestComfyUI(ServiceConformance):
    """The example of Wan, behind a proxy that wants a key."""

    @pytest.fixture
    def secret(self) -> str:
        return "comfy-conformance-0123456789"

    @pytest.fixture
    def simulator(self, faults: Faults) -> Iterator[ComfySimulator]:
        with ComfySimulator(faults) as simulator:
            yield simulator

    @pytest.fixture
    def make_backend(self, tmp_path: Path, simulator: ComfySimulator, secret: str) -> MakeBackend:
        return lambda: make(tmp_path, simulator.url, key=secret)
