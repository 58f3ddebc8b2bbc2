"""A program and an alias keep the contract of a backend."""

import sys
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.builtin.command import CommandBackend
from media_agent.registry.registry import Registry
from media_agent.testing.conformance import BackendConformance, MakeBackend
from media_agent.testing.simulator.videos import write_video

COPY = "import shutil, sys; shutil.copy(sys.argv[1] + '.mp4', sys.argv[2])"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of videos, each named by its seed."""
    folder = tmp_path_factory.mktemp("videos")
    for seed in (0, 1):
        frames = np.full((4, 32, 32, 3), 100 * seed, np.uint8)
        write_video(folder / f"{seed}.mp4", frames, fps=8)
    return folder


class TestProgram(BackendConformance):
    @pytest.fixture
    def make_backend(self, tmp_path: Path, videos: Path) -> MakeBackend:
        words = ["-S", "-c", COPY, f"{videos}/{{seed}}", "{output}", "{prompt}"]
        options = {
            "command": [sys.executable, *words],
            "sizes": ["32x32"],
            "fps": [8],
            "durations": [0.5],
        }
        settings = BackendSettings(data_dir=tmp_path, options=options, name="mine")
        return lambda: CommandBackend(settings)


class TestAlias(BackendConformance):
    @pytest.fixture
    def make_backend(self, tmp_path: Path) -> MakeBackend:
        settings = BackendSettings(data_dir=tmp_path, name="final", model="slate")
        registry = Registry(kinds={"final": "sandbox"})
        return lambda: registry.create("final", settings)
