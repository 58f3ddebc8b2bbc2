"""A small model in the released layout keeps the contract of a backend."""

from pathlib import Path

import pytest

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.testing.conformance import BackendConformance, MakeBackend
from media_agent_magi.backend import WanCausalBackend
from media_agent_schemas import VideoRequest


class TestWanCausalReleased(BackendConformance):
    @pytest.fixture
    def make_backend(self, tmp_path: Path, releases: Path) -> MakeBackend:
        settings = BackendSettings(
            data_dir=tmp_path, models={"self-forcing": releases / "self-forcing"}
        )
        return lambda: WanCausalBackend(settings)

    def asked(self, backend: VideoBackend) -> VideoRequest:
        changes = {
            "model": "wan-causal/self-forcing",
            "options": {"wan-causal": {"state_every": 1}},  # so that each chunk has its token
        }
        return VideoRequest.model_validate(dict(super().asked(backend)) | changes)
