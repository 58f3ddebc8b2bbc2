"""An event loop in a thread of its own, for work that another thread asks for."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

R = TypeVar("R")


class LoopThread:
    """An event loop that runs in a thread until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="media-agent", daemon=True)
        self._is_closed = False
        self._asking = threading.Lock()
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Wait for the work; when the wait is broken off, by Ctrl-C, cancel it and see it end.

        Raises:
            RuntimeError: called in the thread of the loop, which would wait for itself; or closed.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("the client cannot be called in `on_event`; use another thread")
        try:
            starting = self.soon(_as_task(work))
        except RuntimeError:
            work.close()
            raise
        try:
            task = starting.result()
            self.soon(asyncio.wait([task])).result()
        except BaseException:
            task = starting.result()  # the loop may have been busy, and begins it yet
            self._loop.call_soon_threadsafe(task.cancel)
            self.soon(asyncio.wait([task])).result()
            raise
        return task.result()

    def close(self) -> None:
        """Cancel what still runs, and end the thread."""
        with self._asking:
            self._is_closed = True
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def soon(self, work: Coroutine[Any, Any, R]) -> Future[R]:
        """Begin the work in the loop, from any thread.

        Raises:
            RuntimeError: it is closed, or being closed: nothing would end the work, or tell of it.
        """
        with self._asking:
            if not self._is_closed:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise RuntimeError("the client is closed")

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop):
            self._loop.run_forever()


async def _as_task(work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
    return asyncio.create_task(work)
