"""The sandbox keeps the contract of a backend."""

from pathlib import Path

import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.builtin.sandbox import SandboxBackend
from media_agent.testing.conformance import BackendConformance, MakeBackend


class TestSandbox(BackendConformance):
    @pytest.fixture
    def make_backend(self, tmp_path: Path) -> MakeBackend:
        return lambda: SandboxBackend(BackendSettings(data_dir=tmp_path))
