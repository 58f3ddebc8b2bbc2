"""Files that are there whole or not at all, and disk trouble said in one line."""

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from media_agent.errors import InvalidRequestError, StorageError

_LONGEST_NAME = 255  # bytes
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space and try again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and try again"),
    errno.EACCES: ("no permission", "choose another place or change the permissions"),
    errno.EPERM: ("no permission", "choose another place or change the permissions"),
    errno.EROFS: ("the file system is read-only", "choose another place"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one"),
    errno.ENOENT: ("it does not exist", "check that it can be created and is not being removed"),
    errno.EEXIST: ("a file, not a folder, has its name", "choose another place"),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "choose another place"),
}


@contextlib.contextmanager
def storage_errors(
    what: str, verb: Literal["written", "created", "used"] = "written"
) -> Iterator[None]:
    """Turn trouble with files into one clear error about `what`."""
    try:
        yield
    except OSError as error:
        raise as_storage_error(what, error, verb) from error


def is_folder_name(name: str) -> bool:
    """Whether a folder of this name can be made in another one, and lies within it."""
    length = len(name.encode("utf-8", "replace"))
    is_elsewhere = name.startswith(".") or not {"/", "\\", "\0"}.isdisjoint(name)
    return 0 < length <= _LONGEST_NAME and not is_elsewhere


def checked_key(key: str) -> str:
    """Return a key if it can be the name of a folder.

    Raises:
        InvalidRequestError: it cannot.
    """
    if _KEY.fullmatch(key) is None:
        raise InvalidRequestError(
            f"key {key!r} cannot name a folder",
            hint="use up to 200 letters, digits, '.', '_' and '-', not beginning with '.'",
        )
    return key


def ordinary_file(path: Path) -> io.BufferedReader:
    """Open a file to read it; nothing else, and without waiting for whoever writes a pipe.

    Raises:
        OSError: it cannot be opened, or it is a folder, a pipe, a socket, a device.
    """
    _check_ordinary(path.stat().st_mode)  # before: to open a device may do something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_ordinary(os.fstat(descriptor).st_mode)  # by now it may be another one
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _check_ordinary(mode: int) -> None:
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise OSError(errno.EINVAL, f"it is {what}")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of an ordinary file's bytes in hexadecimal.

    Raises:
        OSError: it cannot be read, or is no ordinary file.
    """
    with ordinary_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_storage_error(
    what: str, error: OSError, verb: Literal["written", "created", "used"] = "written"
) -> StorageError:
    """Return the error that says in words why `what` cannot be used."""
    if verb == "created" and error.errno == errno.ENOENT:  # mkdir makes what is missing above it
        return StorageError(f"{what} cannot be created there", hint="choose another place")
    reason, hint = _REASONS.get(error.errno or 0, (error.strerror or str(error), None))
    if error.errno == errno.ENOSPC and (free := free_bytes(Path(what))) is not None:
        reason = f"{reason}, {free} bytes are free"
    return StorageError(f"{what} cannot be {verb}: {reason}", hint=hint)


def free_bytes(path: Path) -> int | None:
    """Return what is free on the disk of an absolute path, also of one that is not there yet.

    None if nobody can say.
    """
    if not path.is_absolute():
        return None
    try:
        return shutil.disk_usage(next(each for each in (path, *path.parents) if each.exists())).free
    except OSError:
        return None


def make_folder(folder: Path) -> None:
    """Make a folder and those around it; harmless when it is there.

    Raises:
        StorageError: it cannot be made.
    """
    with storage_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)


def write_atomically(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replace a file whole: written aside, with this mode from the start, flushed, renamed."""
    with write_aside(path) as aside:
        if mode is not None:
            aside.touch(mode=mode)
        aside.write_bytes(content)


def is_open_to_others(path: Path) -> bool:
    """Return whether other users of this machine may read a file."""
    return path.exists() and bool(path.stat().st_mode & 0o077)


def is_writable(path: Path) -> bool:
    """Return whether somebody may write here, also when we could write anywhere."""
    return bool(path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)) and os.access(
        path, os.W_OK
    )


@contextlib.contextmanager
def write_aside(path: Path, *, durably: bool = True, folder: Path | None = None) -> Iterator[Path]:
    """Give a place to write a file to; it is `path` when the context ends, unless by an error.

    The place is beside `path`, or in a folder on the same disk.

    Raises:
        StorageError: the disk is full.
    """
    aside = temporary_beside(path if folder is None else folder / path.name)
    try:
        yield aside
        if durably:
            with aside.open("rb") as file:
                os.fsync(file.fileno())
        aside.replace(path)
        if durably:
            sync_folder(path.parent)
    except OSError as error:
        if error.errno == errno.ENOSPC:  # how much is free is said before the half file goes
            raise as_storage_error(str(path), error) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def numbered(folder: Path, suffix: str) -> dict[int, Path]:
    """Return the files of a folder whose names are a number and `suffix`, in order of these."""
    files = (path for path in folder.glob(f"*{suffix}") if path.is_file())
    return dict(sorted((int(path.stem), path) for path in files if path.stem.isdecimal()))


def temporary_beside(path: Path) -> Path:
    """Return a name in the same folder that nobody else uses; it fits wherever the path does."""
    kept = path.name.encode("utf-8", "replace")[:100].decode("utf-8", "ignore")
    return path.with_name(f".{kept}.{secrets.token_hex(4)}.tmp")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
