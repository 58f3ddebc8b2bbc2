"""Waiting for what takes long, unless it is not wanted any more."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from media_agent.errors import GenerationFailedError, JobCancelledError

LOOK_SECONDS = (
    0.5  # between two looks at what others requested; what is to stop has that long to end
)
GRACE_SECONDS = 60.0  # that work which was told to stop at its deadline may take to end

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


async def finish_in_thread(work: Callable[[], _Result]) -> _Result:
    """Do work in a thread; a cancellation waits for its end, as no thread can be broken off.

    Else it would write when somebody else has the job, and the place of its video.
    """
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


async def within(
    work: Coroutine[object, object, _Result],
    seconds: float | None,
    stop: Callable[[], Awaitable[None]],
    *,
    grace: float = GRACE_SECONDS,
) -> _Result:
    """Return what work comes to; after so many seconds it is told to stop. None: it may take long.

    Seconds are those of a monotonic clock: one that is set differently ends nothing.

    Raises:
        GenerationFailedError: it has not ended though it was told to.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            await stop()
            await asyncio.wait({task}, timeout=grace)
        if not task.done():
            raise GenerationFailedError(
                f"it has not ended within {grace:g} s after it was told to stop at its deadline of "
                f"{seconds:g} s",
                hint="end this process: the work may go on in it",
            )
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
