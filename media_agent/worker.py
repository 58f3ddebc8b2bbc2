"""What happens in the worker thread: chunks become a film, and the end becomes one event."""

import logging
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from media_agent.errors import (
    GenerationFailedError,
    InvalidRequestError,
    JobCancelledError,
    MediaAgentError,
    to_info,
)
from media_agent.files import as_storage_error
from media_agent.film import Film
from media_agent.generation import Chunk, GenerationContext, Operation
from media_agent.video import describe
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import (
    ChunkReady,
    Delivery,
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobStarted,
    TerminalEvent,
    Timing,
)
from media_agent_schemas.media import Artifact, ArtifactKind
from media_agent_schemas.request import VideoRequest

logger = logging.getLogger(__name__)


class FrameSource(Protocol):
    """The part of a local backend that a worker needs."""

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what a model can do."""
        ...

    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield the chunks in order."""
        ...


class Worker:
    """Makes the film of one operation and publishes what happens."""

    def __init__(
        self, operation: Operation, source: FrameSource, clock: Callable[[], float]
    ) -> None:
        self._operation = operation
        self._source = source
        self._clock = clock
        self._context = GenerationContext(operation)
        self._started = clock()
        self._seconds = {"generate": 0.0, "encode": 0.0}
        self._first_chunk_seconds: float | None = None
        self._chunks = 0
        self._frames = 0

    def run(self) -> None:
        """Do the work; whatever happens ends in one terminal event."""
        self._operation.log.publish(JobStarted())
        try:
            with self._open_film() as film:
                terminal = self._make(film)
        except Exception as error:  # noqa: BLE001  # the film could not be opened or closed
            terminal = self._failed(error, ())
        self._operation.log.publish(terminal)

    def _open_film(self) -> Film:
        self._context.check()
        request, resume = self._operation.request, self._operation.resume
        if request.fps is None:
            raise InvalidRequestError("the request has no fps; a plan sets it")
        chunks = 0 if resume is None else resume.next_chunk
        return Film(self._operation.work_dir, fps=request.fps, chunks=chunks)

    def _make(self, film: Film) -> TerminalEvent:
        try:
            self._fill(film)
            path = film.finish("video.mp4", tags=self._tags())
            return JobCompleted(**dict(self._delivery((describe(path),))))
        except JobCancelledError:
            return JobCancelled(**dict(self._delivery(self._partial(film))))
        except Exception as error:  # noqa: BLE001  # the engine's own errors become data
            return self._failed(error, self._partial(film))

    def _fill(self, film: Film) -> None:
        wanted = _wanted_frames(self._operation.request)
        self._count(film)
        with _closing(self._source.generate(self._operation.request, self._context)) as chunks:
            while wanted is None or film.frames < wanted:
                self._context.check()
                began = self._clock()
                chunk = next(chunks, None)
                self._seconds["generate"] += self._clock() - began
                if chunk is None:
                    break
                self._add(film, chunk, wanted)
        if film.chunks == 0:
            raise GenerationFailedError("the backend made no frames")
        if wanted is not None and film.frames < wanted:
            self._context.warn(f"{wanted} frames were asked, {film.frames} were made")

    def _add(self, film: Film, chunk: Chunk, wanted: int | None) -> None:
        if chunk.index != film.chunks:
            raise GenerationFailedError(f"got chunk {chunk.index}; {film.chunks} comes next")
        room = None if wanted is None else wanted - film.frames
        frames = chunk.frames[:room]
        began = self._clock()
        film.add(frames)
        self._seconds["encode"] += self._clock() - began
        if self._first_chunk_seconds is None:
            self._first_chunk_seconds = self._clock() - self._started
        self._count(film)
        self._operation.log.publish(
            ChunkReady(
                index=chunk.index,
                frames=len(frames),
                path=str(film.part_path),
                resume=chunk.resume,
            )
        )

    def _count(self, film: Film) -> None:
        self._chunks, self._frames = film.chunks, film.frames

    def _partial(self, film: Film) -> tuple[Artifact, ...]:
        if film.chunks == 0:
            return ()
        try:
            path = film.finish("video.partial.mp4", tags=self._tags())
            return (describe(path, ArtifactKind.PARTIAL_VIDEO),)
        except (OSError, MediaAgentError) as error:
            self._context.warn(f"what was made could not be put together: {error}")
            return ()

    def _failed(self, error: Exception, artifacts: tuple[Artifact, ...]) -> TerminalEvent:
        if isinstance(error, JobCancelledError):
            return JobCancelled(**dict(self._delivery(artifacts)))
        known = _as_known(error, self._operation)
        logger.debug("%s failed", self._operation.ref.operation_id, exc_info=error)
        return JobFailed(error=to_info(known), **dict(self._delivery(artifacts)))

    def _delivery(self, artifacts: tuple[Artifact, ...]) -> Delivery:
        operation = self._operation
        facts = self._source.capabilities(operation.ref.model)
        return Delivery(
            artifacts=artifacts,
            frames=self._frames,
            chunks=self._chunks,
            seed=operation.request.seed,
            model=facts.model,
            weights_sha256=facts.weights_sha256,
            verification=facts.verification,
            prompts_sent=operation.prompts_sent,
            warnings=tuple(operation.warnings),
            timing=Timing(
                total_seconds=self._clock() - self._started,
                first_chunk_seconds=self._first_chunk_seconds,
                phases=self._seconds,
            ),
        )

    def _tags(self) -> dict[str, str]:
        ref = self._operation.ref
        return {"title": ref.operation_id, "comment": f"generated by {ref.backend}/{ref.model}"}


@contextmanager
def _closing(chunks: Iterator[Chunk]) -> Iterator[Iterator[Chunk]]:
    """Let a generator clean up, here and now, however the loop over it ends."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, Generator):
            chunks.close()


def _wanted_frames(request: VideoRequest) -> int | None:
    if request.endless:
        return None
    if request.num_frames is not None:
        return request.num_frames
    seconds = request.seconds()
    if seconds is None or request.fps is None:
        raise InvalidRequestError("the request has no length; a plan sets num_frames")
    return round(seconds * request.fps)


def _as_known(error: Exception, operation: Operation) -> MediaAgentError:
    if isinstance(error, MediaAgentError):
        return error
    if isinstance(error, OSError):
        return as_storage_error(str(error.filename or operation.work_dir), error)
    name = f"{operation.ref.backend}/{operation.ref.model}"
    return GenerationFailedError(
        f"{name} stopped at an unexpected {type(error).__name__}: {error}",
        hint=_keep_traceback(error, operation.work_dir / "traceback.txt"),
    )


def _keep_traceback(error: Exception, path: Path) -> str | None:
    """Write where the error came from, for whoever mends it, and say where that is."""
    try:
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError as trouble:
        logger.debug("%s was not written: %s", path, trouble)
        return None
    return f"details in {path}"
