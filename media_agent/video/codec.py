"""Frames to H.264 and back, and what a file really holds. PyAV is imported at first use.

Every chunk gets its own encoder, so its packets depend on its frames alone: a video that was
interrupted and continued is the same video. A chunk comes out as a small fragmented MP4 whose
fragment already carries its place in the video; written one after the other (the header of all but
the first left out) the chunks are a video that plays while it grows.

The pixels are yuv420p, BT.709, limited range: what every player and browser shows. yuv444p would
keep coloured edges sharper and plays in few; small images make up for it by a higher quality.
"""

import errno
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pydantic import ValidationError

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.storage.files import sha256_of
from media_agent.video.images import as_rgb, matrix_of
from media_agent.video.mp4.boxes import read_boxes
from media_agent_schemas.media import Artifact, ArtifactKind, VideoMetadata

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer, OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    Frames = NDArray[np.uint8]  # T H W 3, red green blue
    Mark = Callable[[VideoFrame], VideoFrame]
    """Returns a frame, as it is about to be encoded (yuv420p), with something added; the frame
    itself stays as it is."""

LARGEST_VIDEO = 8 * 2**30  # bytes; what is larger is not taken
SMALL_IMAGE = 256 * 256  # pixels; up to here bytes are cheap and losses visible
_MACROBLOCK = 16  # pixels
_BARE_UNIT = Fraction(1, 1_200_000)  # of a stream without a container, whose average is made up
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


def open_new_mp4(path: Path) -> "OutputContainer":
    """Open a new MP4 that starts at once when it is played from afar (faststart)."""
    import av

    return av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})


def add_copy(container: "OutputContainer", stream: Any) -> Any:
    """Return a new stream like one of another file, whose packets can be copied to it.

    Raises:
        StorageError: no file of this kind holds its codec.
    """
    try:
        return container.add_stream_from_template(stream)
    except ValueError as error:
        raise StorageError(f"the video cannot be copied: {error}") from error


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


def rate_of(stream: "VideoStream") -> Fraction:
    """Return the frames a second, on average; 25 where the file does not say, as FFmpeg does."""
    is_bare = stream.time_base == _BARE_UNIT
    average = None if is_bare else stream.average_rate
    rate = average or stream.guessed_rate or Fraction(25)
    return Fraction(rate.numerator, rate.denominator)  # PyAV 19 has its own type for it


def probe(path: Path) -> VideoMetadata:
    """Read from the file itself what it holds; frames are counted, not believed.

    Raises:
        StorageError: the file is missing or not a readable video.
    """
    with open_video(path) as video:
        stream = video.streams.video[0]
        frames = sum(1 for packet in video.demux(stream) if packet.size)
        rate = rate_of(stream)
        context = stream.codec_context
        return VideoMetadata(
            width=context.width,
            height=context.height,
            fps=float(rate),
            frames=frames,
            duration=_measure_seconds(stream, frames / rate, frames),
            codec=context.codec.canonical_name,  # its own name may be the decoder's: libdav1d
            pixel_format=context.pix_fmt,
            container="mp4" if "mp4" in video.format.name else video.format.name,
            rotation=_read_rotation(path),
            pixel_aspect=float(stream.sample_aspect_ratio or 1),
            has_audio=bool(video.streams.audio),
            size_bytes=path.stat().st_size,
        )


def describe(
    path: Path, kind: ArtifactKind = ArtifactKind.VIDEO, *, sha256: str | None = None
) -> Artifact:
    """Return the video file as an artifact: probed, measured, and hashed unless that was done."""
    metadata = probe(path)
    return Artifact(
        kind=kind,
        path=str(path),
        size_bytes=metadata.size_bytes,
        sha256=sha256_of(path) if sha256 is None else sha256,
        metadata=metadata,
    )


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
    quality = "12" if width * height <= SMALL_IMAGE else "18"
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


def open_input(source: str | BinaryIO, options: dict[str, str]) -> "InputContainer":
    """Open a file to read it, its tags in whatever encoding.

    PyAV replaces invalid UTF-8 in tags if asked to; from version 19 on it always does.
    """
    import av

    is_told = int(av.__version__.partition(".")[0]) < 19
    how: dict[str, Any] = {"metadata_errors": "replace"} if is_told else {}
    return cast("InputContainer", av.open(source, "r", options=options, **how))


@contextmanager
def open_video(source: Path | BinaryIO) -> Iterator["InputContainer"]:
    """Open a video; whatever is wrong with it, then or while it is read, is one clear error."""
    import av

    name = str(source) if isinstance(source, Path) else "the video"
    try:
        # It came from outside, maybe: nothing that it refers to is opened.
        with open_input(
            name if isinstance(source, Path) else source, {"protocol_whitelist": "file"}
        ) as video:
            if not video.streams.video:
                raise StorageError(f"{name} holds no video")
            if video.streams.video[0].codec_context is None:
                raise StorageError(f"{name} holds a video of an unknown codec")
            yield video
    except av.error.FFmpegError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # of a file written meanwhile
            raise
        raise StorageError(f"{name} is not a readable video: {error.strerror}") from error
    except (ZeroDivisionError, ValidationError) as error:  # a rate of 0/0, a width of 0
        raise StorageError(f"{name} is not a readable video: its header is damaged") from error


def _to_pixels(frame: "VideoFrame") -> "Frames":
    import numpy as np

    return np.asarray(as_rgb(frame).to_ndarray(), dtype=np.uint8)


def _read_rotation(path: Path) -> int:
    """Return the degrees by which the first frame says that it is turned; 0 without a frame."""
    try:
        with open_video(path) as video:
            return next((int(image.rotation) for image in video.decode(video=0)), 0)
    except StorageError:  # it cannot be decoded, as whoever reads it will find
        return 0


def _measure_seconds(stream: "VideoStream", otherwise: Fraction, frames: int) -> float:
    """Return the length; of a video that is cut off, that of the frames which are there."""
    if stream.duration is None or stream.time_base is None:
        return float(otherwise)
    share = Fraction(frames, max(frames, stream.frames))
    return float(stream.duration * stream.time_base * share)
