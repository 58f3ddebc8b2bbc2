"""A finished video as MP4 fragments, each copied from it when it is asked for: what HLS plays.

A fragment begins with a key frame. Nothing is encoded and nothing is kept: the index of the file
says where the key frames are.
"""

import io
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_agent.errors import StorageError
from media_agent.video.codec import FRAGMENTED, split_header
from media_agent.video.container import add_copy, open_video

if TYPE_CHECKING:
    from av.container import InputContainer

_SHORTEST = Fraction(2)  # seconds of a fragment, where key frames are closer
_TOLERANCE = Fraction(1, 1000)  # seconds
_COPIED = ("video", "audio")


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where the fragments of a video begin, and where the last one ends, in seconds."""

    places: tuple[Fraction, ...]
    shift: Fraction
    """How much later everything is shown, so that no time is below zero."""
    sizes: tuple[int, ...]
    """How many bytes each fragment has, without what wraps them."""

    @property
    def lengths(self) -> tuple[float, ...]:
        """The length of each fragment."""
        return tuple(float(end - start) for start, end in pairwise(self.places))


@lru_cache(maxsize=64)
def find_cuts(path: Path, lengths: Sequence[float] = ()) -> Cuts:
    """Return where a video can be cut: first into these lengths, then every few seconds.

    Raises:
        StorageError: it is not a readable video, or nothing says where its key frames are.
    """
    with open_video(path) as video:
        stream = video.streams.video[0]
        unit = _unit_of(stream)
        entries = stream.index_entries
        keys = [each.timestamp * unit for each in entries if each.is_keyframe]
        if not keys or video.duration is None:
            raise StorageError(f"{path} has no index of its key frames")
        last = entries[-1].timestamp * unit
        length = Fraction(video.duration, 1_000_000)
        end = max((length + min(keys[0], Fraction(0)), last))
        starts = [start for start in _choose(keys, lengths) if start < end]
        shift = max(Fraction(0), -_first_time(video))
        return Cuts((*starts, end), shift, tuple(_measure(video, starts)))


def _measure(video: "InputContainer", starts: Sequence[Fraction]) -> list[int]:
    """Return the bytes of the packets in each fragment."""
    sizes = [0] * len(starts)
    for stream in _streams_of(video, with_audio=True):
        unit = _unit_of(stream)
        for each in stream.index_entries:
            place = bisect_right(starts, each.timestamp * unit) - 1
            sizes[max(0, place)] += each.size
    return sizes


def _choose(keys: Sequence[Fraction], lengths: Sequence[float]) -> list[Fraction]:
    """Return the key frames to begin at: those that `lengths` lead to, then not too close ones."""
    chosen = [keys[0]]
    place = keys[0]
    for length in lengths:
        place += Fraction(length)
        near = bisect_left(keys, place - _TOLERANCE)
        if near < len(keys) and keys[near] > chosen[-1]:
            chosen.append(keys[near])
    for key in keys:
        if key - chosen[-1] >= _SHORTEST:
            chosen.append(key)
    return chosen


def _first_time(video: "InputContainer") -> Fraction:
    """Return the first time that is said of anything in a video."""
    streams = [each for each in video.streams if each.type in _COPIED]
    first = (
        each.index_entries[0].timestamp * _unit_of(each)
        for each in streams
        if len(each.index_entries)
    )
    return min(first, default=Fraction(0))


def cut_fragment(
    path: Path, cuts: Cuts, number: int, *, with_audio: bool = True
) -> tuple[bytes, bytes]:
    """Return the header, the same of all, and a fragment.

    Raises:
        StorageError: it is not a readable video, or MP4 has no place for what is in it.
    """
    import av

    start, end = cuts.places[number], cuts.places[number + 1]
    is_last = number == len(cuts.places) - 2
    buffer = io.BytesIO()
    options = FRAGMENTED | {"fragment_index": str(number + 1)}
    with open_video(path) as video, av.open(buffer, "w", format="mp4", options=options) as target:
        copies: dict[int, Any] = {}
        for stream in _streams_of(video, with_audio=with_audio):
            copies[stream.index] = add_copy(target, stream)
        first = video.streams.video[0]
        video.seek(int(start / _unit_of(first)), stream=first)
        behind: set[int] = set()
        for packet in video.demux([video.streams[index] for index in copies]):
            if packet.dts is None or packet.time_base is None:
                continue
            time = packet.dts * Fraction(packet.time_base)
            if not is_last and time >= end:
                behind.add(packet.stream_index)
                if len(behind) == len(copies):
                    break
            elif time >= start or (number == 0 and time >= -cuts.shift):
                _shift(packet, cuts.shift)
                packet.stream = copies[packet.stream_index]
                target.mux(packet)
    return split_header(buffer.getvalue())


def _streams_of(video: "InputContainer", *, with_audio: bool) -> list[Any]:
    audio = list(video.streams.audio[:1]) if with_audio else []
    return [video.streams.video[0], *audio]


def _unit_of(stream: Any) -> Fraction:
    return Fraction(stream.time_base or 1)


def _shift(packet: Any, seconds: Fraction) -> None:
    ticks = round(seconds / Fraction(packet.time_base))
    packet.dts += ticks
    if packet.pts is not None:
        packet.pts += ticks
