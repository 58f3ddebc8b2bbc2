"""The way of one job: intent kept, submitted, observed, collected, finished.

Whatever happens on the way, the job ends with exactly one terminal event, written last: when it
says completed, the film and the record are in their places.
"""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from media_agent.artifacts import Destination
from media_agent.backend import VideoBackend
from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    GenerationFailedError,
    MediaAgentError,
    StorageError,
    SubmitUncertainError,
    to_info,
)
from media_agent.files import storage_errors, write_atomically
from media_agent.jobs import JobStore
from media_agent.record import build_record
from media_agent_schemas.events import (
    BackendEvent,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobOutcomeUnknown,
    TerminalEvent,
)
from media_agent_schemas.jobs import OperationRef, VideoJob
from media_agent_schemas.media import Artifact, ArtifactKind

_LOGGER = logging.getLogger(__name__)
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between attempts to reach a backend again


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run takes from outside, so that tests need not wait."""

    store: JobStore
    now: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]
    work_folder: Path


class JobRun:
    """One job on its way; `stop` may be called at any time."""

    def __init__(
        self,
        job: VideoJob,
        backend: VideoBackend,
        destination: Destination,
        surroundings: Surroundings,
        *,
        on_event: Callable[[JobEvent], None] | None = None,
    ) -> None:
        self.job = job
        self.backend = backend
        self.ref: OperationRef | None = None
        self._destination = destination
        self._around = surroundings
        self._store = surroundings.store
        self._on_event = on_event
        self._is_stopping = False

    async def run(self) -> VideoJob:
        """Go the whole way and return the job as it ended, whichever way that was.

        Raises:
            StorageError: the data folder cannot be written, so that the end could not be kept.
        """
        with self._store.hold(self.job.id):
            end = await self._work()
            end = await asyncio.to_thread(self._finish, end)
            self._keep(end)
        if isinstance(end, JobCompleted):
            work = self._around.work_folder / self.job.id
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        return self._store.get(self.job.id)

    async def stop(self) -> None:
        """Ask the backend to stop; the run ends by itself, with what was made so far."""
        self._is_stopping = True
        if self.ref is not None:
            await self.backend.cancel(self.ref)

    async def _work(self) -> TerminalEvent:
        """Submit and observe; trouble becomes the terminal event that says it."""
        if self._is_stopping:
            return stopped_early(self.job)
        try:
            self.ref = await self._submit()
            if self._is_stopping:  # asked to while it was being submitted
                await self.backend.cancel(self.ref)
            return await self._observe(self.ref)
        except SubmitUncertainError as error:
            return JobOutcomeUnknown(error=to_info(error))
        except MediaAgentError as error:
            await self._let_go()
            return JobFailed(error=to_info(error))
        except Exception as error:  # a plugin's own, kept as data
            _LOGGER.debug("backend %s broke", self.backend.name, exc_info=True)
            await self._let_go()
            said = f"{self.backend.name} broke: {type(error).__name__}: {error}"
            return JobFailed(error=to_info(GenerationFailedError(said)))

    async def _submit(self) -> OperationRef:
        ref = await self.backend.submit(self.job.plan.request, key=self.job.id)
        self._store.update(self.job.id, lambda job: job.model_copy(update={"ref": ref}))
        return ref

    async def _observe(self, ref: OperationRef) -> TerminalEvent:
        """Keep what happens until the end; a lost connection is not a failed job."""
        failures = 0
        while True:
            try:
                async for event in self._events(ref):
                    failures = 0
                    if isinstance(event, TerminalEvent):
                        return event
                    self._keep(event)
                raise BackendResponseError(f"{self.backend.name} ended without saying how")
            except BackendUnavailableError as error:
                if failures == len(_PAUSES):
                    return JobOutcomeUnknown(error=to_info(error))
                await self._around.sleep(_PAUSES[failures])
                failures += 1

    async def _events(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        async with aclosing(self.backend.observe(ref)) as events:
            async for event in events:
                yield event

    def _keep(self, event: BackendEvent) -> None:
        numbered = self._store.append(self.job.id, event, self._around.now())
        if numbered is not None and self._on_event is not None:
            self._on_event(numbered)

    async def _let_go(self) -> None:
        """Stop the backend after trouble, without making more of it."""
        if self.ref is not None:
            with contextlib.suppress(MediaAgentError):
                await self.backend.cancel(self.ref)

    def _finish(self, end: TerminalEvent) -> TerminalEvent:
        """Put film and record in their places and return the end with where they are."""
        end = self._collected(end)
        try:
            self._write_record(end)
        except StorageError as error:
            if not isinstance(end, JobFailed):  # the first trouble is the one to tell
                end = JobFailed(error=to_info(error), artifacts=end.artifacts)
        return end

    def _collected(self, end: TerminalEvent) -> TerminalEvent:
        """Return the end with its film in place, or the failure to put it there."""
        is_complete = isinstance(end, JobCompleted)
        films = [index for index, file in enumerate(end.artifacts) if _is_film(file)]
        try:
            if is_complete and not films:
                raise BackendResponseError(f"{self.backend.name} completed without a film")
            artifacts = list(end.artifacts)
            for index in films[:1]:
                artifacts.insert(0, self._collect(artifacts.pop(index), is_complete))
            return end.model_copy(update={"artifacts": tuple(artifacts)})
        except MediaAgentError as error:
            facts = end.model_dump(exclude={"type", "artifacts", "error"})
            return JobFailed.model_validate({**facts, "error": to_info(error)})

    def _collect(self, film: Artifact, is_complete: bool) -> Artifact:
        from media_agent.video import describe

        if film.path is None:
            raise BackendResponseError(f"{self.backend.name} gave no file for its film")
        try:
            place = self._destination.put(Path(film.path), complete=is_complete)
        except StorageError as error:
            hint = f"{error.hint}; " if error.hint else ""
            raise StorageError(error.message, hint=f"{hint}the film is in {film.path}") from error
        return describe(place, film.kind)

    def _write_record(self, end: TerminalEvent) -> None:
        record = build_record(
            self.job,
            end,
            capabilities=self.backend.capabilities(self.job.plan.model),
            events=self._store.events(self.job.id),
            finished_at=self._around.now(),
        )
        place = self._destination.record_of(isinstance(end, JobCompleted))
        with storage_errors(str(place)):
            write_atomically(place, record.model_dump_json(indent=2).encode() + b"\n")
        changes = {"record_path": str(place)}
        self._store.update(self.job.id, lambda job: job.model_copy(update=changes))


def _is_film(artifact: Artifact) -> bool:
    return artifact.kind in (ArtifactKind.VIDEO, ArtifactKind.PARTIAL_VIDEO)


def stopped_early(job: VideoJob) -> TerminalEvent:
    """Return the end of a job whose process is gone."""
    return JobCancelled(model=job.plan.model)
