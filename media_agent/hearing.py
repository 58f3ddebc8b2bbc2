"""What a backend tells of work: it can be kept, or is left out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

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


async def told_by(backend: VideoBackend, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
    """Yield what a backend tells of work; the word with which it fails it is told as its end."""
    try:
        async with aclosing(backend.observe(ref)) as events:
            async for event in events:
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
