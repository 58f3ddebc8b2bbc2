"""Several films become one: copied packet by packet where they allow it, else encoded again.

Where a film begins with the last frame of the one before, that frame is shown once. It is the
earlier film that gives it up: its last frame can be left out without touching any other, as long
as no other frame was encoded from it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import InvalidRequestError
from media_agent.film import Film
from media_agent.video import iterate_frames, opened, remux

if TYPE_CHECKING:
    from av.video.stream import VideoStream

    from media_agent.video import Frames

_CHUNK_BYTES = 1 << 26  # frames in memory while encoding; at most a second of film


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of joining."""

    path: Path
    frames: int
    encoded_again: bool
    lost_sound: bool


@dataclass(frozen=True, slots=True)
class _Facts:
    """What must be the same in all films to copy them one after the other."""

    path: Path
    frames: int
    fps: Fraction
    size: tuple[int, int]
    has_sound: bool
    setup: tuple[object, ...]
    last_is_free: bool
    """Whether the last packet is the last picture too, so that it can be left out."""


def join_films(films: Sequence[Path], target: Path, *, shared: int = 0) -> Joined:
    """Write the films one after the other; the last `shared` (0 or 1) frames of one begin the next.

    Size and rate are those of the first. Sound is left out.

    Raises:
        InvalidRequestError: there is no film.
        StorageError: a film is not a readable video.
    """
    if not films:
        raise InvalidRequestError("there is no film to join")
    facts = [_look(path) for path in films]
    first = facts[0]
    free = all(each.last_is_free for each in facts[:-1]) or not shared
    same = all(each.setup == first.setup for each in facts)
    frames = sum(each.frames for each in facts) - shared * (len(facts) - 1)
    if len(facts) == 1:
        remux(first.path, target)
    elif same and free and _ticks(first) is not None:
        _copy(facts, target, shared)
    else:
        frames = _encode(facts, target, shared)
    return Joined(
        path=target,
        frames=frames,
        encoded_again=len(facts) > 1 and not (same and free and _ticks(first) is not None),
        lost_sound=any(each.has_sound for each in facts),
    )


def _look(path: Path) -> _Facts:
    with opened(path) as film:
        stream = film.streams.video[0]
        times = [packet.pts for packet in film.demux(stream) if packet.size]
        context = stream.codec_context
        rate = stream.average_rate or stream.guessed_rate or Fraction(1)
        known = [time for time in times if time is not None]
        return _Facts(
            path=path,
            frames=len(times),
            fps=rate,
            size=(context.width, context.height),
            has_sound=bool(film.streams.audio),
            setup=(
                context.name,
                context.width,
                context.height,
                context.pix_fmt,
                bytes(context.extradata or b""),
                stream.time_base,
                rate,
            ),
            last_is_free=bool(times) and len(known) == len(times) and times[-1] == max(known),
        )


def _ticks(facts: _Facts) -> int | None:
    """Return how long a frame is in the film's own unit, None if that is no whole number."""
    unit = facts.setup[5]
    if not isinstance(unit, Fraction):
        return None
    ticks = 1 / facts.fps / unit
    return int(ticks) if ticks.denominator == 1 else None


def _copy(facts: Sequence[_Facts], target: Path, shared: int) -> None:
    """Copy every packet, its times moved to behind those before it."""
    import av

    step = _ticks(facts[0]) or 1
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: VideoStream | None = None
        start = 0
        for index, each in enumerate(facts):
            kept = each.frames - (shared if index < len(facts) - 1 else 0)
            with opened(each.path) as film:
                source = film.streams.video[0]
                if stream is None:
                    stream = container.add_stream_from_template(source)
                begin: int | None = None
                for number, packet in enumerate(film.demux(source)):
                    if packet.dts is None or packet.pts is None or number >= kept:
                        continue
                    begin = packet.pts if begin is None else begin
                    packet.pts += start - begin
                    packet.dts += start - begin
                    packet.stream = stream
                    container.mux(packet)
            start += kept * step


def _encode(facts: Sequence[_Facts], target: Path, shared: int) -> int:
    """Encode every frame again, in the size and rate of the first film."""
    import numpy as np

    first = facts[0]
    width, height = first.size
    most = max(1, min(round(first.fps), _CHUNK_BYTES // (3 * width * height)))
    folder = target.parent / f"{target.stem}.joining"
    waiting: list[Frames] = []
    with Film(folder, fps=float(first.fps)) as film:
        for frame in _frames(facts, shared):
            waiting.append(frame)
            if len(waiting) == most:
                film.add(np.stack(waiting))
                waiting = []
        if waiting:
            film.add(np.stack(waiting))
        film.finish(target.name).replace(target)
        frames = film.frames
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    return frames


def _frames(facts: Sequence[_Facts], shared: int) -> Iterator["Frames"]:
    for index, each in enumerate(facts):
        kept = each.frames - (shared if index < len(facts) - 1 else 0)
        yield from _at_rate(each, facts[0], kept)


def _at_rate(film: _Facts, wanted: _Facts, kept: int) -> Iterator["Frames"]:
    """Yield the first `kept` frames in the wanted size, repeated or left out to fit the rate."""
    ratio = wanted.fps / film.fps
    given = 0
    for number, frame in enumerate(iterate_frames(film.path)):
        if number >= kept:
            return
        until = round((number + 1) * ratio)
        for _ in range(given, until):
            yield _sized(frame, wanted.size)
        given = max(given, until)


def _sized(frame: "Frames", size: tuple[int, int]) -> "Frames":
    import numpy as np
    from PIL import Image

    if (frame.shape[1], frame.shape[0]) == size:
        return frame
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)
