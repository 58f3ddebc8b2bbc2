"""A film that grows on disk chunk by chunk and survives a kill between any two instructions.

chunks/00000007.chunk   one per chunk: checksummed, written aside, fsynced, renamed
video.part.mp4          the chunks so far, playable; rebuilt from them at start, never trusted
video.mp4               the finished film, or video.partial.mp4 of a stopped one
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from media_agent.errors import GenerationFailedError, NotResumableError, StorageError
from media_agent.files import sync_folder, temporary_beside, write_atomically
from media_agent.video import encode_chunk, remux, split_header

if TYPE_CHECKING:
    from media_agent.video import Frames

_MAGIC = b"media-agent chunk 1"


class Film:
    """Writes chunks durably, and with each of them a film that can be watched already."""

    def __init__(self, folder: Path, *, fps: float, chunks: int = 0) -> None:
        """Open a folder, keeping its first `chunks` chunks and forgetting whatever follows them.

        Raises:
            NotResumableError: one of the chunks to keep is missing or damaged.
        """
        self.folder = folder
        self.fps = fps
        self.chunks = 0
        self.frames = 0
        self._header: bytes | None = None
        self._chunk_folder.mkdir(parents=True, exist_ok=True)
        self._part: BinaryIO = self.part_path.open("wb")
        self._rebuild(chunks)

    @property
    def part_path(self) -> Path:
        """The growing film."""
        return self.folder / "video.part.mp4"

    def add(self, frames: "Frames") -> None:
        """Add a chunk (uint8, T H W 3); when this returns, it is on disk and in the growing film.

        Raises:
            GenerationFailedError: the frames differ in size from the chunks before.
        """
        encoded = encode_chunk(frames, fps=self.fps, index=self.chunks, start_frame=self.frames)
        self._check_header(split_header(encoded)[0], frames.shape[2], frames.shape[1])
        facts = {"index": self.chunks, "start_frame": self.frames, "frames": len(frames)}
        write_atomically(self._chunk_path(self.chunks), _seal(facts, encoded))
        self._append(encoded, len(frames))

    def finish(self, name: str, *, tags: Mapping[str, str] | None = None) -> Path:
        """Copy the film so far to a finished MP4 of this name, and return its path."""
        target = self.folder / name
        aside = temporary_beside(target)
        try:
            remux(self.part_path, aside, tags=tags)
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.replace(target)
            sync_folder(self.folder)
        finally:
            aside.unlink(missing_ok=True)
        return target

    def close(self) -> None:
        """Let go of the growing film; everything stays on disk."""
        self._part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _chunk_folder(self) -> Path:
        return self.folder / "chunks"

    def _chunk_path(self, index: int) -> Path:
        return self._chunk_folder / f"{index:08d}.chunk"

    def _rebuild(self, chunks: int) -> None:
        for index in range(chunks):
            try:
                frames, encoded = read_chunk(self._chunk_path(index), index, self.frames)
            except StorageError as error:
                self.close()
                raise NotResumableError(
                    f"the film cannot go on at chunk {chunks}: {error.message}",
                    hint="start it anew, without the resume token",
                ) from error
            self._append(encoded, frames)
        kept = {self._chunk_path(index) for index in range(chunks)}
        for path in set(self._chunk_folder.iterdir()) - kept:
            path.unlink()

    def _append(self, encoded: bytes, frames: int) -> None:
        header, fragments = split_header(encoded)
        self._part.write(encoded if self._header is None else fragments)
        self._part.flush()
        self._header = header
        self.chunks += 1
        self.frames += frames

    def _check_header(self, header: bytes, width: int, height: int) -> None:
        if self._header is not None and header != self._header:
            raise GenerationFailedError(
                f"chunk {self.chunks} has {width}x{height} frames, unlike the chunks before it"
            )


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
