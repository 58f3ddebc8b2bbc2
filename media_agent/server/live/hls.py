"""A video as HLS: a playlist and its segments, while it is made and afterwards.

Of a video that is made chunk by chunk each chunk is a segment, read from the file of the chunk.
When the video is finished and those files are gone, the same segments are cut from it, also after a
restart, so that a player which began while it was made goes on as if nothing had happened.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from media_agent.errors import JobNotFoundError, VideoNotReadyError
from media_agent.storage.files import storage_errors
from media_agent.storage.work_folder import chunk_name
from media_agent.video.chunk_file import read_chunk, read_length
from media_agent.video.codec import split_header, to_frame_rate
from media_agent.video.mp4.fragments import cut_fragment, find_cuts
from media_agent_schemas.jobs import VideoJob

_REMEMBERED = 200  # videos whose chunks are known
_SHORTEST_TARGET = 2  # seconds; it must not change while a playlist grows


class Segments(Protocol):
    """The segments of one video as it is now."""

    def lengths(self) -> Sequence[float]:
        """Return the length of each in seconds."""
        ...

    def sizes(self) -> Sequence[int]:
        """Return about how many bytes each has."""
        ...

    def read(self, number: int) -> tuple[bytes, bytes]:
        """Return the header of all, and one segment."""
        ...


class Chunks:
    """The segments of a video that is being made, or whose chunks are kept."""

    def __init__(self, folder: Path, frames: Sequence[int], fps: float) -> None:
        self._folder = folder
        self._frames = frames
        self._rate = to_frame_rate(fps)

    def lengths(self) -> Sequence[float]:
        """Return the length of each in seconds."""
        return tuple(float(each / self._rate) for each in self._frames)

    def sizes(self) -> Sequence[int]:
        """Return about how many bytes each has."""
        paths = (self._folder / chunk_name(number) for number in range(len(self._frames)))
        with storage_errors(f"a chunk in {self._folder}", "used"):
            return tuple(path.stat().st_size for path in paths)

    def read(self, number: int) -> tuple[bytes, bytes]:
        """Return the header of all, and one segment."""
        path = self._folder / chunk_name(number)
        return split_header(read_chunk(path, number, sum(self._frames[:number])).encoded)


class Finished:
    """The segments of a finished video."""

    def __init__(self, path: Path, known: Sequence[float], *, with_audio: bool) -> None:
        """Begin with the segments that are known from the time when it was made.

        Whoever began while it was made has heard no audio, and hears none after its end.
        """
        self._path = path
        self._cuts = find_cuts(path, tuple(known))
        self._with_audio = with_audio

    def lengths(self) -> Sequence[float]:
        """Return the length of each in seconds."""
        return self._cuts.lengths

    def sizes(self) -> Sequence[int]:
        """Return about how many bytes each has."""
        return self._cuts.sizes

    def read(self, number: int) -> tuple[bytes, bytes]:
        """Return the header of all, and one segment."""
        return cut_fragment(self._path, self._cuts, number, with_audio=self._with_audio)


class HlsVideos:
    """Finds the segments of jobs; remembers the chunks of those that were watched growing."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    def knows(self, job: VideoJob) -> bool:
        """Return whether a video was watched here with every chunk that it has now."""
        return len(self._known.get(job.id, ())) == job.chunks_ready

    def find(self, job: VideoJob, chunk_path: str | None, frames: tuple[int, ...] = ()) -> Segments:
        """Return the segments of a job; `chunk_path` is that of its growing video, if it has one.

        `frames` are those of its chunks as they are kept, for a video that was not watched here to
        its end: a player may have begun at a server before this one. A branch did not make all of
        its chunks.

        Raises:
            VideoNotReadyError: there is nothing of it yet.
            JobNotFoundError: there will be nothing of it.
            StorageError: its video cannot be read.
        """
        video = job.artifacts[0].path if job.artifacts else None
        fps = job.plan.request.fps
        if video is not None and job.status.is_terminal:
            watched = self._known.get(job.id)
            known = frames if len(frames) == job.chunks_ready else watched or ()
            lengths = Chunks(Path(), known, fps or 1).lengths()
            return Finished(Path(video), lengths, with_audio=watched is None)
        if chunk_path is None or fps is None or job.chunks_ready == 0:
            if job.status.is_terminal:
                raise JobNotFoundError(f"job {job.id} has no video")
            raise VideoNotReadyError(f"job {job.id} has no video yet")
        folder = Path(chunk_path).parent / "chunks"
        return Chunks(folder, self._list_frames(job, folder), fps)

    def _list_frames(self, job: VideoJob, folder: Path) -> tuple[int, ...]:
        known = self._known.pop(job.id, ())[: job.chunks_ready]
        new = range(len(known), job.chunks_ready)
        frames = (*known, *(read_length(folder / chunk_name(number)) for number in new))
        self._known[job.id] = frames
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return frames


def measure_peak(segments: Segments) -> float:
    """Return the most bits that a second of any segment has, of those that are there."""
    pairs = zip(segments.sizes(), segments.lengths(), strict=True)
    return max((8 * size / length for size, length in pairs if length > 0), default=0.0)


def write_playlist(lengths: Sequence[float], *, is_over: bool) -> str:
    """Return the playlist of segments of these lengths."""
    target = max(_SHORTEST_TARGET, *(round(each) for each in lengths))
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{target}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-MAP:URI="init.mp4"',
    ]
    for number, length in enumerate(lengths):
        lines += [f"#EXTINF:{length:.6f},", f"{number}.m4s"]
    if is_over:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"
