"""The client of a server, in a thread and an event loop of its own.

The ledger is SQL, and jobs use it all the time: the loop that answers HTTP never waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

from media_agent.client import VideoClient
from media_agent.ledger.ledger import Ledger
from media_agent.loop_thread import LoopThread

T = TypeVar("T")


class ClientHost:
    """Runs a `VideoClient` and the jobs of a server; used inside `async with`."""

    def __init__(self, client: VideoClient) -> None:
        self.client = client
        self._loop = LoopThread()

    async def start(self) -> None:
        """Continue the jobs of callers that an earlier server left under way."""
        await self.call(_adopt_left)

    async def call(self, work: Callable[[VideoClient], Awaitable[T]]) -> T:
        """Return what the client answers; a caller that hangs up does not break it off halfway.

        Raises:
            MediaAgentError: as the client does.
        """
        return await asyncio.shield(asyncio.wrap_future(self.begin(work)))

    def begin(self, work: Callable[[VideoClient], Awaitable[T]]) -> Future[T]:
        """Begin work beside the jobs; cancel what is returned to end it."""
        return self._loop.soon(_await(work, self.client))

    async def read(self, look: Callable[[Ledger], T]) -> T:
        """Return what stands in the ledger, read in a thread beside all loops.

        Raises:
            MediaAgentError: as the ledger does.
        """
        return await asyncio.to_thread(look, self.client.store)

    async def aclose(self) -> None:
        """Let go of all jobs, so that they can be resumed, and close the client."""
        try:
            await self.call(VideoClient.aclose)
        finally:
            await asyncio.to_thread(self._loop.close)


async def _await(work: Callable[[VideoClient], Awaitable[T]], client: VideoClient) -> T:
    return await work(client)


async def _adopt_left(client: VideoClient) -> None:
    for job in await client.orphans():
        if job.caller is not None:
            await client.adopt(job.id)
