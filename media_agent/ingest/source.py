"""Opens images and videos that come from outside, and says what is wrong with one. Uses PyAV.

What a file claims is not believed. It is read as a nameless stream, so that its name decides
nothing, and whatever it refers to (the entries of a playlist, a video stored elsewhere) stays
closed.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

from media_agent.environment import expand_home
from media_agent.errors import InvalidRequestError
from media_agent.ingest.colour_profile import read_profile
from media_agent.ingest.file_parts import MOST_PIXELS, PNG, HostileError, strip_png
from media_agent.ingest.kinds import (
    OTHER_IMAGES,
    STILL,
    describe_kind,
    find_heif_kind,
    is_animated_webp,
)
from media_agent.ingest.orientation import is_mirrored
from media_agent.storage.files import ordinary_file
from media_agent.video.container import open_input
from media_agent.video.probe import rate_of
from media_agent_schemas.media import MediaInput

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Source = MediaInput | Path | bytes
Kind = Literal["image", "video"]

MOST_DECODED = 200_000_000_000  # pixels on the way to the frames wanted; some minutes of work
_MOST_COUNTED = 10_000_000  # of a video whose length is counted; some days
_LEAST_COUNTED = 16_384  # pixels; a smaller frame takes as long
_LARGEST_IMAGE = 256 << 20  # bytes of a file
_MOST_MISSING = Fraction(1, 10)  # of the length that a video claims
_HEAD = 4096  # bytes that tell what a file is
_IMAGES = ("png_pipe", "jpeg_pipe", "webp_pipe")
_HINTS = {
    "image": "give a PNG, JPEG or WebP file",
    "video": "give a video such as MP4, MOV, MKV, WebM, AVI or GIF",
}


def count_most_frames(width: int, height: int, most: int = MOST_DECODED) -> int:
    """Return how many frames of a size `most` pixels are; a small one takes as long as another."""
    return most // max(width * height, _LEAST_COUNTED)


@dataclass(frozen=True, slots=True)
class Given:
    """What the caller gave, as messages name it."""

    name: str
    kind: Kind

    def unusable_error(self, reason: str, hint: str | None = None) -> InvalidRequestError:
        """Return the error that says why it cannot be used, and what to do."""
        return InvalidRequestError(
            f"{self.name} cannot be used: {reason}", hint=hint or _HINTS[self.kind]
        )

    def check_pixels(self, width: int, height: int) -> None:
        """Refuse frames that are too large.

        Raises:
            InvalidRequestError: there are more than `MOST_PIXELS`.
        """
        if width * height > MOST_PIXELS:
            raise self.unusable_error(
                f"{width}x{height} are more than {MOST_PIXELS // 1_000_000} million pixels",
                "shrink it",
            )


@dataclass(frozen=True, slots=True)
class Medium:
    """An opened image or video."""

    given: Given
    container: "InputContainer"
    stream: "VideoStream"
    rate: Fraction
    """Frames a second, on average, as the file says."""
    aspect: Fraction
    """Width of a pixel by its height."""
    is_mirrored: bool
    """Whether its frames are mirrored, in addition to the rotation that each of them states."""
    profile: bytes | None
    """The colour space (ICC) of its frames, None where it says none."""
    has_sound: bool
    hides_alpha: bool
    """Whether it has transparent places that the decoder leaves out, as a WebM may."""

    def decode(self, most: int = MOST_DECODED) -> Iterator["VideoFrame"]:
        """Yield the frames up to the end of the file.

        Raises:
            InvalidRequestError: one is too large, or all together have more pixels than `most`.
        """
        left = most
        for image in self._decode():
            self.given.check_pixels(image.width, image.height)
            left -= max(image.width * image.height, _LEAST_COUNTED)
            if left < 0:
                raise self.given.unusable_error(
                    "it takes too long to reach the frames wanted",
                    "cut out what is wanted: ffmpeg -sseof -10 -i VIDEO -c copy end.mp4",
                )
            yield image

    def _decode(self) -> Iterator["VideoFrame"]:
        for packet in self.container.demux(self.stream):
            if bytes(memoryview(packet)[: len(PNG)]) == PNG:  # images as the frames of a video
                packet = _strip_packet(packet)
            yield from packet.decode()

    def check_whole(self) -> None:
        """Read all that is packed in the file, without decoding it.

        Raises:
            InvalidRequestError: something is missing that the file announces.
        """
        packets, end = 0, Fraction(0)
        for packet in self.container.demux():
            if packet.is_corrupt:
                raise self.given.unusable_error("it is damaged or cut off")
            packets += packet.stream_index == self.stream.index and packet.size > 0
            if packet.pts is not None and packet.time_base is not None:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        start, length = (
            Fraction(of or 0, 1_000_000)
            for of in (self.container.start_time, self.container.duration)
        )
        missing = start + length - end
        if packets < len(self.stream.index_entries) or (
            missing > 1 and missing > length * _MOST_MISSING
        ):
            raise self.given.unusable_error("it is cut off: it announces more than it holds")

    def measure_length(self) -> Fraction:
        """Return how long its frames last, in seconds, by what each of them says of itself.

        Raises:
            InvalidRequestError: there are none, or far too many.
        """
        count, is_timed, total = 0, True, Fraction(0)
        start, end = Fraction(10**12), Fraction(-(10**12))
        for packet in self.container.demux(self.stream):
            if not packet.size or packet.is_discard or not (count or packet.is_keyframe):
                continue  # no decoder shows it
            count += 1
            if count > _MOST_COUNTED:
                raise self.given.unusable_error(
                    f"it has more than {_MOST_COUNTED} frames", "shorten it"
                )
            unit = packet.time_base or Fraction(0)
            lasts = (packet.duration or 0) * unit or 1 / self.rate
            total += lasts
            is_timed = is_timed and packet.pts is not None
            if packet.pts is not None:
                start, end = min(start, packet.pts * unit), max(end, packet.pts * unit + lasts)
        if not count:
            raise self.given.unusable_error("it holds no frames")
        return end - start if is_timed else total

    def has_sound_until(self, end: Fraction) -> bool:
        """Whether something else in the file, as its sound, lasts about as long as that."""
        nearly = end - 1
        self.container.seek(int(nearly * 1_000_000))
        others = (each for each in self.container.demux() if each.stream_index != self.stream.index)
        return any(
            each.pts is not None
            and each.time_base is not None
            and each.pts * each.time_base >= nearly
            for each in others
        )

    def seek_before_end(self, seconds: Fraction) -> None:
        """Go to about that long before the end; the next frames may be broken ones."""
        start, length = self.read_extent()
        place = int((start + length - seconds) / (self.stream.time_base or 1))
        self.container.seek(place, stream=self.stream, backward=True)

    def read_extent(self) -> tuple[Fraction, Fraction]:
        """Return its start and its length in seconds, as it claims; 0 where it does not say."""
        stream, container = self.stream, self.container
        if stream.time_base is not None and stream.duration is not None:
            return (stream.start_time or 0) * stream.time_base, stream.duration * stream.time_base
        unit = Fraction(1, 1_000_000)
        return (container.start_time or 0) * unit, (container.duration or 0) * unit


@contextmanager
def open_medium(source: Source, kind: Kind, name: str | None = None) -> Iterator[Medium]:
    """Open an image or a video; whatever is wrong with it, then or later, is one clear error.

    Args:
        source: A file, its bytes, or an input of a request.
        kind: What it has to be.
        name: What messages call it, if not by its place.

    Raises:
        InvalidRequestError: it cannot be read, or is something else, damaged, or too large.
    """
    import av

    given = Given(name or _name_of(source, kind), kind)
    with _open_file(source, given) as file:
        head = file.read(_HEAD)
        size = file.seek(0, io.SEEK_END)
        if not size:
            raise given.unusable_error("it is empty")
        if kind == "image" and size > _LARGEST_IMAGE:
            raise given.unusable_error(f"it has more than {_LARGEST_IMAGE >> 20} MiB", "shrink it")
        capabilities = {"max_pixels": str(MOST_PIXELS)}
        if kind == "image":
            capabilities["err_detect"] = "explode"  # half a JPEG would pass else
        try:
            with _open_container(strip_png(file), capabilities) as container:
                stream = _stream_of(container, given, head)
                stream.codec_context.options = capabilities
                place = file.tell()  # which the container relies on
                mirrored, profile = is_mirrored(file, stream.id), read_profile(file)
                file.seek(place)
                yield Medium(
                    given,
                    container,
                    stream,
                    rate=rate_of(stream),
                    aspect=stream.sample_aspect_ratio or Fraction(1),
                    is_mirrored=mirrored,
                    profile=profile,
                    has_sound=bool(container.streams.audio),
                    hides_alpha=stream.metadata.get("alpha_mode") == "1",
                )
        except av.error.FFmpegError as error:
            reason = f"it is damaged or cut off, or of no known kind ({error.strerror})"
            raise given.unusable_error(describe_kind(head) or reason) from error
        except HostileError as error:
            raise given.unusable_error(str(error), "open it and save it again") from error


def open_ordinary(path: Path, name: str) -> BinaryIO:
    """Open a file to read it; nothing else, and without waiting for the writer of a pipe.

    Args:
        path: The file.
        name: What messages call it.

    Raises:
        InvalidRequestError: there is no such file, it may not be read, or it is a folder, a pipe,
            a socket, a device.
    """
    given = Given(name, "image")
    try:
        return ordinary_file(path)
    except FileNotFoundError as error:
        raise given.unusable_error("no such file", "check its path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise given.unusable_error(reason, "check its path and its permissions") from error


def _open_container(file: BinaryIO, capabilities: dict[str, str]) -> "InputContainer":
    """Open a file without its name, and nothing that it refers to."""
    file.seek(0)

    def seek(place: int, whence: int = io.SEEK_SET) -> int:
        try:
            return file.seek(place, whence)
        except (OSError, ValueError) as error:  # before its beginning, or beyond any file
            raise HostileError("it is damaged: it refers to a place outside of itself") from error

    nameless = SimpleNamespace(read=file.read, seek=seek, tell=file.tell)
    return open_input(cast("BinaryIO", nameless), capabilities | {"protocol_whitelist": "none"})


def _strip_packet(packet: "Packet[VideoStream]") -> "Packet[VideoStream]":
    """Return a packet that holds a PNG without what makes no pixels.

    Raises:
        HostileError: it would take far more memory or time than its pixels need.
    """
    import av

    cleaned: Any = av.Packet(strip_png(io.BytesIO(bytes(packet))).read())
    cleaned.pts, cleaned.dts, cleaned.time_base = packet.pts, packet.dts, packet.time_base
    cleaned.duration, cleaned.stream = packet.duration, packet.stream
    return cast("Packet[VideoStream]", cleaned)


def _name_of(source: Source, kind: Kind) -> str:
    if isinstance(source, MediaInput):
        return source.role.value if source.path is None else f"{source.role.value} {source.path}"
    return str(source) if isinstance(source, Path) else f"the {kind}"


def _open_file(source: Source, given: Given) -> BinaryIO:
    if isinstance(source, MediaInput):
        if source.url is not None:
            raise given.unusable_error("it is an address", "download it, and give the file")
        source = source.data if source.data is not None else expand_home(str(source.path))
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return open_ordinary(source, given.name)


def _stream_of(container: "InputContainer", given: Given, head: bytes) -> "VideoStream":
    from av.stream import Disposition

    if is_animated_webp(head):  # newer versions of FFmpeg read it, older ones do not
        raise given.unusable_error(str(describe_kind(head)))
    covers = Disposition.attached_pic  # of a record; no video
    moving = [each for each in container.streams.video if not each.disposition & covers]
    kind = container.format.name
    is_image = kind.endswith("_pipe")
    is_still = is_image or kind in STILL or find_heif_kind(head) is not None
    if given.kind == "video" and is_still:
        what = describe_kind(head)
        hint = "give it as the first frame" if what is None else None
        raise given.unusable_error(what or "it is an image", hint)
    if not moving:
        has_sound = bool(container.streams.audio)
        raise given.unusable_error(
            describe_kind(head) or ("it is an audio file" if has_sound else "it has no video")
        )
    if given.kind == "image" and kind not in _IMAGES:
        other = f"another kind of image ({kind})" if is_image else f"a video ({kind})"
        raise given.unusable_error(describe_kind(head) or f"it is {OTHER_IMAGES.get(kind, other)}")
    context = moving[0].codec_context
    if context is None:
        raise given.unusable_error("it is damaged, or of an unknown codec")
    given.check_pixels(context.width, context.height)
    if not context.width:
        most = MOST_PIXELS // 1_000_000
        said = f"it is damaged, or has more than {most} million pixels"
        raise given.unusable_error(said, "shrink it if it is that large")
    return moving[0]
