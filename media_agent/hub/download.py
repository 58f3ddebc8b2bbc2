"""Brings the files of a plan here: a broken download is continued, and every byte is verified."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from media_agent.errors import BackendUnavailableError, MediaAgentError, StorageError
from media_agent.hub.client import AgainError, Hub
from media_agent.hub.plan import FetchPlan, count_present, part_of
from media_agent.hub.repository import HubFile
from media_agent.storage.files import storage_errors, sync_folder
from media_agent.storage.locks import lock
from media_agent.storage.network import TROUBLE, decode, reason_of

_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds, between attempts that bring nothing
_LONGEST_PAUSE = 120.0  # seconds, whatever the hub asks for
_PIECE = 2**20  # bytes hashed at once

Report = Callable[[str, int], None]
"""Hears the name of a file, and how many of its bytes are there."""


@dataclass(frozen=True, slots=True)
class Download:
    """A download that may be stopped at any time; what came stays for the next one."""

    hub: Hub
    plan: FetchPlan
    report: Report = lambda name, size: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self) -> None:
        """Fetch what is missing, one file after the other; files that are there are verified.

        Raises:
            StorageError: the disk is too small, another process fetches the same, or a file
                stays different from its checksum.
            MediaAgentError: the hub refuses, or cannot be reached for a while.
        """
        self.plan.check_space()
        folder = self.plan.folder
        with storage_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with lock(folder.with_name(f".{folder.name}.lock"), waits=False):
                    for file in self.plan.files:
                        await self._fetch(file)
            except BlockingIOError as error:
                raise StorageError(
                    f"{folder} is being fetched by another process", hint="wait for it"
                ) from error

    async def _fetch(self, file: HubFile) -> None:
        target, part = self.plan.folder / file.name, part_of(self.plan.folder, file)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.report(file.name, count_present(self.plan.folder, file))
        if await _is_same(target, file):
            return
        target.unlink(missing_ok=True)
        for _ in range(2):  # what was continued may have been damaged before
            await self._complete(file, part)
            if await _is_same(part, file):
                part.replace(target)
                sync_folder(target.parent)
                return
            part.unlink()
        raise StorageError(
            f"{file.name} of {self.plan.repository.name} came with another checksum, twice",
            hint="the connection or a proxy changes it, or the hub is damaged; try again later",
        )

    async def _complete(self, file: HubFile, part: Path) -> None:
        """Fetch until the file has its size; attempts that bring something are not counted."""
        failures = 0
        while (before := _size_of(part)) < file.size:
            try:
                await self._continue(file, part, max(0, before))
                continue
            except AgainError as error:
                known, wait = error.error, error.wait
            except TROUBLE as error:
                known, wait = self._broken(file, error), 0.0
            failures = 0 if _size_of(part) > before else failures + 1
            if failures == len(_PAUSES):
                raise known
            await self.sleep(max(_PAUSES[failures], min(wait, _LONGEST_PAUSE)))

    async def _continue(self, file: HubFile, part: Path, offset: int) -> None:
        repository = self.plan.repository
        place = repository.path_of(file.name)
        async with self.hub.open(place, repository.name, offset=offset) as response:
            if response.status_code == 416:  # it has fewer bytes than it lists
                _remove(part)
                raise AgainError(self._odd(file, "fewer"))
            if offset and not _starts_at(response, offset):
                offset = 0  # all of it comes again
            with part.open("r+b" if offset else "wb") as writer:
                writer.seek(offset)
                async for piece in decode(response):
                    if writer.tell() + len(piece) > file.size:
                        writer.truncate(0)
                        raise AgainError(self._odd(file, "more"))
                    writer.write(piece)
                    self.report(file.name, writer.tell())
        if _size_of(part) < file.size:
            raise httpx.ReadError("the answer ended early")

    def _broken(self, file: HubFile, error: Exception) -> MediaAgentError:
        return BackendUnavailableError(
            f"{file.name} broke off again and again ({reason_of(error)})",
            hint="check the network; the same command continues where it stopped",
        )

    def _odd(self, file: HubFile, how: str) -> MediaAgentError:
        return BackendUnavailableError(
            f"{self.hub.host} sends {how} than the {file.size} bytes of {file.name}",
            hint="try again later",
        )


def _starts_at(response: httpx.Response, offset: int) -> bool:
    said = response.headers.get("content-range", "")
    return response.status_code == 206 and said.startswith(f"bytes {offset}-")


def _size_of(path: Path) -> int:
    """Return the size of a file in bytes, -1 if there is none."""
    return path.stat().st_size if path.exists() else -1


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _is_same(path: Path, file: HubFile) -> bool:
    """Return whether a file is what the hub lists, by its checksum; it can be stopped."""
    if _size_of(path) != file.size:
        return False
    wanted = file.sha256 or file.git_hash
    digest = hashlib.sha256()
    if file.sha256 is None:  # as Git hashes it
        digest = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    for piece in _pieces(path):
        digest.update(piece)
        await asyncio.sleep(0)
    return wanted is None or digest.hexdigest() == wanted


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as reader:
        while piece := reader.read(_PIECE):
            yield piece
