"""The film that a service gives: on its way to a file, or gone."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import httpx

from media_agent.errors import BackendResponseError, MediaAgentError, StorageError
from media_agent_hosted.addresses import place_of
from media_agent_hosted.replies import Reply

LARGEST_FILM = 8 * 2**30  # bytes
PIECE = 2**18  # bytes read and written at once
_NO_FILMS = ("text/html", "application/xhtml+xml", "application/json", "application/xml")


async def store(response: httpx.Response, path: Path, max_bytes: int) -> None:
    """Write a film to its place while it arrives.

    Raises:
        BackendResponseError: it is larger, or no film.
        StorageError: it cannot be written.
    """
    host = place_of(response.url)
    mime_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if mime_type in _NO_FILMS:
        raise BackendResponseError(f"{host} answered {mime_type} where a film was due")
    too_large = BackendResponseError(
        f"the film at {host} is larger than the {max_bytes} bytes allowed"
    )
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    with _whole_file(path) as file:
        async for piece in response.aiter_bytes(PIECE):
            if file.tell() + len(piece) > max_bytes:
                raise too_large
            await asyncio.to_thread(file.write, piece)


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that is moved to its place when all went well, and else leaves nothing."""
    aside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="free some space, or choose another data folder",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def film_is_gone(reply: Reply) -> MediaAgentError | None:
    """Say what it means that a film is not given."""
    if reply.status not in (401, 403, 404, 410):
        return None
    return BackendResponseError(
        f"{reply.host} no longer gives the film (status {reply.status})",
        hint="its link may have expired; observe the job again for a fresh one",
    )
