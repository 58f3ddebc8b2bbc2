"""A film that grows on disk chunk by chunk and survives a kill between any two instructions.

chunks/00000007.chunk         one per chunk: checksummed, written aside, fsynced, renamed
states/00000008.safetensors   what chunk 8 is made from, written after chunk 7; the newest few
video.part.mp4                the chunks so far, playable; rebuilt from them at start, never trusted
video.mp4                     the finished film, or video.partial.mp4 of a stopped one
desk-1a2b3c4d/                what is being written, to be renamed to one of these when it is whole

Whoever opens the folder takes the desks of earlier ones away. So a process that lost its film to
another, and does not know yet, can rename nothing into it any more.
"""

import hashlib
import json
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from media_agent.errors import GenerationFailedError, NotResumableError, StorageError
from media_agent.files import storage_errors, sync_folder, written_aside
from media_agent.generation import state_name
from media_agent.video import encode_chunk, remux, split_header

if TYPE_CHECKING:
    from media_agent.video import Frames

_MAGIC = b"media-agent chunk 1"


class Film:
    """Writes chunks durably, and with each of them a film that can be watched already."""

    def __init__(
        self, folder: Path, *, fps: float, chunks: int = 0, branched_from: Path | None = None
    ) -> None:
        """Open a folder, keeping its first `chunks` chunks and forgetting whatever follows them.

        From now on nobody who opened it earlier can add to it.

        With `branched_from`, these chunks and the state after them are those of the film in that
        folder, which stays as it is.

        Raises:
            NotResumableError: one of the chunks to keep is missing or damaged.
        """
        self.folder = folder
        self.fps = fps
        self.chunks = 0
        self.frames = 0
        self._header: bytes | None = None
        self._states: deque[int] = deque()
        for part in (self._chunk_folder, self._state_folder):
            part.mkdir(parents=True, exist_ok=True)
        self._desk = self._take_desk()
        if branched_from is not None:
            self._adopt(branched_from, chunks)
        self.part_path.unlink(missing_ok=True)  # an earlier writer goes on in a file without a name
        self._part = FileIO(self.part_path, "wb")
        self._rebuild(chunks)
        self._forget_what_follows()

    @property
    def part_path(self) -> Path:
        """The growing film."""
        return self.folder / "video.part.mp4"

    def add(self, frames: "Frames") -> None:
        """Add a chunk (uint8, T H W 3); when this returns, it is on disk and in the growing film.

        Raises:
            GenerationFailedError: the frames differ in size from the chunks before.
            StorageError: it cannot be written; the film is as it was before.
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

    def finish(self, name: str, *, tags: Mapping[str, str] | None = None) -> Path:
        """Copy the film so far to a finished MP4 of this name, and return its path."""
        target = self.folder / name
        with self._written(target) as aside:
            remux(self.part_path, aside, tags=tags)
        return target

    def close(self) -> None:
        """Let go of the growing film; everything stays on disk."""
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
        return self._chunk_folder / f"{index:08d}.chunk"

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

    def _adopt(self, origin: Path, chunks: int) -> None:
        try:
            for index in range(chunks):
                path = self._chunk_path(index)
                _link_or_copy(origin / path.relative_to(self.folder), path)
        except FileNotFoundError as error:
            raise NotResumableError(
                f"no film can branch off at chunk {chunks}: {error.filename} is gone",
                hint="branch off at an earlier chunk, or make the whole film anew",
            ) from error
        with suppress(FileNotFoundError):  # not every film has states
            path = self._state_path(chunks)
            _link_or_copy(origin / path.relative_to(self.folder), path)
        for folder in (self._chunk_folder, self._state_folder):
            sync_folder(folder)

    def _rebuild(self, chunks: int) -> None:
        for index in range(chunks):
            try:
                frames, encoded = read_chunk(self._chunk_path(index), index, self.frames)
            except StorageError as error:
                self.close()
                raise NotResumableError(
                    f"the film cannot go on at chunk {chunks}: {error.message}",
                    hint="make the film anew",
                ) from error
            self._append(encoded, frames)

    def _forget_what_follows(self) -> None:
        for path in self._chunk_folder.iterdir():
            if not (path.suffix == ".chunk" and int(path.stem) < self.chunks):
                path.unlink()
        for path in sorted(self._state_folder.iterdir()):
            if path.suffix == ".safetensors" and int(path.stem) <= self.chunks:
                self._states.append(int(path.stem))
            else:
                path.unlink()

    def _append(self, encoded: bytes, frames: int) -> None:
        header, fragments = split_header(encoded)
        rest = memoryview(encoded if self._header is None else fragments)
        end = self._part.tell()
        try:
            with storage_errors(str(self.part_path)):
                while rest:
                    rest = rest[self._part.write(rest) :]
        except StorageError:  # no half chunk may stay in the film
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


class Films:
    """The films of one request, made side by side: the first in a folder, the others below it."""

    def __init__(
        self,
        folder: Path,
        *,
        count: int = 1,
        fps: float,
        chunks: int = 0,
        branched_from: Path | None = None,
    ) -> None:
        """Open all of them as `Film` does; all branch off the same film.

        Raises:
            NotResumableError: one of the chunks to keep is missing or damaged.
        """
        first = Film(folder, fps=fps, chunks=chunks, branched_from=branched_from)
        self._all = [first]
        for number in range(2, count + 1):
            own = folder / f"film-{number}"
            self._all.append(Film(own, fps=fps, chunks=chunks, branched_from=branched_from))

    @property
    def chunks(self) -> int:
        """Chunks that all of them have."""
        return self._all[-1].chunks

    @property
    def frames(self) -> int:
        """Frames that all of them have."""
        return self._all[-1].frames

    @property
    def first(self) -> Film:
        """The one whose growth is shown, and beside which the states of all are kept."""
        return self._all[0]

    def add(self, frames: "Frames") -> None:
        """Add a chunk (uint8, N T H W 3) to all of them; see `Film.add`."""
        if len(frames) != len(self._all):
            raise GenerationFailedError(f"got {len(frames)} films; {len(self._all)} were asked")
        for film, own in zip(self._all, frames, strict=True):
            film.add(own)

    def __iter__(self) -> Iterator[Film]:
        return iter(self._all)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for film in self._all:
            film.close()


def read_chunk(path: Path, index: int, start_frame: int) -> tuple[int, bytes]:
    """Return the number of frames and the encoded chunk.

    Raises:
        StorageError: the file is missing, damaged, or belongs elsewhere in the film.
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


def _link_or_copy(source: Path, target: Path) -> None:
    """Make the same file appear at `target`; neither is ever written to again, only replaced."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # on another disk, or where there are no links
        with storage_errors(str(target)), written_aside(target) as aside:
            shutil.copyfile(source, aside)
