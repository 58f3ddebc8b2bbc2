"""What machines share of a video: chunks and states while it is made, the finished files after.

ROOT/work/KEY/chunks/00000007.chunk     as in the work folder, each there whole or not at all
ROOT/work/KEY/states/00000008.safetensors
ROOT/work/KEY/steered.json              what commands have made of the video
ROOT/jobs/JOB/video.mp4, video.json     what was delivered; inputs of the job by their digests

The file system is any that fsspec knows (S3, GCS, Azure, SFTP, a mounted folder). A file is put
under another name and renamed where a half-written one could be seen; an object store shows an
object only when it is whole.
"""

import contextlib
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from media_agent.distribution import install_hint
from media_agent.errors import ConfigurationError, StorageError
from media_agent.storage.files import checked_key, numbered, write_aside

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_HEAD = 128  # bytes of a chunk: its checksum is among them
_WHOLE_OR_NOT = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
_SUFFIXES = {"chunks": ".chunk", "states": ".safetensors"}
_CHANGING = ("steered.json",)  # small, and written again


class SharedFiles:
    """A place that several machines reach, by URL; its methods may be called from any thread."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.url = url
        self._options = dict(options or {})
        self._known: dict[str, set[str]] = {}
        """What is there of each key, as far as this process has put or seen it."""
        self._opening = threading.Lock()

    def save_work(self, key: str, work: Path) -> None:
        """Share what the work folder of a key holds and is not there yet: chunks, then states.

        States that are no longer kept here go there too.

        Raises:
            StorageError: it cannot be written there; it is shared next time.
        """
        known = self._known.get(checked_key(key))
        with self._errors("written"):
            if known is None:
                known = self._known[key] = set(self._list(f"work/{key}"))
            for name in (*_names_in(work), *_CHANGING):
                if name in known and name not in _CHANGING:
                    continue
                with contextlib.suppress(FileNotFoundError):  # it is gone by now
                    self._put(work / name, f"work/{key}/{name}")
                    known.add(name)
            gone = [name for name in known if _is_state(name) and not (work / name).exists()]
            for name in gone:
                self._remove(f"work/{key}/{name}")
                known.discard(name)

    def load_work(self, key: str, work: Path, *, next_chunk: int) -> None:
        """Bring what is needed to continue a video at a chunk; what is the same here stays.

        Raises:
            StorageError: it cannot be read there, or written here.
        """
        with self._errors("read"):
            found = self._list(f"work/{checked_key(key)}")
            wanted = [name for name in found if _is_wanted(name, next_chunk)]
            self._known[key] = set(wanted)  # what follows is made again here, and shared again
            states = sorted(name for name in wanted if _is_state(name))
            for name in wanted:
                if _is_state(name) and name != _newest(states, name):
                    continue
                if name in _CHANGING or not self._is_same(
                    work / name, f"work/{key}/{name}", found[name]
                ):
                    self._get(f"work/{key}/{name}", work / name)

    def remove_work(self, key: str) -> None:
        """Remove what is shared of a video that is finished; raises as `save_work` does."""
        with self._errors("removed"):
            self._known.pop(key, None)
            self._remove(f"work/{checked_key(key)}", is_folder=True)

    def publish(self, job_id: str, paths: Mapping[str, Path]) -> None:
        """Share files of a job under these names, those that are here; raises as `save_work`."""
        with self._errors("written"):
            for name, path in paths.items():
                if not path.is_file():
                    continue
                self._put(path, f"jobs/{checked_key(job_id)}/{name}")

    def fetch(self, job_id: str, name: str, target: Path) -> bool:
        """Bring a file of a job here; return whether it is there.

        Raises:
            StorageError: it cannot be read there, or written here.
        """
        with self._errors("read"):
            try:
                self._get(f"jobs/{checked_key(job_id)}/{name}", target)
            except FileNotFoundError:
                return False
        return True

    def forget(self, job_id: str) -> None:
        """Remove the files of a job; raises as `save_work` does."""
        with self._errors("removed"):
            self._remove(f"jobs/{checked_key(job_id)}", is_folder=True)

    def check(self) -> None:
        """Open the file system.

        Raises:
            ConfigurationError: it is of no kind that is known, or its package is missing.
            StorageError: it cannot be reached.
        """
        with self._errors("read"):
            self._fs.exists(self._root)

    @cached_property
    def _opened(self) -> "tuple[AbstractFileSystem, str]":
        try:
            from fsspec.core import url_to_fs

            opened: tuple[AbstractFileSystem, str] = url_to_fs(self.url, **self._options)
        except ImportError as error:
            raise ConfigurationError(
                f"the file system of {self.url} cannot be used: {error}",
                hint=f"{install_hint('cluster')}; S3 needs s3fs, GCS gcsfs, Azure adlfs as well",
            ) from error
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f"jobs.files is {self.url}, which is of no kind that fsspec knows, or its options "
                f"are of another kind ({type(error).__name__})",
                hint="give a URL such as s3://bucket/folder or file:///mnt/shared",
            ) from None
        return opened

    @property
    def _fs(self) -> "AbstractFileSystem":
        with self._opening:
            return self._opened[0]

    @property
    def _root(self) -> str:
        with self._opening:
            return self._opened[1].rstrip("/")

    def _list(self, folder: str) -> dict[str, int]:
        """Return the size of every file in a folder, by its path there."""
        top = f"{self._root}/{folder}"
        try:
            found = self._fs.find(top, withdirs=False, detail=True)
        except FileNotFoundError:
            return {}
        names = {str(PurePosixPath(path).relative_to(top)): path for path in found}
        return {
            name: int(found[path]["size"] or 0)
            for name, path in sorted(names.items())
            if not PurePosixPath(name).name.startswith(".")
        }

    def _put(self, source: Path, name: str) -> None:
        target = f"{self._root}/{name}"
        if self._shows_whole_only:
            self._fs.put_file(str(source), target)
            return
        folder, _, last = target.rpartition("/")
        aside = f"{folder}/.{last}.{secrets.token_hex(4)}"
        self._fs.makedirs(folder, exist_ok=True)
        try:
            self._fs.put_file(str(source), aside)
            self._fs.mv(aside, target)
        except BaseException:
            with contextlib.suppress(Exception):
                self._fs.rm_file(aside)
            raise

    def _get(self, name: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            self._fs.open(f"{self._root}/{name}", "rb") as source,
            write_aside(target) as aside,
            aside.open("wb") as copy,
        ):
            shutil.copyfileobj(source, copy, 2**20)

    def _is_same(self, path: Path, name: str, size: int) -> bool:
        """Return whether a chunk here is the one there: its head has its checksum."""
        if _is_state(path.as_posix()) or not path.is_file() or path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            head = file.read(_HEAD)
        return bool(self._fs.cat_file(f"{self._root}/{name}", start=0, end=len(head)) == head)

    def _remove(self, name: str, *, is_folder: bool = False) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(f"{self._root}/{name}", recursive=is_folder)

    @property
    def _shows_whole_only(self) -> bool:
        protocol = self._fs.protocol
        return not _WHOLE_OR_NOT.isdisjoint((protocol,) if isinstance(protocol, str) else protocol)

    @contextlib.contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        """Turn whatever a file system raises into one clear error, without its words: keys."""
        try:
            yield
        except (ConfigurationError, StorageError, FileNotFoundError):
            raise
        except Exception as error:
            raise StorageError(
                f"{self.url} cannot be {verb}: {type(error).__name__}",
                hint="check jobs.files and jobs.files_options in the settings, and the network",
            ) from error


def _names_in(work: Path) -> Iterator[str]:
    """Yield the chunks of a work folder, then its sound, then its states, oldest first."""
    for kind in ("chunks", "states"):
        for folder in (work, *sorted(work.glob("video-*"))):
            for path in numbered(folder / kind, _SUFFIXES[kind]).values():
                yield path.relative_to(work).as_posix()
        if kind == "chunks" and (work / "sound.mp4").is_file():
            yield "sound.mp4"


def _is_state(name: str) -> bool:
    return PurePosixPath(name).parent.name == "states"


def _is_wanted(name: str, next_chunk: int) -> bool:
    """Return whether a video is continued at a chunk with the help of this file."""
    path = PurePosixPath(name)
    if path.parent.name not in _SUFFIXES:
        return True
    if not path.stem.isdecimal():
        return False
    return int(path.stem) < next_chunk + (path.parent.name == "states")


def _newest(states: list[str], name: str) -> str:
    """Return the newest state in the folder of this one."""
    folder = PurePosixPath(name).parent
    return max(each for each in states if PurePosixPath(each).parent == folder)
