"""magi/tiny keeps the contract of a backend; its weights here have the shape, but no training."""

from pathlib import Path

import pytest

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.testing.conformance import BackendConformance, MakeBackend
from media_agent_magi.backend import MagiBackend
from media_agent_magi.tiny.family import TinyFamily
from media_agent_schemas import VideoRequest

FAST = {"magi": {"num_inference_steps": 8}}


class TestMagiTiny(BackendConformance):
    @pytest.fixture
    def make_backend(self, tmp_path: Path, raw_weights: Path) -> MakeBackend:
        return lambda: MagiBackend(BackendSettings(data_dir=tmp_path), [TinyFamily(raw_weights)])

    def asked(self, backend: VideoBackend) -> VideoRequest:
        return super().asked(backend).model_copy(update={"options": FAST})
