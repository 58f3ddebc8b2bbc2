"""A video from outside with its continuation behind it: one video, of the source's size and rate.

The frames are copied where both are encoded alike; else all are encoded again. The audio of the
source is kept as long as it lasts, then comes that of the new part, if it has any.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from media_agent.ingest.read import iterate_upright, measure_video, read_video_seconds
from media_agent.ingest.source import Source, count_most_frames, open_medium
from media_agent.video.audio import add_audio, fit_audio
from media_agent.video.codec import write_images
from media_agent.video.concat import can_copy, join_videos
from media_agent.video.probe import probe
from media_agent_schemas.media import LARGEST_SIDE, SMALLEST_SIDE, MediaInput, Size, SourceJoin

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.video.frame import VideoFrame

    from media_agent.video.codec import Mark


def join_source(
    source: Source, part: Path, target: Path, *, mark: "Mark | None" = None
) -> SourceJoin:
    """Write the source and the part that continues it as one MP4, and say how.

    A part of another shape is scaled to fit into the source's frames, with black around it. The
    frames of the part, not of the source, pass through `mark` if they are encoded again.

    Raises:
        InvalidRequestError: the source is no video, or it is damaged or too large.
        StorageError: the part is not a readable video.
    """
    new = probe(part)
    size, rate = measure_video(source)
    fps, path = float(rate), _path_of(source)
    is_copied = path is not None and can_copy([path, part])
    if is_copied and path is not None:
        seconds = probe(path).frames / fps
        join_videos([path, part], target)
    else:
        seconds = _encode_again(source, part, target, size=size, fps=fps, mark=mark)
    own = _even_size(new.width, new.height)
    return SourceJoin(
        seconds=seconds,
        new_frames=new.frames,
        encoded_again=not is_copied,
        scaled_from=None if own == size else own,
        resampled_from=None if abs(new.fps - fps) < 0.01 else new.fps,
    )


def _even_size(width: int, height: int) -> Size:
    """Return a size for the record, which knows even sides only."""
    sides = (min(max(side - side % 2, SMALLEST_SIDE), LARGEST_SIDE) for side in (width, height))
    return Size(width=next(sides), height=next(sides))


def _encode_again(
    source: Source,
    part: Path,
    target: Path,
    *,
    size: Size,
    fps: float,
    mark: "Mark | None",
) -> float:
    """Write both with the size and rate of the source; return how long its frames last."""
    silent = target.with_name(f"{target.stem}.silent.mp4")
    first = _Counted(iterate_upright(source, size=size, fps=fps))
    rest = iterate_upright(part, size=size, fit="pad", fps=fps)
    images = chain(first, rest)

    def mark_rest(frame: "VideoFrame") -> "VideoFrame":
        return mark(frame) if mark is not None and first.is_over else frame

    frames = write_images(silent, images, size=(size.width, size.height), fps=fps, mark=mark_rest)
    seconds = first.count / fps
    if _has_audio(source) or _has_audio(part):
        sounds = chain(_audio_of(source, seconds), _audio_of(part, frames / fps - seconds))
        add_audio(silent, sounds, target)
        silent.unlink()
    else:
        silent.replace(target)
    return seconds


def find_obstacles(source: Source) -> list[str]:
    """Say before anything is paid why a source may not be joined with what will continue it.

    Raises:
        InvalidRequestError: the source is no video, or it is damaged or too large.
    """
    size, rate = measure_video(source)
    most, seconds = count_most_frames(size.width, size.height), read_video_seconds(source)
    if seconds * rate <= most:
        return []
    return [
        f"the source claims to last {seconds:.0f} s, too long for frames of {size} to be encoded "
        "again; if it cannot be copied, the new part is delivered alone"
    ]


class _Counted:
    """Images, counted as they pass."""

    def __init__(self, images: "Iterator[VideoFrame]") -> None:
        self._images = images
        self.count = 0
        self.is_over = False

    def __iter__(self) -> "Iterator[VideoFrame]":
        for image in self._images:
            self.count += 1
            yield image
        self.is_over = True


def _path_of(source: Source) -> Path | None:
    if isinstance(source, MediaInput):
        return None if source.path is None else Path(source.path)
    return source if isinstance(source, Path) else None


def _has_audio(source: Source) -> bool:
    with open_medium(source, "video") as medium:
        return bool(medium.container.streams.audio)


def _audio_of(source: Source, seconds: float) -> "Iterator[AudioFrame]":
    """Yield the audio of a video as long as its frames last; silence where there is none."""
    with open_medium(source, "video") as medium:
        streams = medium.container.streams.audio
        if not streams:
            yield from fit_audio((), seconds=seconds)
            return
        start, _ = medium.read_extent()
        begin = streams[0].start_time
        at = 0.0 if begin is None or streams[0].time_base is None else begin * streams[0].time_base
        frames = medium.container.decode(streams[0])
        yield from fit_audio(frames, seconds=seconds, delay=float(at - start))
