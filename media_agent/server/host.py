"""The client of a server, in a thread and an event loop of its own.

The ledger is SQL, and jobs use it all the time: the loop that answers HTTP never waits for it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from media_agent.client import VideoClient
from media_agent.ledger.ledger import Ledger
from media_agent.loop_thread import LoopThread

T = TypeVar("T")
_LOGGER = logging.getLogger(__name__)
_LOOK_SECONDS = 0.5  # between two looks at a client that ends


class ClientHost:
    """Runs a `VideoClient` and the jobs of a server; used inside `async with`."""

    def __init__(self, client: VideoClient) -> None:
        self.client = client
        self._calls = {client: 0}
        """How many calls each client is answering: this one, and those that it replaced."""
        self._loop = LoopThread()
        self._writing = ThreadPoolExecutor(1, "media-agent-write")

    @property
    def working(self) -> int:
        """How many jobs this process works on."""
        return sum(client.count_working() for client in tuple(self._calls))

    async def call(self, work: Callable[[VideoClient], Awaitable[T]]) -> T:
        """Return what the client answers; a caller that hangs up does not break it off halfway.

        Raises:
            MediaAgentError: as the client does.
        """
        return await self._run(self._answer(work, self.client))

    async def tell(self, work: Callable[[VideoClient], Awaitable[None]]) -> None:
        """Let every client that has jobs do something: this one, and those that it replaced."""
        for client in tuple(self._calls):
            await self._run(_await(work, client))

    def begin(self, work: Callable[[VideoClient], Awaitable[T]]) -> Future[T]:
        """Begin work beside the jobs; cancel what is returned to end it."""
        return self._loop.soon(_await(work, self.client))

    async def read(self, look: Callable[[Ledger], T]) -> T:
        """Return what stands in the ledger, read in a thread beside all loops.

        Raises:
            MediaAgentError: as the ledger does.
        """
        return await asyncio.to_thread(look, self.client.store)

    async def write(self, change: Callable[[Ledger], T]) -> T:
        """Return what a change of the ledger comes to, made in a thread for all of them.

        One that another process has locked takes no thread then from those who only read. What
        its caller gave up before its turn is not done.

        Raises:
            MediaAgentError: as the ledger does.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writing, change, self.client.store)

    async def ask(self, question: Callable[[VideoClient], Coroutine[Any, Any, T]]) -> T:
        """Return what the client knows of backends and models, asked in a thread beside all loops.

        So it waits for no job, which may be held up by a ledger that another process has locked.

        Raises:
            MediaAgentError: as the client does.
        """
        return await asyncio.to_thread(lambda: asyncio.run(question(self.client)))

    async def replace(self, client: VideoClient) -> None:
        """Let another client answer from now on; jobs under way end with the one before."""
        old, self.client = self.client, client
        self._calls[client] = 0
        self._loop.soon(self._retire(old)).add_done_callback(_report)

    async def aclose(self) -> None:
        """Let go of all jobs, so that they can be resumed, and close the clients.

        One that cannot be closed keeps no other from it; what was wrong is raised at the end.
        """
        try:
            async with contextlib.AsyncExitStack() as stack:
                for client in tuple(self._calls):
                    stack.push_async_callback(self._run, client.aclose())
        finally:
            self._writing.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(self._loop.close)

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.shield(asyncio.wrap_future(self._loop.soon(work)))

    async def _answer(self, work: Callable[[VideoClient], Awaitable[T]], client: VideoClient) -> T:
        self._calls[client] += 1
        try:
            return await _await(work, client)
        finally:
            self._calls[client] -= 1

    async def _retire(self, client: VideoClient) -> None:
        """Close a client when it has nothing left to do."""
        while self._calls[client] or client.count_working():  # noqa: ASYNC110  # nothing says when
            await asyncio.sleep(_LOOK_SECONDS)
        await client.aclose()
        del self._calls[client]


def _report(retiring: Future[None]) -> None:
    error = None if retiring.cancelled() else retiring.exception()
    if error is not None:
        _LOGGER.warning("the client before a reload could not be closed", exc_info=error)


async def _await(work: Callable[[VideoClient], Awaitable[T]], client: VideoClient) -> T:
    return await work(client)
