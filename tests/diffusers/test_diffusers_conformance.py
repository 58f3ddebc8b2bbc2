"""Wan and Mochi with tiny weights keep the contract of a backend."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.testing.conformance import BackendConformance, MakeBackend
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_schemas import MediaInput, VideoRequest

FAST = {"diffusers": {"num_inference_steps": 2, "max_sequence_length": 16}}


class DiffusersConformance(BackendConformance):
    @pytest.fixture
    def make_backend(self, tmp_path: Path, folder_of: Callable[[str], Path]) -> MakeBackend:
        models = {str(self.model): folder_of(str(self.model))}
        return lambda: DiffusersBackend(
            BackendSettings(data_dir=tmp_path, models=models, threads=1)
        )

    def asked(self, backend: VideoBackend) -> VideoRequest:
        return super().asked(backend).model_copy(update={"options": FAST})


class TestWan(DiffusersConformance):
    model = "wan"


class TestMochi(DiffusersConformance):
    model = "mochi"


class TestWanFromAnImage(DiffusersConformance):
    model = "wan-i2v"

    def asked(self, backend: VideoBackend) -> VideoRequest:
        data = BytesIO()
        Image.new("RGB", (16, 16), "red").save(data, "PNG")
        first = MediaInput(role="first_frame", data=data.getvalue())
        return super().asked(backend).model_copy(update={"inputs": (first,), "mode": None})
