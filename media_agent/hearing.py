"""Code of a plugin that is waited for, and what it tells of work: all that it may do is expected.

Exits and cancellations that it raises itself are errors of its own. What it tells can be kept, or
is left out.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from media_agent.backend import VideoBackend
from media_agent.errors import (
    BackendResponseError,
    GenerationFailedError,
    JobError,
    ModelRetiredError,
    OperationNotFoundError,
    RequestError,
    StorageError,
    to_info,
)
from media_agent.kept_text import readable
from media_agent_schemas.events import BackendEvent, JobCompleted, JobFailed, JobProgressed
from media_agent_schemas.jobs import OperationRef

_WORD_OF_THE_BACKEND = (RequestError, GenerationFailedError, ModelRetiredError, JobError)

_Answer = TypeVar("_Answer")


class PluginBrokeError(Exception):
    """The code of a plugin raised what is no error; it says nothing about the work."""


async def from_plugin(work: Awaitable[_Answer]) -> _Answer:
    """Wait for code of a plugin; a cancellation of ours goes on.

    Raises:
        PluginBrokeError: it raised what would have ended our task or process.
    """
    task = asyncio.current_task()
    try:
        return await work
    except asyncio.CancelledError as error:
        if task is None or task.cancelling():
            raise
        raise PluginBrokeError("it cancelled itself") from error
    except (SystemExit, GeneratorExit) as error:
        raise PluginBrokeError(f"it ended itself: {type(error).__name__} {error}") from error


async def told_by(backend: VideoBackend, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
    """Yield what a backend tells of work; the word with which it fails it is told as its end."""
    try:
        async with aclosing(backend.observe(ref)) as events:
            while True:
                try:
                    event = await from_plugin(anext(events))
                except StopAsyncIteration:
                    return
                if (kept := _kept(event, backend.name)) is not None:
                    yield kept
    except OperationNotFoundError:
        raise
    except _WORD_OF_THE_BACKEND as error:
        yield JobFailed(error=to_info(error))


def _kept(event: BackendEvent, backend: str) -> BackendEvent | None:
    """Return an event as it can be kept; None: it is one that can be done without.

    Of a finished film all but the film may be left out.

    Raises:
        BackendResponseError: it cannot be kept.
    """
    try:
        return readable(event)
    except StorageError as error:
        if isinstance(event, JobProgressed):
            return None
        if not isinstance(event, JobCompleted) or not event.artifacts:
            raise BackendResponseError(f"{backend} told what cannot be kept: {error}") from error
        said = f"what {backend} told of the film cannot be kept and was left out"
        return JobCompleted(artifacts=event.artifacts, warnings=(said,))
