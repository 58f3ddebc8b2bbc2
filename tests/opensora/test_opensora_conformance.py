"""Open-Sora keeps the contract of a backend."""

from pathlib import Path
from typing import Any

import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.testing.conformance import BackendConformance, MakeBackend
from media_agent_opensora.backend import OpenSoraBackend


class TestOpenSora(BackendConformance):
    @pytest.fixture
    def make_backend(self, tmp_path: Path, fake: Any) -> MakeBackend:
        settings = BackendSettings(data_dir=tmp_path, options=fake.options)
        return lambda: OpenSoraBackend(settings, grace_seconds=5, smi=("no-such-program",))
