"""A file that is written once the work is done; whether it can be is checked before any of it."""

import os
from pathlib import Path

from media_agent.errors import InvalidRequestError
from media_agent.storage.files import as_storage_error, is_writable


def check_new_file(path: Path, flag: str, *, overwrite: bool, suffix: str = "") -> None:
    """Refuse a place where a file could not be put later.

    Raises:
        InvalidRequestError: it is a folder, exists, has another suffix, no parent or a name that is
            too long, or its folder is read-only.
    """
    try:
        _check(path, flag, overwrite=overwrite, suffix=suffix)
    except OSError as error:  # such as a name that is too long
        problem = as_storage_error(f"{flag} {path}", error)
        raise InvalidRequestError(problem.message, hint=problem.hint) from error
    except ValueError as error:  # a NUL in the name
        raise InvalidRequestError(f"{flag} {str(path)!r} is no valid file name: {error}") from error


def _check(path: Path, flag: str, *, overwrite: bool, suffix: str) -> None:
    is_taken = _is_taken(path)
    if path.is_dir():
        raise InvalidRequestError(f"{flag} {path} is a folder", hint="name a file in it")
    if suffix and path.suffix.lower() != suffix:
        raise InvalidRequestError(f"{flag} {path} does not end in {suffix}")
    if not path.parent.is_dir():
        raise InvalidRequestError(
            f"{flag} {path}: no such folder: {path.parent}", hint="create it first"
        )
    if not is_writable(path.parent):
        raise InvalidRequestError(
            f"{flag} {path}: the folder {path.parent} cannot be written to",
            hint="choose another folder",
        )
    if is_taken and not overwrite:
        raise InvalidRequestError(
            f"{flag}: {path} exists", hint="choose another name; --overwrite replaces it"
        )


def _is_taken(path: Path) -> bool:
    """Return whether something has this name.

    Raises:
        OSError: nothing can have it.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
