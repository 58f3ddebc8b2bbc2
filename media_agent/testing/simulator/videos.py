"""Small real films for simulated providers, whose content can be told apart by eye and by test."""

import io
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from media_agent.video.codec import Frames


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
    from media_agent.video.codec import write_pictures
    from media_agent.video.images import frame_of

    size = film.width, film.height
    pictures = (frame_of(_rows(film, number), *size) for number in range(film.frames))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        write_pictures(path, pictures, size=size, fps=film.fps)
        return path.read_bytes()


def write_video(path: Path, frames: "Frames", *, fps: float) -> None:
    """Write frames (uint8, T H W 3) as a finished MP4."""
    from media_agent.video.codec import encode_chunk, remux

    remux(io.BytesIO(encode_chunk(frames, fps=fps)), path)


def _rows(film: Film, number: int) -> bytes:
    left, wide = number * film.width // film.frames, max(1, film.width // 16)
    row = bytearray([film.shade]) * film.width
    row[left : left + wide] = b"\xff" * len(row[left : left + wide])
    return bytes(value for value in row for _ in range(3)) * film.height
