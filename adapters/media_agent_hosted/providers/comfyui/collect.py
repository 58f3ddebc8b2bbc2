"""Fetches what a workflow saved, and makes an MP4 of an animation or of single images."""

import asyncio
import errno
import math
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.distribution import install_hint
from media_agent.errors import InvalidRequestError, VideoNotFetchedError
from media_agent.storage.files import storage_errors
from media_agent.video.codec import write_images
from media_agent.video.images import frame_of
from media_agent_hosted.http.client import HttpApi
from media_agent_hosted.providers.comfyui.outputs import MOST_IMAGES, Output

if TYPE_CHECKING:
    from av import VideoFrame
    from PIL.Image import Image

_MOST_PIXELS = 64_000_000  # of one image
_LEAST_SIDE = 2  # pixels
_LARGEST_SIDE = 8192  # that encoders of H.264 take
_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)
_FASTEST = 1000.0  # frames per second
_TOO_MANY = f"it has more than {MOST_IMAGES} images"


async def collect(api: HttpApi, output: Output, path: Path, *, fps: float) -> None:
    """Put the video at `path`, whole or not at all; single images get the rate `fps`.

    Raises:
        VideoNotFetchedError: a file is gone, or cannot be read.
        StorageError: the video could not be written.
    """
    if output.is_video:
        await api.download(output.files[0].path, path)
        return
    with storage_errors(str(path)), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        images = [
            Path(folder, f"{number:06d}{file.suffix}") for number, file in enumerate(output.files)
        ]
        for image, file in zip(images, output.files, strict=True):
            await api.download(file.path, image, images=True)
        made = Path(folder, "video.mp4")
        await asyncio.to_thread(write_as_mp4, images, made, fps=fps)
        await asyncio.to_thread(made.replace, path)


def write_as_mp4(images: Sequence[Path], path: Path, *, fps: float) -> None:
    """Write an animation, or the images of a sequence, as an MP4.

    An animation keeps its own rate; images get `fps`. An odd last row or column is cut off.

    Raises:
        VideoNotFetchedError: one of them cannot be read, or no video can be made of them.
        OSError: the video cannot be written.
    """
    from av import FFmpegError

    if find_spec("PIL") is None:
        raise VideoNotFetchedError(
            "the workflow gives images, and making a video of them needs Pillow",
            hint=f"{install_hint('local')}, or save a video in the workflow (SaveVideo)",
        )
    try:
        with _open_image(images[0]) as first:
            width, height = first.size
            rate = _own_rate(first) or fps
        size = width - width % 2, height - height % 2
        write_images(path, _frames(images, size), size=size, fps=rate)
    except (FFmpegError, InvalidRequestError) as error:
        if isinstance(error, FFmpegError) and error.errno in _DISK_IS_FULL:
            raise OSError(error.errno, error.strerror) from error
        raise VideoNotFetchedError(f"no video can be made of the images: {error}") from error
    except (OSError, ValueError, SyntaxError, Warning) as error:  # as Pillow raises them
        if isinstance(error, OSError) and error.errno in _DISK_IS_FULL:
            raise
        raise VideoNotFetchedError(f"an image of the video cannot be read: {error}") from error


def _frames(paths: Sequence[Path], size: tuple[int, int]) -> "Iterator[VideoFrame]":
    """Yield the frames of an animation, or the images of a sequence."""
    from PIL import ImageSequence

    count = 0
    for path in paths:
        with _open_image(path) as image:
            for shown in ImageSequence.Iterator(image):
                count += 1
                if count > MOST_IMAGES:
                    raise ValueError(_TOO_MANY)
                upright = shown.convert("RGB").crop((0, 0, *size))
                yield frame_of(upright.tobytes(), *size)


def _open_image(path: Path) -> "Image":
    """Open an image of bounded size."""
    from PIL import Image

    try:
        image = Image.open(path, formats=("PNG", "JPEG", "WEBP", "GIF"))
    except Image.DecompressionBombError as error:  # a plain Exception
        raise ValueError(str(error)) from None
    sides = image.size
    if min(sides) < _LEAST_SIDE or max(sides) > _LARGEST_SIDE or math.prod(sides) > _MOST_PIXELS:
        raise ValueError(f"it is {image.width}x{image.height}, which no video can be")
    return image


def _own_rate(image: "Image") -> float | None:
    """Return the rate of an animation, by how long it is as a whole; None: it is one image.

    Raises:
        ValueError: it has too many images.
    """
    from PIL import ImageSequence

    count = getattr(image, "n_frames", 1)
    if count > MOST_IMAGES:
        raise ValueError(_TOO_MANY)
    if count < 2:
        return None
    shown = []
    for each in ImageSequence.Iterator(image):
        each.load()  # only then does an animated WebP say how long it is shown
        shown.append(each.info.get("duration", 0))
    milliseconds = sum(each for each in shown if isinstance(each, int | float))
    return min(_FASTEST, 1000 * len(shown) / milliseconds) if milliseconds > 0 else None
