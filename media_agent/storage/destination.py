"""The place of a video: reserved before any work, filled at the end, never half-done."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pydantic import ValidationError

from media_agent.errors import InvalidRequestError, StorageError
from media_agent.storage.files import (
    as_storage_error,
    is_writable,
    sha256_of,
    storage_errors,
    sync_folder,
    temporary_beside,
)
from media_agent.storage.locks import lock
from media_agent_schemas.media import Artifact, ArtifactKind
from media_agent_schemas.records import GenerationRecord

_SUFFIX = ".mp4"


@dataclass(frozen=True, slots=True)
class Destination:
    """A reserved place: `NAME.mp4`, and beside it `NAME.json` and `NAME.partial.mp4`.

    Of several videos of one request the second is `NAME-2.mp4`, and so on.
    """

    video: Path
    overwrite: bool
    videos: int = 1

    @property
    def partial(self) -> Path:
        """Return where a video goes that was stopped."""
        return self.video.with_name(f"{self.video.stem}.partial{_SUFFIX}")

    @property
    def record(self) -> Path:
        """Return where the record of a finished video goes."""
        return self.video.with_suffix(".json")

    def record_of(self, complete: bool) -> Path:
        """Return where the record goes; a stopped run leaves that of an older video alone."""
        if complete or not self.video.exists():
            return self.record
        return self.partial.with_suffix(".json")

    def remove_partial(self, job_id: str) -> None:
        """Remove what this job left here when it was stopped, if nobody changed it since."""
        stopped = self.partial.with_suffix(".json")
        for place in (self.record, stopped):
            with contextlib.suppress(OSError, ValidationError):
                record = GenerationRecord.model_validate_json(place.read_bytes())
                if record.job_id != job_id:
                    continue
                for artifact in record.artifacts:
                    if artifact.kind is ArtifactKind.PARTIAL_VIDEO and is_there(artifact):
                        Path(str(artifact.path)).unlink()
                if place == stopped:
                    place.unlink()

    def place_of(self, complete: bool, number: int = 1) -> Path:
        """Return where a video goes, finished or stopped: NAME.mp4, NAME-2.mp4, ..."""
        place = self.video if complete else self.partial
        own = self.video.stem if number == 1 else f"{self.video.stem}-{number}"
        return place.with_name(own + place.name.removeprefix(self.video.stem))

    @property
    def lock_path(self) -> Path:
        """Return the file that keeps other runs off."""
        return self.video.with_name(f".{self.video.name}.lock")

    def places(self) -> Iterator[Path]:
        """Yield every file that may come to be there while and after it is filled."""
        yield from (self.lock_path, self.record, self.partial.with_suffix(".json"))
        for number in range(1, self.videos + 1):
            yield from (self.place_of(complete, number) for complete in (True, False))

    def publish(self, source: Path, *, complete: bool, number: int = 1) -> Path:
        """Copy a finished file to its place in one step and return the place.

        Raises:
            StorageError: disk full, folder gone, or a file appeared at the place meanwhile.
        """
        target = self.place_of(complete, number)
        aside = temporary_beside(target)
        try:
            with storage_errors(str(target)):
                _copy_durably(source, aside)
                _rename(aside, target, clobber=self.overwrite or not complete)
                sync_folder(target.parent)
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
        return target


class _TakenError(InvalidRequestError):
    """Another video is at the place, or will be."""


def find_free(video: Path, *, videos: int = 1) -> Path:
    """Return the first of NAME.mp4, NAME-2.mp4, ... where nothing is and no run is writing.

    Raises:
        InvalidRequestError: no video can be there, whatever its number.
    """
    for number in count(1):
        place = video if number == 1 else video.with_stem(f"{video.stem}-{number}")
        with contextlib.suppress(_TakenError), reserve(place, videos=videos):
            return place
    raise AssertionError("numbers never end")


def is_there(artifact: Artifact) -> bool:
    """Return whether the file of an artifact lies, byte for byte, where the artifact says."""
    if artifact.path is None:
        return False
    try:
        return sha256_of(Path(artifact.path)) == artifact.sha256
    except OSError:
        return False


@contextlib.contextmanager
def reserve(
    video: Path, *, overwrite: bool = False, videos: int = 1, force: bool = False
) -> Iterator[Destination]:
    """Check a place for a video and keep others off it while the context lasts.

    With `force` it is taken from the run that writes to it.

    Raises:
        InvalidRequestError: it is a folder, exists, is read-only, has no parent, is no .mp4,
            or another run is writing to it.
    """
    with _translate_errors(video):
        video = Path(os.path.abspath(video))  # noqa: PTH100  resolve() would follow a link at the place
        _check_name(video)
        _check_folder(video)
    destination = Destination(video, overwrite, videos)
    _check_lengths(destination)
    with _lock(destination, force=force):
        with _translate_errors(video):
            _check_free(destination)
        yield destination


def _check_name(video: Path) -> None:
    if video.is_dir():
        raise InvalidRequestError(f"--out {video} is a folder", hint="name a file in it, video.mp4")
    if video.suffix.lower() != _SUFFIX or video.name.lower().endswith(f".partial{_SUFFIX}"):
        raise InvalidRequestError(
            f"--out {video} does not end in {_SUFFIX}, or ends in .partial{_SUFFIX}",
            hint=f"videos are MP4 files: use {video.with_suffix('').stem}{_SUFFIX}",
        )


def _check_folder(video: Path) -> None:
    folder = video.parent
    if not folder.exists():
        raise InvalidRequestError(
            f"--out {video}: no such folder: {folder}", hint=f"create it with mkdir -p {folder}"
        )
    if not folder.is_dir():
        raise InvalidRequestError(
            f"--out {video}: {folder} is a file, not a folder", hint="choose another place"
        )
    if not is_writable(folder):
        raise InvalidRequestError(
            f"--out {video}: the folder {folder} is read-only", hint="choose another place"
        )


def _check_lengths(destination: Destination) -> None:
    """Refuse a name that fits when others that are made of it would not."""
    longest = os.pathconf(destination.video.parent, "PC_NAME_MAX")
    names = (place.name for place in destination.places())
    name = max(names, key=lambda name: len(os.fsencode(name)))
    if (beyond := len(os.fsencode(name)) - longest) > 0:
        raise InvalidRequestError(
            f"--out {destination.video}: the name is too long by {beyond} bytes: {name} may have "
            f"{longest} there",
            hint="choose a shorter one",
        )


def _check_free(destination: Destination) -> None:
    others = (destination.place_of(True, number) for number in range(2, destination.videos + 1))
    for path in (destination.video, destination.record, *others):
        if not os.path.lexists(path):
            continue
        if not path.is_file():
            raise InvalidRequestError(f"--out: {path} is not a regular file", hint="choose another")
        if not destination.overwrite and not _is_left_over(path, destination):
            raise _TakenError(
                f"--out: {path} exists", hint="choose another name; --overwrite replaces it"
            )
        if not is_writable(path):
            raise InvalidRequestError(f"--out: {path} is read-only", hint="choose another name")


def _is_left_over(path: Path, destination: Destination) -> bool:
    """Return whether this is our record of a run that left no video under the final name."""
    if path != destination.record or os.path.lexists(destination.video):
        return False
    try:
        GenerationRecord.model_validate_json(path.read_bytes())
    except (ValidationError, OSError):
        return False
    return True


@contextlib.contextmanager
def _translate_errors(video: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = as_storage_error(f"--out {video}", error)
        raise InvalidRequestError(problem.message, hint=problem.hint) from error
    except ValueError as error:  # a NUL in the name
        raise InvalidRequestError(
            f"--out {str(video)!r} is not a valid file name: {error}"
        ) from error


@contextlib.contextmanager
def _lock(destination: Destination, *, force: bool) -> Iterator[None]:
    """Hold a lock file beside the video, and remove it at the end."""
    video, path = destination.video, destination.lock_path
    with contextlib.ExitStack() as stack:
        with _translate_errors(video):
            if force:
                path.unlink(missing_ok=True)  # whoever has it keeps a lock without a name
            try:
                file = stack.enter_context(lock(path, waits=False))
            except BlockingIOError:
                raise _TakenError(
                    f"--out {video}: another run is writing to it",
                    hint="wait, or choose another name",
                ) from None
        try:
            yield
        finally:
            if _is_at(path, file):
                path.unlink(missing_ok=True)


def _is_at(path: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(file, path.stat())
    except FileNotFoundError:
        return False


def _copy_durably(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())


def _rename(aside: Path, target: Path, *, clobber: bool) -> None:
    if clobber:
        aside.replace(target)
        return
    try:
        os.link(aside, target)  # unlike a rename, refuses to replace
    except FileExistsError:
        raise StorageError(
            f"{target} appeared while the video was being generated", hint="it was left as it is"
        ) from None
    except OSError:  # a file system without hard links; the lock keeps other runs off
        if os.path.lexists(target):
            raise StorageError(f"{target} appeared while the video was being generated") from None
        aside.rename(target)
