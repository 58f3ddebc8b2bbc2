"""Audio of videos: as long as their frames last, one after the other. PyAV is imported at use."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_agent.video.codec import open_new_mp4, open_video
from media_agent.video.remux import merge_by_time, open_row

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet

SAMPLE_RATE = 48_000
_LAYOUT = "stereo"
_FORMAT = "fltp"
_BIT_RATE = 192_000
_BLOCK = 1024  # samples of a frame of AAC


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
        frame.pts = None  # gaps in its times are not kept
        for each in resampler.resample(frame):
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


def add_audio(video: Path, audio: Iterable["AudioFrame"], target: Path) -> None:
    """Write a video, its frames copied unchanged, with this audio as AAC."""
    with open_video(video) as source, open_new_mp4(target) as container:
        images = open_row(container, source, "video")
        stream = container.add_stream("aac", rate=SAMPLE_RATE, layout=_LAYOUT)
        stream.bit_rate = _BIT_RATE
        for target_stream, packet in merge_by_time([images, (stream, _encode(stream, audio))]):
            packet.stream = target_stream
            container.mux(packet)


def _encode(stream: "AudioStream", audio: Iterable["AudioFrame"]) -> Iterator["Packet[Any]"]:
    samples = 0
    for frame in audio:
        frame.pts, frame.time_base = samples, Fraction(1, SAMPLE_RATE)
        samples += frame.samples
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _make_silence(samples: int) -> Iterator["AudioFrame"]:
    import av

    while samples > 0:
        frame = av.AudioFrame(format=_FORMAT, layout=_LAYOUT, samples=min(samples, _BLOCK))
        frame.sample_rate = SAMPLE_RATE
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        samples -= frame.samples
        yield frame
