"""Work that several calls want at once, done once for all of them."""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
_AT_ONCE = 2


class SharedWork(Generic[T]):
    """Does work in threads of its own; whoever asks for what is being done waits for that.

    It may take seconds, and however much of it is wanted, other calls keep their threads.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Future[T]] = {}
        self._threads = ThreadPoolExecutor(_AT_ONCE, "media-agent-shared")

    async def do(self, name: Hashable, work: Callable[[], T]) -> T:
        """Return what the work of that name comes to; a caller that hangs up ends it for nobody."""
        future = self._under_way.get(name)
        if future is None:
            future = asyncio.get_running_loop().run_in_executor(self._threads, work)
            self._under_way[name] = future
            future.add_done_callback(lambda done: self._forget(name, done))
        return await asyncio.shield(future)

    def close(self) -> None:
        """Begin nothing more; who still waits for a turn is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self, name: Hashable, future: asyncio.Future[T]) -> None:
        del self._under_way[name]
        if not future.cancelled():
            future.exception()  # whoever asked may have hung up: nobody else looks at it
