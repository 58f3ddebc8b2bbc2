"""Several videos become one: copied packet by packet where they allow it, else encoded again.

Where a video begins with the last frame of the one before, that frame is shown once. It is the
earlier video that gives it up: its last frame can be left out without touching any other, as long
as no other frame was encoded from it.

Audio goes with its frames: each video's is cut, or filled up with silence, to the length of those
of its frames that are kept, and the whole is encoded again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.storage.files import temporary_beside
from media_agent.video.audio import SAMPLE_RATE, add_audio, read_audio
from media_agent.video.codec import iterate_images, write_images
from media_agent.video.container import add_copy, open_new_mp4, open_video
from media_agent.video.probe import rate_of
from media_agent.video.remux import remux
from media_agent.video.resample import resample

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from media_agent.video.codec import Mark

_MOST_REPEATED = 240  # times that a frame is shown at another rate: half a frame a second at 120


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of joining."""

    path: Path
    frames: int
    encoded_again: bool
    """Whether its frames were; audio always is."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What must be the same in all videos to copy them one after the other."""

    path: Path
    frames: int
    fps: Fraction
    size: tuple[int, int]
    has_audio: bool
    setup: tuple[object, ...]
    last_is_free: bool
    """Whether the last packet is the last image too, so that it can be left out."""
    ticks: int | None
    """How long every frame is shown in the video's own unit; None: unevenly, or no whole number."""


def join_videos(
    videos: Sequence[Path],
    target: Path,
    *,
    shared: int = 0,
    mark: "Mark | None" = None,
    encode: bool = False,
) -> Joined:
    """Write the videos one after the other; `shared` (0 or 1) last frames of one start the next.

    Size and rate are those of the first. There is audio if any of them has some. Frames that have
    to be encoded again, with `encode` all, pass through `mark`.

    Raises:
        InvalidRequestError: there is no video.
        StorageError: a video is not a readable video.
    """
    if not videos:
        raise InvalidRequestError("no videos to join")
    facts = [_look(path) for path in videos]
    kept = [each.frames - shared for each in facts[:-1]] + [facts[-1].frames]
    if not any(each.has_audio for each in facts):
        return _join_images(facts, kept, target, mark, encode=encode)
    silent = temporary_beside(target)
    try:
        joined = _join_images(facts, kept, silent, mark, encode=encode)
        add_audio(silent, _read_audio(facts, kept), target)
    finally:
        silent.unlink(missing_ok=True)
    return replace(joined, path=target)


def can_copy(videos: Sequence[Path]) -> bool:
    """Whether videos can be joined without encoding a frame again.

    Raises:
        StorageError: a video is not a readable video.
    """
    facts = [_look(path) for path in videos]
    return _are_alike(facts)


def _join_images(
    facts: Sequence[_Facts],
    kept: Sequence[int],
    target: Path,
    mark: "Mark | None",
    *,
    encode: bool,
) -> Joined:
    """Write so many frames of each video one after the other, without any audio."""
    first = facts[0]
    free = all(each.last_is_free or each.frames == n for each, n in zip(facts, kept, strict=True))
    is_copied = not encode and (len(facts) == 1 or (free and _are_alike(facts)))
    frames = sum(kept)
    if is_copied and len(facts) == 1:
        remux(first.path, target)
    elif is_copied:
        _copy(facts, kept, target)
    else:
        _check_rates(facts, kept)
        images = resample(_decode_images(facts, kept), first.fps)
        frames = write_images(target, images, size=first.size, fps=float(first.fps), mark=mark)
    return Joined(target, frames, encoded_again=not is_copied)


def _check_rates(facts: Sequence[_Facts], kept: Sequence[int]) -> None:
    """Refuse rates that make far more frames of these than there are, as damaged headers say."""
    first = facts[0]
    seconds = sum(frames / each.fps for each, frames in zip(facts, kept, strict=True))
    if seconds * first.fps > _MOST_REPEATED * max(1, sum(kept)):
        rates = ", ".join(f"{float(each.fps):g}" for each in facts)
        raise StorageError(
            f"{first.path} cannot be joined with others: their frames a second are {rates}"
        )


def _read_audio(facts: Sequence[_Facts], kept: Sequence[int]) -> Iterator["AudioFrame"]:
    """Yield the audio of the kept frames; each begins at the sample at which its frames do."""
    end = Fraction(0)
    for each, frames in zip(facts, kept, strict=True):
        start, end = end, end + frames / each.fps
        samples = round(end * SAMPLE_RATE) - round(start * SAMPLE_RATE)
        yield from read_audio(each.path, seconds=samples / SAMPLE_RATE)


def _look(path: Path) -> _Facts:
    with open_video(path) as video:
        stream = video.streams.video[0]
        times = [packet.pts for packet in video.demux(stream) if packet.size]
        context = stream.codec_context
        rate, unit = rate_of(stream), stream.time_base
        known = sorted(time for time in times if time is not None)
        second = unit and Fraction(unit.denominator, unit.numerator)  # PyAV 19 has its own type
        is_even = second is not None and len(known) == len(times) and _is_even(known, second / rate)
        return _Facts(
            path=path,
            frames=len(times),
            fps=rate,
            size=(context.width, context.height),
            has_audio=bool(video.streams.audio),
            setup=(
                context.codec.canonical_name,
                context.width,
                context.height,
                context.pix_fmt,
                bytes(context.extradata or b""),
                second,
                rate,
            ),
            last_is_free=bool(times) and len(known) == len(times) and times[-1] == known[-1],
            ticks=int(second / rate) if second is not None and is_even else None,
        )


def _is_even(times: Sequence[int], step: Fraction) -> bool:
    """Whether frames at these times are shown for a whole number of ticks, all for the same one."""
    steps = (later - earlier for earlier, later in pairwise(times))
    return step.denominator == 1 and all(each == step for each in steps)


def _are_alike(facts: Sequence[_Facts]) -> bool:
    """Whether the frames of one can follow those of another as they are."""
    first = facts[0]
    return first.ticks is not None and all(
        (each.ticks, each.setup) == (first.ticks, first.setup) for each in facts
    )


def _copy(facts: Sequence[_Facts], kept: Sequence[int], target: Path) -> None:
    """Copy so many packets of each video, their times moved to behind those before it."""
    step = facts[0].ticks or 1
    with open_new_mp4(target) as container:
        stream: VideoStream | None = None
        start = 0
        for each, frames in zip(facts, kept, strict=True):
            with open_video(each.path) as video:
                source = video.streams.video[0]
                if stream is None:
                    stream = add_copy(container, source)
                begin: int | None = None
                for number, packet in enumerate(video.demux(source)):
                    if packet.dts is None or packet.pts is None or number >= frames:
                        continue
                    begin = packet.pts if begin is None else begin
                    packet.pts += start - begin
                    packet.dts += start - begin
                    packet.stream = stream
                    container.mux(packet)
            start += frames * step


def _decode_images(
    facts: Sequence[_Facts], kept: Sequence[int]
) -> Iterator[tuple["VideoFrame", Fraction]]:
    """Yield every frame of the whole with the second at which the next one replaces it."""
    end = Fraction(0)
    for each, frames in zip(facts, kept, strict=True):
        for image in islice(iterate_images(each.path), frames):
            end += 1 / each.fps
            yield image, end
