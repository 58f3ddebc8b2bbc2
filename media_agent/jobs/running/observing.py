"""The work of a run, observed to its end; a lost connection is not a failed job."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import aclosing

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    MediaAgentError,
    StorageError,
)
from media_agent.ingest.digests import digests_of
from media_agent.jobs import stopping
from media_agent.jobs.recovery.hearing import observe_work, take_pause
from media_agent.jobs.running.current_work import CurrentWork
from media_agent.jobs.running.endings import as_unknown
from media_agent.jobs.running.steering import Steering
from media_agent.jobs.running.telling import Teller
from media_agent.jobs.sharing import Sharing
from media_agent_schemas.events import (
    ChunkReady,
    JobOutcomeUnknown,
    JobStarted,
    TerminalEvent,
)
from media_agent_schemas.jobs import OperationRef

_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between attempts to reach a backend again


class StillWaitingError(Exception):
    """The work of a job is at a service, and whoever runs it waits for the end in another way."""


class EventNotKeptError(Exception):
    """What happened could not be kept: no word about the work, which is to be observed again."""

    def __init__(self, error: StorageError) -> None:
        self.error = error


class Observer:
    """Observes the work of one run."""

    def __init__(
        self,
        work: CurrentWork,
        teller: Teller,
        steering: Steering,
        sharing: Sharing,
        *,
        waits_elsewhere: Callable[[VideoBackend], bool],
    ) -> None:
        """Begin; where the backend `waits_elsewhere`, nothing is observed here."""
        self._work = work
        self._teller = teller
        self._steering = steering
        self._sharing = sharing
        self._waits_elsewhere = waits_elsewhere
        self._context = work.context

    async def observe(self, backend: VideoBackend, ref: OperationRef) -> TerminalEvent:
        """Observe until the end, or the deadline; a service that is polled keeps its own.

        Raises:
            StillWaitingError: it is waited for elsewhere.
            EventNotKeptError: what happened could not be kept.
            MediaAgentError: its backend cannot be reached, or what it says makes no sense.
        """
        seconds = None if "deadline_seconds" in ref.data else self._work.job.plan.request.deadline

        async def stop() -> None:
            self._work.warn(f"it was stopped at its deadline of {seconds:g} s")
            await self._steering.stop()

        return await stopping.within(self._observe(backend, ref), seconds, stop)

    async def _observe(self, backend: VideoBackend, ref: OperationRef) -> TerminalEvent:
        """Keep what happens until the end."""
        if self._waits_elsewhere(backend):
            raise StillWaitingError
        await self._steering.take_commands()  # those that came when nobody could take them
        failures = 0
        while True:
            try:
                async with aclosing(observe_work(backend, ref)) as events:
                    async for event in events:
                        if isinstance(event, JobOutcomeUnknown):
                            return as_unknown(self._work, event.error, end=event)
                        if isinstance(event, TerminalEvent):
                            return event
                        if isinstance(event, JobStarted) and self._work.capabilities().resubmits:
                            await self._record_inputs()
                        try:
                            if isinstance(event, ChunkReady):
                                await self._sharing.save(ref.operation_id)
                            is_news = self._teller.keep(event)
                        except StorageError as error:
                            raise EventNotKeptError(error) from error
                        if is_news:  # what is only repeated is no sign of life
                            failures = 0
                raise BackendResponseError(f"{backend.name} ended without a result")
            except BackendUnavailableError:
                if failures == len(_PAUSES):
                    raise
                await self._context.sleep(take_pause(backend, ref, _PAUSES[failures]))
                failures += 1

    async def _record_inputs(self) -> None:
        """Keep what the files are that a local model reads now; the job may have waited long."""
        with contextlib.suppress(MediaAgentError):  # gone: the model says so, if it reads it
            found = await asyncio.to_thread(digests_of, self._work.job.plan.request.inputs)
            if found:
                self._context.store.jobs.note_inputs(self._work.job.id, found)
