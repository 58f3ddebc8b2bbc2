"""Waiting for what takes long, unless it is not wanted any more."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import TypeVar

from media_agent.errors import JobCancelledError

LOOK_SECONDS = (
    0.5  # between two looks at what others requested; what is to stop has that long to end
)

_Result = TypeVar("_Result")


async def while_wanted(
    work: Coroutine[object, object, _Result],
    is_unwanted: Callable[[], bool],
    *,
    longest: float = math.inf,
) -> _Result:
    """Wait for work; when it is not wanted any more it has a moment to end, then is cancelled.

    `longest` is in seconds of waiting between looks: a process that was stopped has waited less.

    Raises:
        JobCancelledError: it was not wanted any more.
        TimeoutError: it took too long.
    """
    task = asyncio.create_task(work)
    has_moment = True
    waited = 0.0
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            waited += LOOK_SECONDS
            if not task.done() and waited >= longest:
                raise TimeoutError
            if task.done() or not is_unwanted():
                continue
            if not has_moment:
                raise JobCancelledError("it was stopped before it finished")
            has_moment = False
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
