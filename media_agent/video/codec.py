"""Frames to H.264 and back. PyAV is imported at first use.

Every chunk gets its own encoder, so its packets depend on its frames alone: a video that was
interrupted and continued is the same video. A chunk comes out as a small fragmented MP4 whose
fragment already carries its place in the video; written one after the other (the header of all but
the first left out) the chunks are a video that plays while it grows.

The pixels are yuv420p, BT.709, limited range: what every player and browser shows. yuv444p would
keep coloured edges sharper and plays in few; small images make up for it by a higher quality.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.video.container import open_new_mp4, open_video
from media_agent.video.images import as_rgb, matrix_of
from media_agent.video.mp4.boxes import read_boxes

if TYPE_CHECKING:
    import numpy as np
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]  # T H W 3, red green blue
    Mark = Callable[[VideoFrame], VideoFrame]
    """Returns a frame, as it is about to be encoded (yuv420p), with something added; the frame
    itself stays as it is."""

_SMALL_IMAGE = 256 * 256  # pixels; up to here bytes are cheap and losses visible
_MACROBLOCK = 16  # pixels
_BT709 = 1
_LIMITED_RANGE = 1
FRAGMENTED = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+frag_discont+skip_trailer",
    "avoid_negative_ts": "disabled",  # else a fragment would forget its place in the video
    "use_editlist": "0",
}


def to_frame_rate(fps: float) -> Fraction:
    """Return the frame rate as a fraction; 23.976023976 becomes 24000/1001."""
    return Fraction(fps).limit_denominator(100_000)


def encode_chunk(
    frames: "Frames",
    *,
    fps: float,
    index: int = 0,
    start_frame: int = 0,
    mark: "Mark | None" = None,
) -> bytes:
    """Encode frames (uint8, T H W 3) to a fragmented MP4 that starts at `start_frame` of a video.

    Raises:
        InvalidRequestError: no frames, not uint8 T H W 3, or a side is odd.
    """
    import av

    _check_frames(frames)
    rate = to_frame_rate(fps)
    buffer = io.BytesIO()
    options = FRAGMENTED | {"fragment_index": str(index + 1)}
    images = (av.VideoFrame.from_ndarray(pixels, format="rgb24") for pixels in frames)
    with av.open(buffer, "w", format="mp4", options=options) as container:
        size = (frames.shape[2], frames.shape[1])
        _encode(container, images, size, rate, start_frame, mark=mark)
    return buffer.getvalue()


def split_header(chunk: bytes) -> tuple[bytes, bytes]:
    """Split an encoded chunk into the header, equal in all chunks of a video, and its fragments.

    Raises:
        StorageError: there is no fragment.
    """
    for box in read_boxes(io.BytesIO(chunk), 0, len(chunk)):
        if box.kind == b"moof":
            return chunk[: box.start], chunk[box.start :]
    raise StorageError("an encoded chunk holds no MP4 fragment")


def write_images(
    path: Path,
    images: Iterable["VideoFrame"],
    *,
    size: tuple[int, int],
    fps: float,
    mark: "Mark | None" = None,
) -> int:
    """Write decoded frames, scaled to `size` (width, height), as a finished MP4; count them.

    Raises:
        InvalidRequestError: a side is odd.
    """
    _check_size(*size)
    with open_new_mp4(path) as container:
        return _encode(container, images, size, to_frame_rate(fps), mark=mark)


def iterate_images(path: Path) -> Iterator["VideoFrame"]:
    """Yield the frames as the decoder gives them; memory does not grow with the video.

    Raises:
        StorageError: the file is missing or not a readable video.
    """
    with open_video(path) as video:
        yield from video.decode(video=0)


def iterate_frames(path: Path) -> Iterator["Frames"]:
    """Yield the frames (uint8, H W 3) one by one; memory does not grow with the video.

    Raises:
        StorageError: the file is missing or not a readable video.
    """
    for frame in iterate_images(path):
        yield _to_pixels(frame)


def read_frames(path: Path) -> "Frames":
    """Return all frames (uint8, T H W 3).

    Raises:
        StorageError: the file is missing or not a readable video.
    """
    import numpy as np

    frames = list(iterate_frames(path))
    if not frames:
        raise StorageError(f"{path} holds no frames")
    return np.stack(frames)


def _to_pixels(frame: "VideoFrame") -> "Frames":
    import numpy as np

    return np.asarray(as_rgb(frame).to_ndarray(), dtype=np.uint8)


def _check_frames(frames: "Frames") -> None:
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != "uint8":
        raise InvalidRequestError(
            f"frames are {frames.dtype} {frames.shape}; they must be uint8 (frames, height, "
            "width, 3)"
        )
    count, height, width, _ = frames.shape
    if count == 0:
        raise InvalidRequestError("a chunk has no frames")
    _check_size(width, height)


def _check_size(width: int, height: int) -> None:
    if width % 2 or height % 2 or not width or not height:
        raise InvalidRequestError(
            f"frames are {width}x{height}; H.264 in yuv420p needs even sides",
            hint="ask for an even width and height",
        )


def _encode(
    container: "OutputContainer",
    images: Iterable["VideoFrame"],
    size: tuple[int, int],
    rate: Fraction,
    start: int = 0,
    *,
    mark: "Mark | None" = None,
) -> int:
    """Encode images whose first is frame `start` of the video, and count them."""
    from av.video.frame import PictureType
    from av.video.reformatter import VideoReformatter

    stream = _add_h264_stream(container, *size, rate)
    reformatter, count = VideoReformatter(), 0  # one for all: setting one up takes longer than use
    for count, image in enumerate(images, 1):
        frame = reformatter.reformat(
            image,
            *size,
            format="yuv420p",
            src_colorspace=matrix_of(image),
            dst_colorspace=_BT709,
            dst_color_range=_LIMITED_RANGE,
            interpolation=None if (image.width, image.height) == size else "LANCZOS",
            threads=1,  # to wake others takes longer than a small image
        )
        if mark is not None:
            frame = mark(frame)
        frame.pts, frame.time_base = start + count - 1, 1 / rate
        frame.pict_type = PictureType.NONE  # else a decoded frame would say where key frames go
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    return count


def _add_h264_stream(
    container: "OutputContainer", width: int, height: int, rate: Fraction
) -> "VideoStream":
    quality = "12" if width * height <= _SMALL_IMAGE else "18"
    options = {
        "preset": "veryfast",
        "crf": quality,
        "g": str(max(1, round(2 * rate))),  # the same for all chunks: it is in the header
        "sc_threshold": "0",
        "bf": "0",  # no reordering: times stay those of the frames
    }
    if min(width, height) < 2 * _MACROBLOCK:
        # Where a side is one macroblock, x264's lookahead reads memory that it never wrote, as
        # valgrind shows, and now and then the same frames gave other bytes.
        options |= {"rc-lookahead": "0", "mbtree": "0", "weightp": "0"}
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.thread_count = 1  # with more, the bytes depend on the machine
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
    return stream
