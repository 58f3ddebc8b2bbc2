"""What a backend tells of work; its last word goes far before it is kept, so it can be kept."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from media_agent.backend.fence import FencedBackend
from media_agent.backend.polled import PolledBackend
from media_agent.backend.protocol import VideoBackend
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
from media_agent.ledger.store.kept_text import readable
from media_agent_schemas.events import BackendEvent, JobCompleted, JobFailed, TerminalEvent
from media_agent_schemas.jobs import OperationRef

_WORD_OF_THE_BACKEND = (RequestError, GenerationFailedError, ModelRetiredError, JobError)


async def observe_work(
    backend: VideoBackend, ref: OperationRef
) -> AsyncGenerator[BackendEvent, None]:
    """Yield what a backend tells of work; the word with which it fails it is told as its end."""
    try:
        async with aclosing(backend.observe(ref)) as events:
            async for event in events:
                yield (
                    _make_storable(event, backend.name)
                    if isinstance(event, TerminalEvent)
                    else event
                )
    except OperationNotFoundError:
        raise
    except _WORD_OF_THE_BACKEND as error:
        yield JobFailed(error=to_info(error))


def take_pause(backend: VideoBackend, ref: OperationRef, seconds: float) -> float:
    """Return how long to wait after a failed poll; it counts against the deadline of the work."""
    inner = backend.inner if isinstance(backend, FencedBackend) else backend
    return inner.take_pause(ref, seconds) if isinstance(inner, PolledBackend) else seconds


def _make_storable(event: TerminalEvent, backend: str) -> TerminalEvent:
    """Return an end as it can be kept; of a finished video all but the video may be left out.

    Raises:
        BackendResponseError: it cannot be kept.
    """
    try:
        return readable(event)
    except StorageError as error:
        if not isinstance(event, JobCompleted) or not event.artifacts:
            raise BackendResponseError(f"{backend} reported unusable data: {error}") from error
        said = f"what {backend} reported about the video cannot be kept and was left out"
        return JobCompleted(artifacts=event.artifacts, warnings=(said,))
