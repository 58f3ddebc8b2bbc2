"""A video that grows on disk chunk by chunk and survives a kill between any two instructions.

chunks/00000007.chunk         one per chunk: checksummed, written aside, fsynced, renamed
states/00000008.safetensors   what chunk 8 is made from, written after chunk 7; fewer of the older
video.part.mp4                the chunks so far, playable; rebuilt from them at start, never trusted
video.mp4                     the finished video, or video.partial.mp4 of a stopped one
staging-1a2b3c4d/             what is being written, to be renamed to one of these when it is whole

Whoever opens the folder takes the staging folders of earlier ones away. So a process that lost its
video to another, and does not know yet, can rename nothing into it any more.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Self

from media_agent.errors import GenerationFailedError, NotResumableError, StorageError
from media_agent.storage.files import numbered, storage_errors, write_aside
from media_agent.storage.work_folder import chunk_name, state_name, thin_states, video_folders
from media_agent.video.audio import (
    Audio,
    Pcm,
    add_audio,
    count_samples,
    fit_audio,
    make_silent_pcm,
    split_audio,
    to_pcm,
)
from media_agent.video.chunk_file import StoredChunk, read_chunk
from media_agent.video.codec import encode_chunk, split_header, to_frame_rate
from media_agent.video.remux import remux

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from media_agent.video.codec import Frames, Mark


class Video:
    """Writes chunks durably, and with each of them a video that can be watched already."""

    def __init__(
        self, folder: Path, *, fps: float, chunks: int = 0, mark: "Mark | None" = None
    ) -> None:
        """Open a folder, keeping its first `chunks` chunks and forgetting whatever follows them.

        Where one of them is missing or damaged, the video is what comes before it, nothing of what
        is there is changed, and `check_whole` refuses to continue.

        From now on no earlier opener can add to it. Frames that are added pass through `mark`.
        """
        self.folder = folder
        self._mark = mark
        self.fps = fps
        self.chunks = 0
        self.frames = 0
        self._header: bytes | None = None
        self._audio_rate: int | None = None  # None: it is silent
        self._states: dict[int, int] = {}  # bytes of each, by the chunk it is for, oldest first
        self._damage: StorageError | None = None
        for part in (self._chunk_folder, self._state_folder):
            part.mkdir(parents=True, exist_ok=True)
        self._staging = self._take_staging()
        self._path = self._staging / self.part_path.name  # until it holds what the old one held
        self._part = FileIO(self._path, "wb")
        self._rebuild(chunks)

    @property
    def part_path(self) -> Path:
        """The growing video."""
        return self.folder / "video.part.mp4"

    def add(self, frames: "Frames", audio: Audio | None = None) -> None:
        """Add a chunk (uint8, T H W 3); when this returns, it is on disk and in the growing video.

        Its audio is cut, or filled up with silence, to the length of its frames. The growing video
        shows the frames alone; the finished one has the audio.

        Raises:
            GenerationFailedError: frames or audio are of another kind than in the chunks before.
            StorageError: it cannot be written; the video is as it was before.
        """
        chunk = self._encode(self.chunks, frames, self.frames, audio)
        self._check_header(split_header(chunk.encoded)[0], frames.shape[2], frames.shape[1])
        self._check_audio(chunk.audio)
        with self._write_whole(self._chunk_path(self.chunks)) as aside:
            aside.write_bytes(chunk.seal())
        self._append(chunk)

    def add_state(self, save: Callable[[Path], None], chunk: int | None = None) -> None:
        """Let `save` write what a chunk is made from, if not said which, the next one.

        When this returns, it is on disk.

        Raises:
            StorageError: it cannot be written; the states before it are still there.
        """
        chunk = self.chunks if chunk is None else chunk
        with self._write_whole(self._state_path(chunk)) as aside:
            save(aside)
        self._states[chunk] = self._state_path(chunk).stat().st_size
        self._states = dict(sorted(self._states.items()))

    def forget_states(self, *, keep: int, known: int, budget_bytes: int | None = None) -> None:
        """Thin the states out, but for the newest `keep`, and then within a budget, oldest first.

        The newest one that is not newer than state `known` stays in any case, for it is the one
        from which others can resume; and so does whatever is newer.
        """
        needed = max((state for state in self._states if state <= known), default=0)
        kept = thin_states(list(self._states), max(1, keep))
        while budget_bytes is not None and len(kept) > 1:
            if sum(self._states[state] for state in kept) <= budget_bytes:
                break
            kept.pop(0)
        for state in [each for each in self._states if each < needed and each not in kept]:
            self._state_path(state).unlink(missing_ok=True)
            del self._states[state]

    def is_last_chunk(self, frames: "Frames", audio: Audio | None = None) -> bool:
        """Whether these frames (uint8, T H W 3), encoded, are the newest chunk on disk."""
        chunk = self._encode(self.chunks - 1, frames, self.frames - len(frames), audio)
        return self._chunk_path(self.chunks - 1).read_bytes() == chunk.seal()

    def finish(
        self, name: str, *, tags: Mapping[str, str] | None = None, sound: Path | None = None
    ) -> Path:
        """Copy the video so far to a finished MP4; return its path.

        It has the given sound, else the audio of its chunks, if there is any.
        """
        target = self.folder / name
        with self._write_whole(target) as aside:
            if sound is None and self._audio_rate is not None:
                seconds = float(self.frames / to_frame_rate(self.fps))
                audio = fit_audio(self._read_audio(self._audio_rate), seconds=seconds)
                add_audio(self._path, audio, aside, tags=tags)
            else:
                remux(self._path, aside, tags=tags, sound=sound)
        return target

    def check_whole(self) -> None:
        """Refuse to continue a video with missing chunks.

        Raises:
            NotResumableError: one of the chunks to keep is missing or damaged.
        """
        if self._damage is not None:
            raise NotResumableError(
                f"the video cannot be continued: {self._damage.message}", hint=self._suggest_fix()
            ) from self._damage

    def close(self) -> None:
        """Let go of the growing video; everything stays on disk."""
        self._part.close()
        shutil.rmtree(self._staging, ignore_errors=True)

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

    def _take_staging(self) -> Path:
        token = secrets.token_hex(4)
        for number, staging in enumerate(self.folder.glob("staging-*")):
            gone = self.folder / f"gone-{token}-{number}"
            staging.rename(gone)  # in one step, unlike rmtree
            shutil.rmtree(gone, ignore_errors=True)
        staging = self.folder / f"staging-{token}"
        staging.mkdir()
        return staging

    @contextmanager
    def _write_whole(self, path: Path) -> Iterator[Path]:
        with storage_errors(str(path)), write_aside(path, folder=self._staging) as aside:
            yield aside

    def _rebuild(self, chunks: int) -> None:
        for index in range(chunks):
            try:
                chunk = read_chunk(self._chunk_path(index), index, self.frames)
            except StorageError as error:
                self._damage = error
                return
            self._append(chunk)
        with storage_errors(str(self.part_path)):
            self._path = self._path.replace(self.part_path)
        self._forget_what_follows()

    def _forget_what_follows(self) -> None:
        for index, path in numbered(self._chunk_folder, ".chunk").items():
            if index >= self.chunks:
                path.unlink()
        for next_chunk, path in numbered(self._state_folder, ".safetensors").items():
            if next_chunk <= self.chunks:
                self._states[next_chunk] = path.stat().st_size
            else:
                path.unlink()

    def _suggest_fix(self) -> str:
        """Return what can be done with the whole chunks."""
        states = numbered(self._state_folder, ".safetensors") or [self.chunks]
        at = max((chunk for chunk in states if chunk <= self.chunks), default=0)
        if at == 0:
            return "generate the video again"
        return (
            f"media-agent branch JOB --at {at} makes a new video that keeps its first {at} chunks"
        )

    def _append(self, chunk: StoredChunk) -> None:
        header, fragments = split_header(chunk.encoded)
        rest = memoryview(chunk.encoded if self._header is None else fragments)
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
        if chunk.audio is not None:
            self._audio_rate = chunk.audio.rate
        self.chunks += 1
        self.frames += chunk.frames

    def _encode(self, index: int, frames: "Frames", start: int, audio: Audio | None) -> StoredChunk:
        encoded = encode_chunk(
            frames, fps=self.fps, index=index, start_frame=start, mark=self._mark
        )
        pcm = None
        if audio is not None:
            samples = count_samples(start, len(frames), fps=self.fps, rate=audio.rate)
            pcm = to_pcm(audio, samples)
        return StoredChunk(index, start, len(frames), encoded, pcm)

    def _read_audio(self, rate: int) -> Iterator["AudioFrame"]:
        """Yield the audio of all chunks, one at a time in memory; silent ones are silent."""
        start = 0
        for index in range(self.chunks):
            chunk = read_chunk(self._chunk_path(index), index, start)
            samples = count_samples(start, chunk.frames, fps=self.fps, rate=rate)
            yield from (chunk.audio or make_silent_pcm(samples, rate=rate)).to_frames()
            start += chunk.frames

    def _check_header(self, header: bytes, width: int, height: int) -> None:
        if self._header is not None and header != self._header:
            raise GenerationFailedError(
                f"chunk {self.chunks} has {width}x{height} frames, unlike the chunks before it"
            )

    def _check_audio(self, audio: Pcm | None) -> None:
        if audio is not None and self._audio_rate not in (None, audio.rate):
            raise GenerationFailedError(
                f"chunk {self.chunks} has audio of {audio.rate} Hz, unlike the chunks before it"
            )


class Videos:
    """The videos of one request, made side by side: the first in a folder, the others below it."""

    def __init__(
        self,
        folder: Path,
        *,
        count: int = 1,
        fps: float,
        chunks: int = 0,
        mark: "Mark | None" = None,
    ) -> None:
        """Open all of them as `Video` does."""
        folders = video_folders(folder, count)
        self._all = [Video(own, fps=fps, chunks=chunks, mark=mark) for own in folders]

    def check_whole(self) -> None:
        """Refuse to continue videos with missing chunks; see `Video.check_whole`."""
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
        """The one whose growth is shown, and next to which the states of all are kept."""
        return self._all[0]

    def add(self, frames: "Frames", audio: Audio | None = None) -> None:
        """Add a chunk (uint8, N T H W 3) to all of them; see `Video.add`."""
        if len(frames) != len(self._all):
            raise GenerationFailedError(f"got {len(frames)} videos; {len(self._all)} were asked")
        sounds = [None] * len(frames) if audio is None else split_audio(audio, len(frames))
        for video, own, sound in zip(self._all, frames, sounds, strict=True):
            video.add(own, sound)

    def __iter__(self) -> Iterator[Video]:
        return iter(self._all)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for video in self._all:
            video.close()
