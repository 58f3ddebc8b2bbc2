"""Files that callers send to be used in requests: bytes in a folder, what is known in the ledger.

An id is drawn and cannot be guessed. The name that a caller gives is only shown again.
"""

import asyncio
import logging
import re
import secrets
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO

from media_agent.errors import InvalidRequestError, JobNotFoundError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.serving.uploads import Upload
from media_agent.server.access.caller import Caller
from media_agent.server.context import ServerContext
from media_agent.server.openai.body import digest_of
from media_agent.storage.files import storage_errors, write_aside

MOST_FILES = 1000
"""Of one caller."""
MOST_BYTES_TOGETHER = 10 * 2**30
"""Of one caller."""
LONGEST_NAME = 255
_ID = re.compile(r"file-[0-9a-f]{32}")
_LOOK_SECONDS = 600.0
_BLOCK = 1 << 20
_LOGGER = logging.getLogger(__name__)


class StoredFile:
    """A file of a caller, and where it is."""

    def __init__(self, facts: Upload, path: Path) -> None:
        self.facts = facts
        self.path = path


async def find_file(server: ServerContext, caller: Caller, file_id: str) -> StoredFile:
    """Return a file of the caller.

    Raises:
        JobNotFoundError: there is none of this id, or it is of somebody else: both alike.
    """
    facts = None
    if _ID.fullmatch(file_id):
        facts = await server.host.read(lambda ledger: ledger.uploads.find(file_id))
    if facts is None or not (caller.sees_all or facts.caller == caller.name) or facts.is_over():
        raise JobNotFoundError(f"unknown file {file_id!r:.100}", hint="GET /v1/files lists them")
    return StoredFile(facts, folder_of(server) / file_id)


async def store_file(
    server: ServerContext,
    caller: Caller,
    content: BinaryIO,
    *,
    filename: str,
    purpose: str,
    expires_after: timedelta | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Upload:
    """Keep a file of a caller, on disk before it is in the ledger.

    Raises:
        InvalidRequestError: it is empty, or the caller has too many.
    """
    await remove_expired(server)
    file_id = f"file-{secrets.token_hex(16)}"
    target = folder_of(server) / file_id
    size, digest = await asyncio.to_thread(_write, content, target)
    created = now()
    upload = Upload(
        id=file_id,
        caller=caller.name,
        filename=filename[:LONGEST_NAME],
        purpose=purpose,
        size_bytes=size,
        sha256=digest,
        created_at=created,
        expires_at=None if expires_after is None else created + expires_after,
    )
    try:
        await server.host.write(
            lambda ledger: ledger.uploads.add(
                upload, most_files=MOST_FILES, most_bytes=MOST_BYTES_TOGETHER
            )
        )
    except BaseException:
        await asyncio.to_thread(target.unlink, missing_ok=True)
        raise
    return upload


async def remove_file(server: ServerContext, caller: Caller, file_id: str) -> None:
    """Forget a file of the caller; jobs that were made with it have a copy of their own.

    Raises:
        JobNotFoundError: as `find_file` does.
    """
    found = await find_file(server, caller, file_id)
    await server.host.write(partial(_forget, file_id))
    with storage_errors(str(found.path)):
        await asyncio.to_thread(found.path.unlink, missing_ok=True)


async def keep_removing_expired(
    server: ServerContext, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Remove files when their time is over, until this is cancelled; a fault stops nothing else."""
    while True:
        try:
            await remove_expired(server)
        except Exception:
            _LOGGER.exception("files whose time is over could not be removed")
        await sleep(_LOOK_SECONDS)


async def remove_expired(server: ServerContext) -> None:
    """Remove the files whose time is over."""
    for file_id in await server.host.read(lambda ledger: ledger.uploads.expired()):
        await server.host.write(partial(_forget, file_id))
        await asyncio.to_thread((folder_of(server) / file_id).unlink, missing_ok=True)


def _forget(file_id: str, ledger: Ledger) -> None:
    ledger.uploads.remove(file_id)


def folder_of(server: ServerContext) -> Path:
    """Return the folder of all files that were sent."""
    return server.settings.data_dir / "uploads"


def _write(content: BinaryIO, target: Path) -> tuple[int, str]:
    content.seek(0, 2)
    size = content.tell()
    if not size:
        raise InvalidRequestError("the file has 0 bytes")
    digest = digest_of(content)
    content.seek(0)
    with storage_errors(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with write_aside(target) as aside, aside.open("wb") as copy:
            shutil.copyfileobj(content, copy, _BLOCK)
    return size, digest
