"""The bytes of a video while it grows, to its end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from io import FileIO
from os import fstat
from os.path import samestat
from pathlib import Path

from media_agent.errors import StorageError
from media_agent.server.host import ClientHost
from media_agent.server.live.events import EventHub
from media_agent_schemas.events import ChunkReady, JobEvent
from media_agent_schemas.jobs import VideoJob

_BLOCK = 2**18  # bytes that are read at once
_PAUSE = 15.0  # seconds between two looks at a job of which nothing is heard


class CutOffError(Exception):
    """The server ends before the video does: what was sent is not all of it."""


async def follow(host: ClientHost, hub: EventHub, job: VideoJob) -> AsyncIterator[bytes]:
    """Yield the video of a job from its beginning, as it grows, until the job is over.

    It is the growing MP4, fragmented and silent, also across a restart of whoever makes it. Of a
    job that ended before it could be followed it is the finished video.

    Raises:
        CutOffError: the server ends.
        StorageError: the rest of it is gone.
    """
    newest = await host.read(lambda ledger: ledger.events.newest_chunk(job.id))
    growing = _Growing()
    growing.hear([newest] if newest is not None else [])
    after = -1 if newest is None else newest.sequence
    try:
        async for block in growing.read():
            yield block
        async with aclosing(hub.listen(job.id, after, pause=_PAUSE)) as news:
            async for told in news:
                growing.hear(each.event for each in told)
                async for block in growing.read():
                    yield block
        ended = await host.read(lambda ledger: ledger.jobs.get(job.id))
        if not ended.status.is_terminal:
            raise CutOffError
        if growing.offset == 0:
            here = await host.call(lambda client: client.bring_files(ended))
            async for block in _read_finished(here):
                yield block
    finally:
        growing.close()


class _Growing:
    """A file that grows; it may be written once more from the start, and is removed at the end."""

    def __init__(self) -> None:
        self.offset = 0
        self._path: Path | None = None
        self._file: FileIO | None = None

    def hear(self, events: Iterable[JobEvent]) -> None:
        """Learn where the file is."""
        for each in events:
            if isinstance(each.event, ChunkReady) and each.event.path is not None:
                self._path = Path(each.event.path)

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Yield what is there now and was not read yet."""
        while block := await asyncio.to_thread(self._read_block):
            yield block

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _read_block(self) -> bytes:
        if self._path is None:
            return b""
        self._open_if_new(self._path)
        if self._file is None:
            return b""
        self._file.seek(self.offset)
        block = self._file.read(_BLOCK)
        self.offset += len(block)
        return block

    def _open_if_new(self, path: Path) -> None:
        """Open the file, or the one in its place: it has the same bytes up to where we are."""
        try:
            if self._file is None or not samestat(path.stat(), fstat(self._file.fileno())):
                new = FileIO(path)
                self.close()
                self._file = new
        except FileNotFoundError:
            pass  # the video is finished: what was opened can still be read to its end


async def _read_finished(job: VideoJob) -> AsyncIterator[bytes]:
    path = job.artifacts[0].path if job.artifacts else None
    if path is None:
        raise StorageError(f"job {job.id} ended without a video")
    with await asyncio.to_thread(FileIO, path) as file:
        while block := await asyncio.to_thread(file.read, _BLOCK):
            yield block
