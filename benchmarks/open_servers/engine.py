"""The engine of a server under test: no model, a small MP4 in a second.

A prompt with `fail` in it fails, one with `slow` in it takes a minute.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

from media_agent.testing.simulator.videos import Video, make_video

_STEPS = 10


class Engine:
    """Generates, and writes down what it was asked for."""

    def __init__(self, folder: Path) -> None:
        """Write into a folder."""
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    def generate(
        self, prompt: str, *, report: Callable[[int, int], None] | None = None, **asked: object
    ) -> bytes:
        """Return the MP4 of what was asked."""
        with (self.folder / "asked.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"prompt": prompt, **asked}, default=str) + "\n")
        pause = 6.0 if "slow" in prompt else 0.1
        for step in range(_STEPS):
            time.sleep(pause)
            if report is not None:
                report(step + 1, _STEPS)
            if "fail" in prompt and step == _STEPS // 2:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        frames, fps = int(str(asked["num_frames"])), float(str(asked["fps"]))
        width, height = int(str(asked["width"])), int(str(asked["height"]))
        return make_video(Video(frames, fps, width, height, shade=60))
