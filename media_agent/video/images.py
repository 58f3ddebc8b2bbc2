"""Single frames as red, green and blue, or as rows of bytes. PyAV is imported at first use."""

from collections.abc import Iterable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import StorageError
from media_agent.storage.files import storage_errors

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame

_EXACT = "flags=bilinear+accurate_rnd+full_chroma_int"
SCALING = "flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"


_UNSPECIFIED, _BT709, _BT601 = 2, 1, 6  # how red, green and blue became brightness and colour
_HD = (1280, 577)  # from this width or height on, what says nothing is BT.709


def matrix_of(frame: "VideoFrame") -> int:
    """Return the colour matrix of a frame of a video; if it says none, the one that players take.

    It depends on the size. An image, of which this is not true, is BT.601 whatever its size.
    """
    if frame.colorspace != _UNSPECIFIED or frame.format.is_rgb or frame.format.has_palette:
        return int(frame.colorspace)
    return _BT709 if frame.width >= _HD[0] or frame.height >= _HD[1] else _BT601


def as_rgb(frame: "VideoFrame") -> "VideoFrame":
    """Return a frame of a video in rgb24, rounded to the nearest level, not down."""
    if not frame.format.is_rgb:
        frame.colorspace = matrix_of(frame)
    steps = ("scale", _EXACT), ("format", "rgb24")
    return push_through(build_graph(frame, steps), frame)


def build_graph(frame: "VideoFrame", steps: Iterable[tuple[str, str]]) -> "Graph":
    """Return FFmpeg's filters, each with its arguments, for frames that are like this one."""
    import av.filter

    graph = av.filter.Graph()
    facts = (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1"
        f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    )
    nodes = [graph.add("buffer", facts), *(graph.add(name, value) for name, value in steps)]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    return graph


def push_through(graph: "Graph", frame: "VideoFrame") -> "VideoFrame":
    """Send a frame through filters."""
    graph.vpush(frame)
    return graph.vpull()


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
    [plane] = as_rgb(frame).planes
    pixels = bytes(plane)
    starts = range(0, plane.line_size * plane.height, plane.line_size)
    return [pixels[start : start + 3 * plane.width] for start in starts]


def shrink(frame: "VideoFrame", width: int, height: int) -> "VideoFrame":
    """Return a frame of a video at this size, in rgb24; one that has it as it is."""
    if (frame.width, frame.height) == (width, height):
        return frame
    pixels = as_rgb(frame)
    return push_through(build_graph(pixels, [("scale", f"{width}:{height}:flags=area")]), pixels)


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


def as_jpeg(frame: "VideoFrame") -> bytes:
    """Return a frame as a JPEG of high quality."""
    import av

    encoder = av.VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1)
    encoder.options = {"qmin": "2", "qmax": "3"}
    encoder.thread_count = 1
    packets = [*encoder.encode(frame.reformat(format="yuvj420p")), *encoder.encode(None)]
    return b"".join(map(bytes, packets))


def as_webp(frame: "VideoFrame") -> bytes:
    """Return a frame as a WebP of good quality."""
    import av

    encoder = av.VideoCodecContext.create("libwebp", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuv420p"
    encoder.time_base = Fraction(1)
    encoder.options = {"quality": "80"}
    encoder.thread_count = 1
    packets = [*encoder.encode(frame.reformat(format="yuv420p")), *encoder.encode(None)]
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
        with av.open(BytesIO(content), "r") as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise StorageError(f"the image {path} is damaged") from error
    factor = longest / max(frame.width, frame.height)
    if factor >= 1:
        return content
    sides = (max(1, round(side * factor)) for side in (frame.width, frame.height))
    width, height = sides
    return as_png(frame.reformat(width=width, height=height, format="rgb24"))
