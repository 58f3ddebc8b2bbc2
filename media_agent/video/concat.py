"""Several videos become one: copied packet by packet where they allow it, else encoded again.

Where a video begins with the last frame of the one before, that frame is shown once. It is the
earlier video that gives it up: its last frame can be left out without touching any other, as long
as no other frame was encoded from it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import InvalidRequestError
from media_agent.video.codec import (
    iterate_images,
    open_new_mp4,
    open_video,
    rate_of,
    write_images,
)
from media_agent.video.remux import remux
from media_agent.video.resample import resample

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of joining."""

    path: Path
    frames: int
    encoded_again: bool
    lost_sound: bool


@dataclass(frozen=True, slots=True)
class _Facts:
    """What must be the same in all videos to copy them one after the other."""

    path: Path
    frames: int
    fps: Fraction
    size: tuple[int, int]
    has_sound: bool
    setup: tuple[object, ...]
    last_is_free: bool
    """Whether the last packet is the last image too, so that it can be left out."""


def join_videos(videos: Sequence[Path], target: Path, *, shared: int = 0) -> Joined:
    """Write the videos one after the other; `shared` (0 or 1) last frames of one start the next.

    Size and rate are those of the first. Sound is left out.

    Raises:
        InvalidRequestError: there is no video.
        StorageError: a video is not a readable video.
    """
    if not videos:
        raise InvalidRequestError("no videos to join")
    facts = [_look(path) for path in videos]
    first = facts[0]
    free = all(each.last_is_free for each in facts[:-1]) or not shared
    same = all(each.setup == first.setup for each in facts)
    frames = sum(each.frames for each in facts) - shared * (len(facts) - 1)
    if len(facts) == 1:
        remux(first.path, target)
    elif same and free and _count_ticks(first) is not None:
        _copy(facts, target, shared)
    else:
        images = resample(_decode_images(facts, shared), first.fps)
        frames = write_images(target, images, size=first.size, fps=float(first.fps))
    return Joined(
        path=target,
        frames=frames,
        encoded_again=len(facts) > 1 and not (same and free and _count_ticks(first) is not None),
        lost_sound=any(each.has_sound for each in facts),
    )


def can_copy(videos: Sequence[Path]) -> bool:
    """Whether videos can be joined without encoding a frame again.

    Raises:
        StorageError: a video is not a readable video.
    """
    facts = [_look(path) for path in videos]
    same = all(each.setup == facts[0].setup for each in facts)
    return same and _count_ticks(facts[0]) is not None


def _look(path: Path) -> _Facts:
    with open_video(path) as video:
        stream = video.streams.video[0]
        times = [packet.pts for packet in video.demux(stream) if packet.size]
        context = stream.codec_context
        rate, unit = rate_of(stream), stream.time_base
        known = [time for time in times if time is not None]
        return _Facts(
            path=path,
            frames=len(times),
            fps=rate,
            size=(context.width, context.height),
            has_sound=bool(video.streams.audio),
            setup=(
                context.codec.canonical_name,
                context.width,
                context.height,
                context.pix_fmt,
                bytes(context.extradata or b""),
                unit and Fraction(unit.numerator, unit.denominator),  # PyAV 19 has its own type
                rate,
            ),
            last_is_free=bool(times) and len(known) == len(times) and times[-1] == max(known),
        )


def _count_ticks(facts: _Facts) -> int | None:
    """Return how long a frame is in the video's own unit, None if that is no whole number."""
    unit = facts.setup[5]
    if not isinstance(unit, Fraction):
        return None
    ticks = 1 / facts.fps / unit
    return int(ticks) if ticks.denominator == 1 else None


def _copy(facts: Sequence[_Facts], target: Path, shared: int) -> None:
    """Copy every packet, its times moved to behind those before it."""
    step = _count_ticks(facts[0]) or 1
    with open_new_mp4(target) as container:
        stream: VideoStream | None = None
        start = 0
        for index, each in enumerate(facts):
            kept = each.frames - (shared if index < len(facts) - 1 else 0)
            with open_video(each.path) as video:
                source = video.streams.video[0]
                if stream is None:
                    stream = container.add_stream_from_template(source)
                begin: int | None = None
                for number, packet in enumerate(video.demux(source)):
                    if packet.dts is None or packet.pts is None or number >= kept:
                        continue
                    begin = packet.pts if begin is None else begin
                    packet.pts += start - begin
                    packet.dts += start - begin
                    packet.stream = stream
                    container.mux(packet)
            start += kept * step


def _decode_images(facts: Sequence[_Facts], shared: int) -> Iterator[tuple["VideoFrame", Fraction]]:
    """Yield every frame of the whole with the second at which the next one replaces it."""
    end = Fraction(0)
    for index, each in enumerate(facts):
        kept = each.frames - (shared if index < len(facts) - 1 else 0)
        for image in islice(iterate_images(each.path), kept):
            end += 1 / each.fps
            yield image, end
