"""Small real films for simulated providers, whose content can be told apart by eye and by test."""

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Film:
    """The measures of a film to be made."""

    frames: int = 24
    fps: float = 24.0
    width: int = 64
    height: int = 36
    shade: int = 60  # 0 to 255: makes one film differ from another


@lru_cache(maxsize=32)
def film_bytes(film: Film) -> bytes:
    """Return an MP4 of a white bar that wanders once across the picture."""
    import numpy as np

    from media_agent.video import write_video

    frames = np.full((film.frames, film.height, film.width, 3), film.shade, dtype=np.uint8)
    for number, frame in enumerate(frames):
        start = number * film.width // film.frames
        frame[:, start : start + max(1, film.width // 16)] = 255
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        write_video(path, frames, fps=film.fps)
        return path.read_bytes()
