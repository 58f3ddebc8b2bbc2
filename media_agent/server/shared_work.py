"""Work that several calls want at once, done once for all of them."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedWork(Generic[T]):
    """Does work in threads; whoever asks for what is being done already waits for that."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}

    async def do(self, name: Hashable, work: Callable[[], T]) -> T:
        """Return what the work of that name comes to; a caller that hangs up ends it for nobody."""
        task = self._under_way.get(name)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(work))
            self._under_way[name] = task
            task.add_done_callback(lambda done: self._forget(name, done))
        return await asyncio.shield(task)

    def _forget(self, name: Hashable, task: asyncio.Task[T]) -> None:
        del self._under_way[name]
        if not task.cancelled():
            task.exception()  # whoever asked may have hung up: nobody else looks at it
