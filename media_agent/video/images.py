"""Single images as bytes: red, green, blue, row by row. PyAV is imported at first use."""

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import StorageError
from media_agent.storage.files import storage_errors

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def frame_of(pixels: bytes, width: int, height: int) -> "VideoFrame":
    """Return rows of RGB bytes, one after the other, as a frame."""
    import av

    frame = av.VideoFrame(width, height, "rgb24")
    [plane] = frame.planes
    row = 3 * width
    padding = bytes(plane.line_size - row)
    rows = (pixels[start : start + row] + padding for start in range(0, row * height, row))
    plane.update(b"".join(rows))
    return frame


def rows_of(frame: "VideoFrame") -> list[bytes]:
    """Return the rows of a frame as RGB bytes."""
    [plane] = frame.reformat(format="rgb24").planes
    pixels = bytes(plane)
    starts = range(0, plane.line_size * plane.height, plane.line_size)
    return [pixels[start : start + 3 * plane.width] for start in starts]


def as_png(frame: "VideoFrame") -> bytes:
    """Return a frame as a PNG."""
    import av

    encoder = av.VideoCodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "rgb24"
    encoder.time_base = Fraction(1)
    encoder.options = {"pred": "mixed"}
    encoder.thread_count = 1
    packets = [*encoder.encode(frame.reformat(format="rgb24")), *encoder.encode(None)]
    return b"".join(map(bytes, packets))


def shrink_png(path: Path, longest: int) -> bytes:
    """Return an image as a PNG whose sides are at most `longest` pixels; a small one as it is.

    Raises:
        StorageError: it cannot be read.
    """
    import av

    with storage_errors(f"the image {path}"):
        content = path.read_bytes()
    try:
        with av.open(BytesIO(content), mode="r") as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, StopIteration) as error:
        raise StorageError(f"the image {path} is damaged") from error
    factor = longest / max(frame.width, frame.height)
    if factor >= 1:
        return content
    sides = (max(1, round(side * factor)) for side in (frame.width, frame.height))
    width, height = sides
    return as_png(frame.reformat(width=width, height=height, format="rgb24"))
