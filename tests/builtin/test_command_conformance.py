"""A program that the settings declare keeps the contract of a backend."""

import sys
from pathlib import Path

import numpy as np
import pytest

from media_agent.backend.protocol import BackendSettings
from media_agent.builtin.command import CommandBackend
from media_agent.testing.conformance import BackendConformance, MakeBackend
from media_agent.testing.simulator.videos import write_video

FPS, WIDTH, HEIGHT = 8, 64, 48
PROGRAM = """
import shutil, sys, time
videos, prompt, seed, frames, output = sys.argv[1:]
time.sleep(0.01)
shutil.copy(f"{videos}/{seed}-{frames}.mp4", output)
"""


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video for each seed and length that the contract asks for."""
    folder = tmp_path_factory.mktemp("videos")
    for seed in (0, 1):
        for count in (4, 40):
            random = np.random.default_rng(seed)
            frames = random.integers(0, 256, (count, HEIGHT, WIDTH, 3), np.uint8)
            write_video(folder / f"{seed}-{count}.mp4", frames, fps=FPS)
    return folder


class TestCommand(BackendConformance):
    @pytest.fixture
    def make_backend(self, tmp_path: Path, videos: Path) -> MakeBackend:
        program = tmp_path / "copy_video.py"
        program.write_text(PROGRAM, encoding="utf-8")
        words = ["{prompt}", "{seed}", "{num_frames}", "{output}"]
        settings = BackendSettings(
            data_dir=tmp_path,
            name="copies",
            options={
                "command": [sys.executable, "-S", str(program), str(videos), *words],
                "sizes": [f"{WIDTH}x{HEIGHT}"],
                "fps": [FPS],
            },
        )
        return lambda: CommandBackend(settings)
