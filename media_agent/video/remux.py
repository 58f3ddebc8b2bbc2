"""Videos copied packet by packet, unchanged in every frame, with tags and with other sound."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from itertools import repeat, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from media_agent.video.container import add_copy, open_new_mp4, open_video

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

    Row = tuple[Any, Iterator[Any]]  # a stream to write to, and what goes there


def remux(
    source: Path | BinaryIO,
    target: Path,
    *,
    tags: Mapping[str, str] | None = None,
    sound: Path | None = None,
) -> None:
    """Copy a video, unchanged in every frame, to an MP4 that starts at once (faststart), with tags.

    Args:
        source: The video; sound of its own is left out.
        target: The MP4.
        tags: What its metadata say.
        sound: An MP4 of sound, which goes with it as far as the video lasts.

    Raises:
        StorageError: the source is not a readable video.
    """
    with ExitStack() as stack:
        video = stack.enter_context(open_video(source))
        container = stack.enter_context(open_new_mp4(target))
        container.metadata.update(tags or {})
        rows = [open_row(container, video, "video")]
        if sound is not None:
            rows += _open_sound_rows(stack, container, sound, _measure_end(source))
        for stream, packet in merge_by_time(rows):
            packet.stream = stream
            container.mux(packet)


def open_row(
    container: "OutputContainer", source: "InputContainer", kind: str, number: int = 0
) -> "Row":
    """Return a new stream like one of a source, and the packets that go there unchanged."""
    stream: Any = [each for each in source.streams if each.type == kind][number]
    return add_copy(container, stream), _read_packets(source, stream)


def _open_sound_rows(
    stack: ExitStack, container: "OutputContainer", sound: Path, end: Fraction
) -> "Iterator[Row]":
    """Yield each of its streams, opened by itself so that all can be read side by side."""
    import av

    with av.open(str(sound)) as first:
        count = len(first.streams.audio)
    for number in range(count):
        stream, packets = open_row(
            container, stack.enter_context(av.open(str(sound))), "audio", number
        )
        yield stream, takewhile(lambda packet: _time_of(packet) < end, packets)


def _read_packets(source: "InputContainer", stream: Any) -> Iterator[Any]:
    return (packet for packet in source.demux(stream) if packet.dts is not None)


def _measure_end(source: Path | BinaryIO) -> Fraction:
    """Return when the last frame ends."""
    with open_video(source) as video:
        ends = (
            (packet.pts + (packet.duration or 0)) * packet.time_base
            for packet in video.demux(video=0)
            if packet.pts is not None and packet.time_base is not None
        )
        return max(ends, default=Fraction(0))


def merge_by_time(rows: "Iterable[Row]") -> Iterator[tuple[Any, Any]]:
    """Yield the packets of several streams, each with its new stream, in order of time."""
    pairs = (zip(repeat(stream), packets) for stream, packets in rows)
    yield from heapq.merge(*pairs, key=lambda pair: _time_of(pair[1]))


def _time_of(packet: Any) -> Fraction:
    return Fraction(packet.dts * packet.time_base)
