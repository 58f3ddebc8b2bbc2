"""Small real videos for simulated providers; their content tells them apart."""

import base64
import io
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from media_agent.video.codec import Frames


@dataclass(frozen=True, slots=True)
class Video:
    """The measures of a video to be made."""

    frames: int = 24
    fps: float = 24.0
    width: int = 64
    height: int = 36
    shade: int = 60  # 0 to 255: makes one video differ from another


_SMALL = {
    "16:9": (64, 36),
    "9:16": (36, 64),
    "1:1": (48, 48),
    "4:3": (64, 48),
    "3:4": (48, 64),
    "3:2": (72, 48),
    "2:3": (48, 72),
    "21:9": (84, 36),
    "adaptive": (64, 36),
}


def small_shapes(*ratios: str) -> dict[str, tuple[int, int]]:
    """Return width and height of a small video of each ratio that a provider takes."""
    return {ratio: _SMALL[ratio] for ratio in ratios}


@lru_cache(maxsize=32)
def make_video(video: Video) -> bytes:
    """Return an MP4 of a white bar that wanders once across the image."""
    from media_agent.video.codec import write_images
    from media_agent.video.images import frame_of

    size = video.width, video.height
    images = (frame_of(_draw_rows(video, number), *size) for number in range(video.frames))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "video.mp4")
        write_images(path, images, size=size, fps=video.fps)
        return path.read_bytes()


def count_frames(inline: str) -> int | None:
    """Return the frames of a video that is a data URI; None: it is none."""
    from media_agent.video.probe import probe

    if not inline.startswith("data:video/"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "video.mp4")
        path.write_bytes(base64.b64decode(inline.partition(",")[2]))
        return probe(path).frames


def write_video(path: Path, frames: "Frames", *, fps: float) -> None:
    """Write frames (uint8, T H W 3) as a finished MP4."""
    from media_agent.video.codec import encode_chunk
    from media_agent.video.remux import remux

    remux(io.BytesIO(encode_chunk(frames, fps=fps)), path)


def _draw_rows(video: Video, number: int) -> bytes:
    left, wide = number * video.width // video.frames, max(1, video.width // 16)
    row = bytearray([video.shade]) * video.width
    row[left : left + wide] = b"\xff" * len(row[left : left + wide])
    return bytes(value for value in row for _ in range(3)) * video.height
