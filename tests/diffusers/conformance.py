"""The contract of a backend, for a family with tiny weights."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.testing.conformance import BackendConformance, MakeBackend
from media_agent_diffusers.backend import DiffusersBackend
from media_agent_schemas import VideoRequest


class DiffusersConformance(BackendConformance):
    """Makes the backend with one model, the tiny pipeline of that name."""

    options: ClassVar = {"num_inference_steps": 2, "max_sequence_length": 16}

    @pytest.fixture
    def make_backend(self, tmp_path: Path, folder_of: Callable[[str], Path]) -> MakeBackend:
        models = {str(self.model): folder_of(str(self.model))}
        return lambda: DiffusersBackend(
            BackendSettings(data_dir=tmp_path, models=models, threads=1)
        )

    def asked(self, backend: VideoBackend) -> VideoRequest:
        options = {"diffusers": self.options}
        return super().asked(backend).model_copy(update={"options": options})
