"""A video that grows on disk chunk by chunk and survives a kill between any two instructions.

chunks/00000007.chunk         one per chunk: checksummed, written aside, fsynced, renamed
states/00000008.safetensors   what chunk 8 is made from, written after chunk 7; the newest few
video.part.mp4                the chunks so far, playable; rebuilt from them at start, never trusted
video.mp4                     the finished video, or video.partial.mp4 of a stopped one
desk-1a2b3c4d/                what is being written, to be renamed to one of these when it is whole

Whoever opens the folder takes the desks of earlier ones away. So a process that lost its video to
another, and does not know yet, can rename nothing into it any more.
"""

import hashlib
import json
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from media_agent.errors import GenerationFailedError, NotResumableError, StorageError
from media_agent.storage.files import numbered, storage_errors, written_aside
from media_agent.storage.work_folder import chunk_name, state_name, video_folders
from media_agent.video.codec import encode_chunk, split_header
from media_agent.video.remux import remux

if TYPE_CHECKING:
    from media_agent.video.codec import Frames

_MAGIC = b"media-agent chunk 1"


class Video:
    """Writes chunks durably, and with each of them a video that can be watched already."""

    def __init__(self, folder: Path, *, fps: float, chunks: int = 0) -> None:
        """Open a folder, keeping its first `chunks` chunks and forgetting whatever follows them.

        Where one of them is missing or damaged, the video is what comes before it, nothing of what
        is there is changed, and `check_whole` refuses to go on.

        From now on nobody who opened it earlier can add to it.
        """
        self.folder = folder
        self.fps = fps
        self.chunks = 0
        self.frames = 0
        self._header: bytes | None = None
        self._states: deque[int] = deque()
        self._damage: StorageError | None = None
        for part in (self._chunk_folder, self._state_folder):
            part.mkdir(parents=True, exist_ok=True)
        self._desk = self._take_desk()
        self._path = self._desk / self.part_path.name  # until it holds what the old one held
        self._part = FileIO(self._path, "wb")
        self._rebuild(chunks)

    @property
    def part_path(self) -> Path:
        """The growing video."""
        return self.folder / "video.part.mp4"

    def add(self, frames: "Frames") -> None:
        """Add a chunk (uint8, T H W 3); when this returns, it is on disk and in the growing video.

        Raises:
            GenerationFailedError: the frames differ in size from the chunks before.
            StorageError: it cannot be written; the video is as it was before.
        """
        encoded = encode_chunk(frames, fps=self.fps, index=self.chunks, start_frame=self.frames)
        self._check_header(split_header(encoded)[0], frames.shape[2], frames.shape[1])
        facts = {"index": self.chunks, "start_frame": self.frames, "frames": len(frames)}
        with self._written(self._chunk_path(self.chunks)) as aside:
            aside.write_bytes(_seal(facts, encoded))
        self._append(encoded, len(frames))

    def add_state(self, save: Callable[[Path], None]) -> None:
        """Let `save` write what the next chunk is made from; when this returns, it is on disk.

        Raises:
            StorageError: it cannot be written; the states before it are still there.
        """
        with self._written(self._state_path(self.chunks)) as aside:
            save(aside)
        self._states.append(self.chunks)

    def forget_states(self, *, keep: int, known: int) -> None:
        """Delete all but the newest `keep` states, and none that is newer than state `known`.

        `known` itself stays too, it is the one from which others know how to go on; and so does the
        newest of all.
        """
        while len(self._states) > max(1, keep) and self._states[1] <= known:
            self._state_path(self._states.popleft()).unlink(missing_ok=True)

    def finish(
        self, name: str, *, tags: Mapping[str, str] | None = None, sound: Path | None = None
    ) -> Path:
        """Copy the video so far, with sound if given, to a finished MP4; return its path."""
        target = self.folder / name
        with self._written(target) as aside:
            remux(self._path, aside, tags=tags, sound=sound)
        return target

    def check_whole(self) -> None:
        """Refuse to go on with a video that lacks chunks.

        Raises:
            NotResumableError: one of the chunks to keep is missing or damaged.
        """
        if self._damage is not None:
            raise NotResumableError(
                f"the video cannot go on: {self._damage.message}", hint=self._way_out()
            ) from self._damage

    def close(self) -> None:
        """Let go of the growing video; everything stays on disk."""
        self._part.close()
        shutil.rmtree(self._desk, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _chunk_folder(self) -> Path:
        return self.folder / "chunks"

    def _chunk_path(self, index: int) -> Path:
        return self._chunk_folder / chunk_name(index)

    @property
    def _state_folder(self) -> Path:
        return self.folder / "states"

    def _state_path(self, next_chunk: int) -> Path:
        return self._state_folder / state_name(next_chunk)

    def _take_desk(self) -> Path:
        token = secrets.token_hex(4)
        for number, desk in enumerate(self.folder.glob("desk-*")):
            gone = desk.rename(self.folder / f"gone-{token}-{number}")  # in one step, unlike rmtree
            shutil.rmtree(gone, ignore_errors=True)
        desk = self.folder / f"desk-{token}"
        desk.mkdir()
        return desk

    @contextmanager
    def _written(self, path: Path) -> Iterator[Path]:
        with storage_errors(str(path)), written_aside(path, folder=self._desk) as aside:
            yield aside

    def _rebuild(self, chunks: int) -> None:
        for index in range(chunks):
            try:
                frames, encoded = read_chunk(self._chunk_path(index), index, self.frames)
            except StorageError as error:
                self._damage = error
                return
            self._append(encoded, frames)
        with storage_errors(str(self.part_path)):
            self._path = self._path.replace(self.part_path)
        self._forget_what_follows()

    def _forget_what_follows(self) -> None:
        for index, path in numbered(self._chunk_folder, ".chunk").items():
            if index >= self.chunks:
                path.unlink()
        for next_chunk, path in numbered(self._state_folder, ".safetensors").items():
            if next_chunk <= self.chunks:
                self._states.append(next_chunk)
            else:
                path.unlink()

    def _way_out(self) -> str:
        """Return what can be done with the whole chunks."""
        states = numbered(self._state_folder, ".safetensors") or [self.chunks]
        at = max((chunk for chunk in states if chunk <= self.chunks), default=0)
        if at == 0:
            return "make the video anew"
        return (
            f"media-agent branch JOB --at {at} makes another one that begins with its {at} chunks"
        )

    def _append(self, encoded: bytes, frames: int) -> None:
        header, fragments = split_header(encoded)
        rest = memoryview(encoded if self._header is None else fragments)
        end = self._part.tell()
        try:
            with storage_errors(str(self.part_path)):
                while rest:
                    rest = rest[self._part.write(rest) :]
        except StorageError:  # no half chunk may stay in the video
            self._part.truncate(end)
            self._part.seek(end)
            raise
        self._header = header
        self.chunks += 1
        self.frames += frames

    def _check_header(self, header: bytes, width: int, height: int) -> None:
        if self._header is not None and header != self._header:
            raise GenerationFailedError(
                f"chunk {self.chunks} has {width}x{height} frames, unlike the chunks before it"
            )


class Videos:
    """The videos of one request, made side by side: the first in a folder, the others below it."""

    def __init__(self, folder: Path, *, count: int = 1, fps: float, chunks: int = 0) -> None:
        """Open all of them as `Video` does."""
        self._all = [Video(own, fps=fps, chunks=chunks) for own in video_folders(folder, count)]

    def check_whole(self) -> None:
        """Refuse to go on with videos that lack chunks; see `Video.check_whole`."""
        for video in self._all:
            video.check_whole()

    @property
    def chunks(self) -> int:
        """Chunks that all of them have."""
        return self._all[-1].chunks

    @property
    def frames(self) -> int:
        """Frames that all of them have."""
        return self._all[-1].frames

    @property
    def first(self) -> Video:
        """The one whose growth is shown, and beside which the states of all are kept."""
        return self._all[0]

    def add(self, frames: "Frames") -> None:
        """Add a chunk (uint8, N T H W 3) to all of them; see `Video.add`."""
        if len(frames) != len(self._all):
            raise GenerationFailedError(f"got {len(frames)} videos; {len(self._all)} were asked")
        for video, own in zip(self._all, frames, strict=True):
            video.add(own)

    def __iter__(self) -> Iterator[Video]:
        return iter(self._all)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for video in self._all:
            video.close()


def read_chunk(path: Path, index: int, start_frame: int) -> tuple[int, bytes]:
    """Return the number of frames and the encoded chunk.

    Raises:
        StorageError: the file is missing, damaged, or belongs elsewhere in the video.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    first_line, _, rest = content.partition(b"\n")
    if first_line != _MAGIC + b" " + _digest(rest):
        raise StorageError(f"{path} is damaged: its content does not match its checksum")
    facts_line, _, encoded = rest.partition(b"\n")
    facts = json.loads(facts_line)
    if (facts["index"], facts["start_frame"]) != (index, start_frame):
        raise StorageError(f"{path} is chunk {facts['index']}, not {index}")
    return facts["frames"], encoded


def _seal(facts: Mapping[str, int], encoded: bytes) -> bytes:
    content = json.dumps(facts).encode() + b"\n" + encoded
    return _MAGIC + b" " + _digest(content) + b"\n" + content


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
