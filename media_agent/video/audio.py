"""Audio of videos: as long as their frames last, one after the other. PyAV is imported at use."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_agent.errors import GenerationFailedError
from media_agent.video.codec import to_frame_rate
from media_agent.video.container import open_new_mp4, open_video
from media_agent.video.remux import merge_by_time, open_row

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from numpy import float32
    from numpy.typing import NDArray

SAMPLE_RATE = 48_000
_LAYOUT = "stereo"
_FORMAT = "fltp"
_BIT_RATE = 192_000
_BLOCK = 1024  # samples of a frame of AAC
_LARGEST = 32_767  # of 16 bits
_SAMPLE_BYTES = 4  # left and right


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio as a model makes it."""

    samples: "NDArray[float32]"
    """From -1 to 1, channels by samples: one channel, or left and right. Of several videos at once:
    videos by channels by samples."""
    rate: int
    """Samples a second."""


@dataclass(frozen=True, slots=True)
class Pcm:
    """Audio as it is stored: 16 bits each for left and right, sample after sample."""

    data: bytes
    rate: int

    def to_frames(self) -> Iterator["AudioFrame"]:
        """Yield it as what encoders take."""
        import av

        size = _BLOCK * _SAMPLE_BYTES
        for start in range(0, len(self.data), size):
            block = self.data[start : start + size]
            samples = len(block) // _SAMPLE_BYTES
            frame = av.AudioFrame(format="s16", layout=_LAYOUT, samples=samples)
            frame.sample_rate = self.rate
            frame.planes[0].update(block.ljust(frame.planes[0].buffer_size, b"\0"))
            yield frame


def count_samples(start: int, frames: int, *, fps: float, rate: int) -> int:
    """Return the samples that belong to these frames of a video.

    They are counted from the start of the video, so that in all chunks together none is missing.
    """
    of_a_frame = rate / to_frame_rate(fps)
    return round((start + frames) * of_a_frame) - round(start * of_a_frame)


def to_pcm(audio: Audio, samples: int) -> Pcm:
    """Return this many samples of it; what is missing at its end is silence.

    Raises:
        GenerationFailedError: it is no audio.
    """
    import numpy as np

    given = np.asarray(audio.samples)
    if given.ndim != 2 or len(given) not in (1, 2) or audio.rate < 1:
        raise GenerationFailedError(
            f"the audio is {given.shape} at {audio.rate} Hz; it must be (channels, samples), in "
            "one channel or two"
        )
    if not np.isfinite(given).all():
        raise GenerationFailedError("the audio has values that are no numbers")
    kept = np.zeros((samples, 2), "<i2")
    heard = given[:, :samples].astype(np.float64).clip(-1, 1)
    kept[: heard.shape[1]] = (heard * _LARGEST).round().T  # one channel is heard on both sides
    return Pcm(kept.tobytes(), rate=audio.rate)


def split_audio(audio: Audio, videos: int) -> list[Audio]:
    """Return the audio of each of several videos that were made at once.

    Raises:
        GenerationFailedError: it is of another number of videos.
    """
    samples = audio.samples if videos > 1 else audio.samples[None]
    if len(samples) != videos:
        raise GenerationFailedError(f"got audio of {len(samples)} videos; {videos} were asked")
    return [Audio(own, audio.rate) for own in samples]


def make_silent_pcm(samples: int, *, rate: int) -> Pcm:
    """Return silence."""
    return Pcm(bytes(samples * _SAMPLE_BYTES), rate=rate)


def fit_audio(
    frames: Iterable["AudioFrame"], *, seconds: float, delay: float = 0.0
) -> Iterator["AudioFrame"]:
    """Yield audio that lasts exactly so long: later frames are left out, silence fills the rest.

    `delay` is when the first frame is heard; before zero, what comes too early is left out.
    """
    import av

    left = round(seconds * SAMPLE_RATE)
    skipped = round(-delay * SAMPLE_RATE)
    resampler = av.AudioResampler(format=_FORMAT, layout=_LAYOUT, rate=SAMPLE_RATE)
    fifo = av.AudioFifo()
    late = min(left, max(0, -skipped))  # what a file says may be years
    yield from _make_silence(late)
    left -= late
    for frame in frames if left > 0 else ():
        heard = _on_both_sides(frame)
        heard.pts = None  # gaps in its times are not kept
        for each in resampler.resample(heard):
            each.pts = None
            fifo.write(each)
        if skipped > 0 and (early := fifo.read(min(skipped, fifo.samples), partial=True)):
            skipped -= early.samples
        while left > 0 and skipped <= 0 and fifo.samples >= min(left, _BLOCK):
            block = fifo.read(min(left, _BLOCK))
            if block is None:
                break
            left -= block.samples
            yield block
        if left <= 0:
            return
    rest = fifo.read(min(left, fifo.samples), partial=True) if fifo.samples and left else None
    if rest is not None:
        left -= rest.samples
        yield rest
    yield from _make_silence(left)


def read_audio(path: Path, *, seconds: float) -> Iterator["AudioFrame"]:
    """Yield the audio of a video of our own as `fit_audio` does; silence where it has none.

    Raises:
        StorageError: the file is missing or not a readable video.
    """
    with open_video(path) as video:
        if not video.streams.audio:
            yield from fit_audio((), seconds=seconds)
            return
        delay = _start_of(video.streams.audio[0]) - _start_of(video.streams.video[0])
        yield from fit_audio(video.decode(audio=0), seconds=seconds, delay=float(delay))


def add_audio(
    video: Path,
    audio: Iterable["AudioFrame"],
    target: Path,
    *,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a video, its frames copied unchanged, with this audio as AAC, and with tags."""
    with open_video(video) as source, open_new_mp4(target) as container:
        container.metadata.update(tags or {})
        images = open_row(container, source, "video")
        stream = container.add_stream("aac", rate=SAMPLE_RATE, layout=_LAYOUT)
        stream.bit_rate = _BIT_RATE
        for target_stream, packet in merge_by_time([images, (stream, _encode(stream, audio))]):
            packet.stream = target_stream
            container.mux(packet)


def _start_of(stream: Any) -> Fraction:
    """Return the second at which a stream starts."""
    return Fraction((stream.start_time or 0) * (stream.time_base or 0))


def _encode(stream: "AudioStream", audio: Iterable["AudioFrame"]) -> Iterator["Packet[Any]"]:
    samples = 0
    for frame in audio:
        frame.pts, frame.time_base = samples, Fraction(1, SAMPLE_RATE)
        samples += frame.samples
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _on_both_sides(frame: "AudioFrame") -> "AudioFrame":
    """Return one channel as left and right, which a resampler would make quieter by 3 dB."""
    import av

    if len(frame.layout.channels) != 1:
        return frame
    kind = frame.format.planar.name
    both = av.AudioFrame(format=kind, layout=_LAYOUT, samples=frame.samples)
    both.sample_rate = frame.sample_rate
    heard = bytes(frame.planes[0])
    for plane in both.planes:  # each of its own size, filled up to an even one
        plane.update(heard[: plane.buffer_size].ljust(plane.buffer_size, b"\0"))
    return both


def _make_silence(samples: int) -> Iterator["AudioFrame"]:
    import av

    while samples > 0:
        frame = av.AudioFrame(format=_FORMAT, layout=_LAYOUT, samples=min(samples, _BLOCK))
        frame.sample_rate = SAMPLE_RATE
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        samples -= frame.samples
        yield frame
