"""The input files of a video: checked before anything is stored, and identified by digest.

What went in is known by the bytes that were read then. A file that is gone or another one by the
time the video is there changes nothing in what the record says.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from media_agent.environment import expand_home
from media_agent.errors import InvalidRequestError
from media_agent.storage.files import sha256_of
from media_agent_schemas.media import MediaInput


def digests_of(inputs: Iterable[MediaInput]) -> dict[str, str]:
    """Return the SHA-256 of each file among the inputs, by its path.

    Raises:
        InvalidRequestError: one cannot be read, or is something that may never end.
    """
    files = {medium.path: medium for medium in inputs if medium.path is not None}
    return {path: _compute_digest(expand_home(path), medium) for path, medium in files.items()}


def find_digest(medium: MediaInput, digests: Mapping[str, str]) -> str | None:
    """Return the digest of what went in; None: it was never read here."""
    if medium.data is not None:
        return hashlib.sha256(medium.data).hexdigest()
    return None if medium.path is None else digests.get(medium.path)


def _compute_digest(path: Path, medium: MediaInput) -> str:
    try:
        return sha256_of(path)
    except (OSError, ValueError) as error:
        raise _unreadable_error(medium, getattr(error, "strerror", None) or str(error)) from error


def _unreadable_error(medium: MediaInput, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{medium.role.value} {medium.path} cannot be read: {why}",
        hint="check its path and its permissions",
    )
