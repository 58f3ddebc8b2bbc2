"""The base of backends that compute here: their author writes `generate`, all else is done once.

`generate` runs in a worker thread and yields chunks of frames. Each chunk is on disk and in the
growing video before it is announced, so that a kill loses at most the chunk being made.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from media_agent.backend.generating.context import Chunk, GenerationContext, Operation
from media_agent.backend.generating.replay import count_shared
from media_agent.backend.generating.steering import Steering
from media_agent.backend.generating.worker import Worker
from media_agent.backend.options import check_settings
from media_agent.backend.protocol import BackendSettings, NamedBackend
from media_agent.distribution import install_hint
from media_agent.environment import set_variable, value_of
from media_agent.errors import (
    BackendUnavailableError,
    IdempotencyConflictError,
    InvalidRequestError,
    NotResumableError,
    OperationNotFoundError,
    UnsupportedRequestError,
)
from media_agent.storage.files import checked_key
from media_agent.storage.work_folder import link_chunks, state_name
from media_agent.suggest import did_you_mean
from media_agent_schemas.capabilities import Control
from media_agent_schemas.events import BackendEvent, JobCancelled, JobCompleted, JobProgressed
from media_agent_schemas.jobs import ChangePrompt, Finish, OperationRef, ResumeToken
from media_agent_schemas.request import VideoRequest

__all__ = [
    "Chunk",
    "GenerationContext",
    "LocalBackend",
    "Steering",
    "check_settings",
    "describe_missing",
    "state_name",
]

_OPERATIONS_KEPT = 100  # finished ones that can still be observed


class ThreadedBackend(NamedBackend):
    """Meets the `VideoBackend` protocol for work that is done on this machine."""

    workers: int = 1
    """Pieces of work done at the same time; the others wait their turn."""

    def __init__(
        self, settings: BackendSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(settings)
        self._clock = clock
        self._operations: dict[str, Operation] = {}
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix=f"{self.name}-worker")
        self._is_closed = False

    @abstractmethod
    def work(self, operation: Operation) -> None:
        """Do the work, in a worker thread, and publish exactly one terminal event, at the end."""

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Queue the work and return at once; the same key and request are the same operation."""
        if self._is_closed:
            raise BackendUnavailableError(f"{self.name} was closed")
        model = self.capabilities(request.split_model()[1]).model
        if resume is not None:
            self._check_resume(resume, model)
        known = self._operations.get(checked_key(key))
        if known is not None and known.request != request:
            raise IdempotencyConflictError(f"key {key!r} belongs to another request")
        if known is not None and not (resume is not None and _can_resume(known)):
            return known.ref
        work_dir = self.settings.data_dir / "work" / key
        if resume is not None and resume.key not in (None, key):
            parent = work_dir.with_name(str(resume.key))
            link_chunks(parent, work_dir, count_shared(resume), videos=request.n)
        operation = Operation(
            request=request,
            ref=OperationRef(backend=self.name, model=model, operation_id=key),
            resume=resume,
            work_dir=work_dir,
        )
        self._forget_old_operations()
        if len(busy := self._busy_with()) >= self.workers:
            operation.log.publish(JobProgressed(phase=f"waiting for {', '.join(busy)}"))
        self._operations[key] = operation
        operation.worker = self._pool.submit(self.work, operation)
        return operation.ref

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Return the operation of this key; work of another process ended with that process."""
        known = self._operations.get(key)
        return known.ref if known is not None and known.request == request else None

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Yield what happens, from the start, ending with one terminal event."""
        async with aclosing(self._find(ref).log.follow()) as events:
            async for event in events:
                yield event

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        """Hand a command to the running work; it is lost with this process, if not applied.

        Raises:
            UnsupportedRequestError: the model does not take this command.
        """
        operation = self._find(ref)
        if Control(command.type) not in self.capabilities(ref.model).controls:
            raise UnsupportedRequestError(f"{self.name}/{ref.model} takes no {command.type}")
        operation.commands[number] = command

    async def cancel(self, ref: OperationRef) -> None:
        """Ask the work to stop; it does within a denoising step."""
        self._cancel(self._find(ref))

    async def aclose(self) -> None:
        """Stop all work and wait until the worker threads are gone."""
        self._is_closed = True
        for operation in self._operations.values():
            self._cancel(operation)
        await asyncio.to_thread(self._pool.shutdown)

    def unknown_model(self, model: str, known: Iterable[str]) -> InvalidRequestError:
        """Return the error for a model name that is none of the known ones, with the nearest."""
        return InvalidRequestError(
            f"{self.name} has no model {model!r}", hint=did_you_mean(model, known)
        )

    def _check_resume(self, resume: ResumeToken, model: str) -> None:
        if (resume.backend, resume.model) != (self.name, model):
            raise NotResumableError(
                f"the token is of {resume.backend}/{resume.model}, not of {self.name}/{model}"
            )
        if self.capabilities(model).resumable is not True:
            raise NotResumableError(f"{self.name}/{model} cannot resume from a token")
        if resume.key is not None:
            checked_key(resume.key)

    def _find(self, ref: OperationRef) -> Operation:
        operation = self._operations.get(ref.operation_id)
        if operation is None:
            raise OperationNotFoundError(
                f"{self.name} does not work on {ref.operation_id!r} in this process",
                hint="submit it again; with its last resume token it resumes where it was",
            )
        return operation

    def _cancel(self, operation: Operation) -> None:
        if operation.log.terminal is not None:
            return
        operation.cancelled.set()
        operation.log.stop_waiting()
        if operation.worker is not None and operation.worker.cancel():  # had not begun
            operation.log.publish(JobCancelled(model=operation.ref.model))

    def _busy_with(self) -> list[str]:
        """Return the operations that the workers have or will take first."""
        unfinished = (key for key, each in self._operations.items() if each.log.terminal is None)
        return list(islice(unfinished, self.workers))

    def _forget_old_operations(self) -> None:
        finished = [key for key, operation in self._operations.items() if operation.log.terminal]
        for key in finished[: max(0, len(finished) - _OPERATIONS_KEPT)]:
            del self._operations[key]


class LocalBackend(ThreadedBackend):
    """Meets the `VideoBackend` protocol for models that run in this process."""

    @abstractmethod
    def generate(self, request: VideoRequest, context: GenerationContext) -> Iterator[Chunk]:
        """Yield the chunks of a negotiated request in order, from `context.resume` on if given.

        Runs in a worker thread. Too many frames in the last chunk are cut off. Whatever it raises
        ends the work as failed; the chunks made so far are kept.
        """

    def work(self, operation: Operation) -> None:
        """Make the video of one operation, chunk by chunk."""
        Worker(operation, self, self._clock).run()


@cache
def describe_missing(extra: str, *modules: str) -> str | None:
    """Return which modules this machine lacks and how to get them, for `Capabilities.missing`."""
    absent = ", ".join(name for name in modules if find_spec(name) is None)
    return f"{absent}: {install_hint(extra)}" if absent else None


def _can_resume(operation: Operation) -> bool:
    terminal = operation.log.terminal
    return terminal is not None and not isinstance(terminal, JobCompleted)


def keep_cache_in(folder: Path, variable: str, *, usual: str) -> None:
    """Let a library keep its cache in a folder, unless a variable names another than its usual."""
    if value_of(variable) in (None, usual):
        set_variable(variable, str(folder))
