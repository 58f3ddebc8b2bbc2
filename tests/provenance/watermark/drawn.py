"""Frames for the tests of the watermark, drawn here."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from media_agent.video.codec import write_images

FPS = 24


def draw(width: int, height: int, count: int, *, kind: str = "scene") -> Iterator[av.VideoFrame]:
    """Yield frames (rgb24): a textured scene that pans and has grain, or one level of grey."""
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    for number in range(count):
        if kind == "scene":
            moved = columns + 1.5 * number
            levels = 120 + 50 * np.sin(moved / 37) + 30 * np.sin(rows / 23 + moved / 91)
            levels = levels + random.normal(0, 3, levels.shape)
        else:
            levels = np.full((height, width), float(kind))
        grey = np.clip(levels, 0, 255).astype(np.uint8)
        tint = np.stack([grey, grey // 2 + 40, 255 - grey], -1)
        yield av.VideoFrame.from_ndarray(tint, format="rgb24")


def write(
    path: Path,
    images: Iterator[av.VideoFrame],
    mark: Callable[[av.VideoFrame], av.VideoFrame] | None = None,
) -> Path:
    """Write frames as we deliver them."""
    frames = list(images)
    size = frames[0].width, frames[0].height
    write_images(path, frames, size=size, fps=FPS, mark=mark)
    return path


def encode_again(
    source: Path,
    target: Path,
    *,
    crf: int = 23,
    scale: float = 1.0,
    pixels: str = "yuv420p",
    codec: str = "libx264",
) -> Path:
    """Decode a video and encode it once more, as whoever passes it on does."""
    with av.open(str(source)) as video, av.open(str(target), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options={"crf": str(crf)})
        context = video.streams.video[0].codec_context
        stream.width = round(context.width * scale / 2) * 2
        stream.height = round(context.height * scale / 2) * 2
        stream.pix_fmt = pixels
        for number, frame in enumerate(video.decode(video=0)):
            smaller = frame.reformat(stream.width, stream.height, pixels)
            smaller.pts, smaller.time_base = number, Fraction(1, FPS)
            smaller.pict_type = PictureType.NONE
            container.mux(stream.encode(smaller))
        container.mux(stream.encode(None))
    return target


def levels_of(path: Path) -> NDArray[np.uint8]:
    """Return the brightness of all frames."""
    with av.open(str(path)) as video:
        return np.stack([each.to_ndarray(format="gray") for each in video.decode(video=0)])
