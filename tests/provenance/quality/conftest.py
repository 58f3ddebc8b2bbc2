"""Small videos that are good, or spoilt in one way."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from media_agent.provenance.quality.report import Inspection, inspect_video
from media_agent.testing.simulator.videos import write_video

Frames = NDArray[np.uint8]
FPS = 24.0
Inspect = Callable[[Frames], Inspection]


def draw(count: int = 48, *, shift: int = 0) -> Frames:
    """Return frames of a textured image that moves to the left by a pixel each."""
    rows, columns = np.mgrid[0:48, 0:200]
    texture = 110 + 50 * np.sin(columns / 5.0) * np.cos(rows / 7.0) + 20 * np.sin(columns / 2.3)
    image = np.stack([texture, texture * 0.8 + 10, texture * 0.6 + 40], axis=2)
    starts = [(shift + number) % 130 for number in range(count)]
    return np.stack([image[:, start : start + 64] for start in starts]).astype(np.uint8)


@pytest.fixture
def good() -> Frames:
    return draw()


@pytest.fixture
def inspect(tmp_path: Path) -> Inspect:
    """Write frames as a video and inspect it."""

    def run(frames: Frames) -> Inspection:
        write_video(tmp_path / "video.mp4", frames, fps=FPS)
        return inspect_video(tmp_path / "video.mp4")

    return run
