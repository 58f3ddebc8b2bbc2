"""What the file of a video really holds."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import StorageError
from media_agent.storage.files import sha256_of
from media_agent.video.container import open_video
from media_agent_schemas.media import Artifact, ArtifactKind, VideoMetadata

if TYPE_CHECKING:
    from av.video.stream import VideoStream

_BARE_UNIT = Fraction(1, 1_200_000)  # of a stream without a container, whose average is made up


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


def rate_of(stream: "VideoStream") -> Fraction:
    """Return the frames a second, on average; 25 where the file does not say, as FFmpeg does."""
    is_bare = stream.time_base == _BARE_UNIT
    average = None if is_bare else stream.average_rate
    rate = average or stream.guessed_rate or Fraction(25)
    return Fraction(rate.numerator, rate.denominator)  # PyAV 19 has its own type for it


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
