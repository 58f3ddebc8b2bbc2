"""The way of one job: plan, intent, submit, ref, observe, collect, finish; each step is kept.

A run that ends anywhere can be started again by another process: it continues from the ledger.
Whatever happens, the job ends with one terminal event, written last: when it says completed, the
video and the record are in their places. Once a backend has accepted the work, only its own word
fails the job; our own trouble leaves the outcome unknown, to be resumed.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    BackendResponseError,
    BackendUnavailableError,
    JobCancelledError,
    LedgerBusyError,
    MediaAgentError,
    OperationNotFoundError,
    StorageError,
    SubmitUncertainError,
    in_full,
    to_info,
)
from media_agent.ingest.digests import digests_of
from media_agent.jobs import stopping
from media_agent.jobs.context import JobContext
from media_agent.jobs.delivering.deliver import Deliverer
from media_agent.jobs.delivering.places import clean_up, reserve_destination
from media_agent.jobs.delivering.remake import Remaker
from media_agent.jobs.housekeeping.expire import expire_states
from media_agent.jobs.lookout import Lookout
from media_agent.jobs.recovery.hearing import observe_work, take_pause
from media_agent.jobs.segment_jobs import SegmentRunner
from media_agent.jobs.settle import Work, settled
from media_agent.jobs.sharing import Sharing
from media_agent.jobs.submit import Submitter
from media_agent.ledger.state import JobOptions, OwnershipLostError, SubmissionState
from media_agent.ledger.store.database import UndecidedError
from media_agent.storage.destination import Destination
from media_agent.telemetry.jobs import JobTelemetry
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.events import (
    BackendEvent,
    ChunkReady,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobOutcomeUnknown,
    JobStarted,
    TerminalEvent,
)
from media_agent_schemas.jobs import ChangePrompt, JobStatus, OperationRef, VideoJob

_LOGGER = logging.getLogger(__name__)
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between attempts to reach a backend again
_LONGEST_CALL = 30.0  # seconds that a backend has to take a command, or a request to stop

OnEvent = Callable[[JobEvent], None] | None


def notify(on_event: OnEvent, numbered: JobEvent) -> None:
    """Tell whoever wants to hear; what breaks there is no word about the work."""
    if on_event is None:
        return
    try:
        on_event(numbered)
    except Exception:  # whoever listens decides nothing
        _LOGGER.warning("who hears of job %s broke", numbered.job_id, exc_info=True)


class StillWaitingError(Exception):
    """The work of a job is at a service, and whoever runs it waits for the end in another way."""


class _NotKeptError(Exception):
    """What happened could not be kept: no word about the work, which is to be observed again."""

    def __init__(self, error: StorageError) -> None:
        self.error = error


class JobRun:
    """One job on its way; `stop` may be called at any time."""

    backend: VideoBackend
    """Whoever works on it; there from the moment that this run owns the job."""
    _telemetry: JobTelemetry

    def __init__(
        self,
        job: VideoJob,
        context: JobContext,
        lookout: Lookout,
        *,
        on_event: OnEvent = None,
        parts: SegmentRunner | None = None,
        waits_elsewhere: Callable[[VideoBackend], bool] = lambda backend: False,
        is_retried: bool = False,
    ) -> None:
        """Begin; a run whose backend `waits_elsewhere` leaves off once the work is accepted.

        One that `is_retried` leaves off where the ledger is away, which is no word about the job.
        """
        self.job = job
        self.ref: OperationRef | None = None
        self.last_sequence = -1
        """The number of the last event that was told."""
        self.last_command = 0
        """The number of the last command that was handed over."""
        self.on_submitted: Callable[[], None] = lambda: None
        """Called when a backend has taken the work."""
        self._context = context
        self._lookout = lookout
        self._store = context.store
        self._on_event = on_event
        self._parts = parts
        self._sharing = Sharing(job.id, context)
        self._waits_elsewhere = waits_elsewhere
        self._is_retried = is_retried
        self._is_stopping = False
        self._is_stopped = False
        self._has_ended = False
        self._has_left = False
        self._resumed_from: int | None = None
        self._stop = asyncio.Lock()
        self._commanding = asyncio.Lock()
        self._telemetry = JobTelemetry(job)

    async def run(self, *, force: bool = False) -> VideoJob:
        """Go the whole way, or what is left of it, and return the job as it ended.

        With `force` the job is taken from an owner that seems to live. One that somebody else has
        ended before it was ours is returned as it is.

        Raises:
            JobError: another process works on it.
            OwnershipLostError: another process took it over meanwhile.
            StillWaitingError: it was accepted, and is waited for elsewhere.
            LedgerBusyError, UndecidedError: the ledger is away, and the run is one that is retried.
            MediaAgentError: its backend or its place cannot be used, or the ledger cannot be
                written, so that the end could not be kept.
        """
        with self._store.owners.claim(self.job.id, force=force) as is_taken:
            job = self._store.jobs.get(self.job.id)
            if job.status.is_terminal and job != self.job:
                return job
            self.job = job
            self._telemetry = JobTelemetry(job)
            self.backend = await self._context.open_backend(job.plan)
            terms = self._store.jobs.terms(job.id)
            with (
                reserve_destination(
                    job.id, terms, self._context, from_living=is_taken
                ) as destination,
                self._telemetry.seen(),
            ):
                self._context.pass_checkpoint("plan")
                await self._sharing.load()
                async with self._lookout.watching(job.id, self):
                    end = await self._work(terms)
                self._has_ended = True
                self._telemetry.deliver(end)
                self._context.pass_checkpoint("observe")
                end = await self._conclude(end, destination)
                self._context.pass_checkpoint("finish")
            if isinstance(end, JobCompleted):
                clean_up(self.job, self._capabilities(), self._context)
                await self._sharing.clean_up()
                self._expire_states()
            return self._store.jobs.get(self.job.id)

    async def stop(self) -> None:
        """Ask the backend to stop; the run ends by itself, with what was made so far.

        A backend that cannot be told is told again later; why is a warning of the job.

        Raises:
            OwnershipLostError: another process took the job over; nothing is stopped.
        """
        self._is_stopping = True
        await self._stop_if_asked()

    async def take_commands(self) -> None:
        """Hand the commands for the job to its backend, each once in this run.

        What the backend refuses, or breaks at, becomes a warning of the job: who said it may be
        gone.
        """
        if self.ref is None:
            return
        async with self._commanding:
            for number, command in self._store.commands.read(self.job.id, self.last_command):
                self.last_command = number
                if isinstance(command, ChangePrompt) and command.amended is not None:
                    self._warn(f"the new prompt {command.prompt!r} is of {command.amended}")
                try:
                    await _await_answer(self.backend.control(self.ref, command, number=number))
                except MediaAgentError as error:
                    self._warn(f"{command.type} was refused: {error.message}")
                except Exception as error:  # a plugin's own, kept as data
                    _LOGGER.debug("%s broke", self.backend.name, exc_info=True)
                    self._warn(f"{command.type} broke: {type(error).__name__}: {error}")

    @property
    def is_stopping(self) -> bool:
        """Whether its backend has yet to hear that it is to stop."""
        return self._is_stopping and not self._is_stopped

    async def look(self) -> None:
        """Do what others ask of the job, or leave it to whoever took it over; raises nothing."""
        if self._has_left:
            return
        try:
            await self._stop_if_asked()
            await self.take_commands()
        except OwnershipLostError:
            self._has_left = True
            await self._leave()
        except Exception:  # whatever broke, the next look may find a request to stop
            _LOGGER.debug("no commands for job %s", self.job.id, exc_info=True)

    def _warn(self, said: str) -> None:
        self._store.jobs.warn(self.job.id, said)

    def _is_asked_to_stop(self) -> bool:
        """Return whether the job is to stop; a ledger that cannot be read now does not say so.

        Raises:
            OwnershipLostError: another process owns the job.
        """
        with contextlib.suppress(MediaAgentError):
            if self._store.owners.is_cancel_requested(self.job.id):
                return True
        return self._is_stopping

    async def _stop_if_asked(self) -> None:
        """Stop the backend, once; until it has heard it, each call tries again."""
        async with self._stop:
            if self._is_stopped or self._has_ended or self.ref is None:
                return
            if not self._is_asked_to_stop():
                return
            try:
                await _await_answer(self.backend.cancel(self.ref))
            except Exception as error:  # noqa: BLE001  # a plugin's own; the request outlives it
                self._warn(f"{self.backend.name} could not be stopped: {error}")
            else:
                self._is_stopped = True

    async def _work(self, terms: JobOptions) -> TerminalEvent:
        """Submit and observe; trouble becomes the terminal event that says it."""
        submitter = Submitter(
            self.job, terms, self._context, tell=self._keep, is_unwanted=self._is_asked_to_stop
        )
        try:
            try:
                return await self._observe_in_time(*await self._submit(submitter))
            except OperationNotFoundError:
                if not self._capabilities().resubmits:
                    raise
                return await self._observe_in_time(*await self._submit(submitter))  # it is free
        except OwnershipLostError:
            await self._leave()
            raise
        except StillWaitingError:
            raise
        except _NotKeptError as trouble:
            raise trouble.error from None
        except JobCancelledError:
            return JobCancelled(model=self.job.plan.model)
        except SubmitUncertainError as error:
            info = to_info(error)
            return JobOutcomeUnknown(error=info) if info.hint else self._as_unknown(info)
        except MediaAgentError as error:
            if self._is_retried and isinstance(error, LedgerBusyError | UndecidedError):
                raise
            return await self._after_trouble(error)
        except Exception as error:  # a plugin's own, kept as data
            _LOGGER.debug("backend %s broke", self.backend.name, exc_info=True)
            said = f"{self.backend.name} broke: {type(error).__name__}: {error}"
            return await self._after_trouble(BackendResponseError(said))

    async def _submit(self, submitter: Submitter) -> tuple[VideoBackend, OperationRef]:
        self.backend, self.ref, token = await submitter.submit()
        self.on_submitted()
        self.last_command = 0
        self.job = self._store.jobs.get(self.job.id)  # a fallback changes the plan
        self._telemetry.follow(self.job)
        self._resumed_from = None if token is None else token.next_chunk
        self._reopen()
        await self._stop_if_asked()
        return self.backend, self.ref

    def _reopen(self) -> None:
        """Let a job continue whose work was found, or that failed with segments made."""
        if self.job.status.is_terminal and self.ref is not None:
            said = f"found again: {self.ref.operation_id}"
            self._tell(self._store.events.reopen(self.job.id, said, self._context.now()))

    async def _observe_in_time(self, backend: VideoBackend, ref: OperationRef) -> TerminalEvent:
        """Observe until the end, or the deadline; a service that is polled keeps its own."""
        seconds = None if "deadline_seconds" in ref.data else self.job.plan.request.deadline

        async def stop() -> None:
            self._warn(f"it was stopped at its deadline of {seconds:g} s")
            await self.stop()

        return await stopping.within(self._observe(backend, ref), seconds, stop)

    async def _observe(self, backend: VideoBackend, ref: OperationRef) -> TerminalEvent:
        """Keep what happens until the end; a lost connection is not a failed job."""
        if self._waits_elsewhere(backend):
            raise StillWaitingError
        await self.take_commands()  # those that came before there was anybody to take them
        failures = 0
        while True:
            try:
                async with aclosing(observe_work(backend, ref)) as events:
                    async for event in events:
                        if isinstance(event, JobOutcomeUnknown):
                            return self._as_unknown(event.error, end=event)
                        if isinstance(event, TerminalEvent):
                            return event
                        if isinstance(event, JobStarted) and self._capabilities().resubmits:
                            await self._record_inputs()
                        try:
                            if isinstance(event, ChunkReady):
                                await self._sharing.save(ref.operation_id)
                            is_news = self._keep(event)
                        except StorageError as error:
                            raise _NotKeptError(error) from error
                        if is_news:  # what is only repeated is no sign of life
                            failures = 0
                raise BackendResponseError(f"{backend.name} ended without a result")
            except BackendUnavailableError:
                if failures == len(_PAUSES):
                    raise
                await self._context.sleep(take_pause(backend, ref, _PAUSES[failures]))
                failures += 1

    async def _after_trouble(self, error: MediaAgentError) -> TerminalEvent:
        """Return the end after an error: failed, or unknown if paid work may still continue."""
        info = to_info(error)
        if self._capabilities().resubmits or not self._may_be_accepted():
            await self._let_go()
            return JobFailed(error=info)
        return self._as_unknown(info, is_gone=isinstance(error, OperationNotFoundError))

    def _may_be_accepted(self) -> bool:
        """Return whether somebody may work on it; a refusal is the only word against that."""
        if self.ref is not None:
            return True
        last = self._store.submissions.last(self.job.id)
        return last is not None and last.state is not SubmissionState.REFUSED

    async def _record_inputs(self) -> None:
        """Keep what the files are that a local model reads now; the job may have waited long."""
        with contextlib.suppress(MediaAgentError):  # gone: the model says so, if it reads it
            found = await asyncio.to_thread(digests_of, self.job.plan.request.inputs)
            if found:
                self._store.jobs.note_inputs(self.job.id, found)

    def _as_unknown(
        self, info: ErrorInfo, *, is_gone: bool = False, end: JobOutcomeUnknown | None = None
    ) -> JobOutcomeUnknown:
        """Return the end that leaves the rest to a later run, with how to begin it."""
        looks_again = f"media-agent jobs resume {self.job.id} checks again"
        way_out = f"the work may continue; {looks_again}"
        if is_gone:
            way_out = (
                f"look for the video on {self.backend.name}'s own page before generating it again; "
                f"{looks_again}"
            )
        error = _with_way_out(info, looks_again if end is not None else way_out)
        end = JobOutcomeUnknown(error=error) if end is None else end
        return end.model_copy(update={"error": error})

    async def _conclude(self, end: TerminalEvent, destination: Destination) -> TerminalEvent:
        """Finish and keep how it ended; where that cannot be, what there was to say is not lost."""
        try:
            end = await self._finish(end, destination)
            await self._sharing.publish(end)
            self._keep(end)
        except StorageError as error:
            said = getattr(end, "error", None)
            if said is None:
                raise
            raise StorageError(f"{error.message}; {in_full(said)}", hint=error.hint) from error
        return end

    def _keep(self, event: BackendEvent) -> bool:
        """Return whether the event was news."""
        numbered = self._store.events.append(self.job.id, event, self._context.now())
        self._tell(numbered)
        return numbered is not None

    def _tell(self, numbered: JobEvent | None) -> None:
        if numbered is not None:
            self.last_sequence = numbered.sequence
            self._telemetry.hear(numbered.event, numbered.time)
            notify(self._on_event, numbered)

    async def _let_go(self) -> None:
        """Stop the backend, quietly; segments continue, as jobs of their own."""
        if self.ref is not None and not self.job.plan.segments:
            with contextlib.suppress(Exception):  # a plugin's own
                await _await_answer(self.backend.cancel(self.ref))

    async def _leave(self) -> None:
        """Let whoever took the job over work on it alone; what is paid belongs to both."""
        if self._capabilities().resubmits:
            await self._let_go()

    async def _finish(self, end: TerminalEvent, destination: Destination) -> TerminalEvent:
        """Deliver the video, write the record, settle the cost.

        Raises:
            OwnershipLostError: another process took the job over, and does this.
        """
        self._store.owners.check(self.job.id)
        delivering = Deliverer(
            self.job,
            self.backend.name,
            destination,
            self._context,
            is_unwanted=self._is_asked_to_stop,
            ask_again=self._ask_again,
            remaker=self._build_remaker(),
        )
        last = self._store.submissions.last(self.job.id)
        end = settled(end, self._describe_work())
        if end.cost is not None and last is not None:
            self._store.submissions.bill(last, end.cost)
        end = await delivering.deliver(end, self._capabilities(), self._resumed_from)
        if not isinstance(end, JobFailed):
            return end
        way_out = f"media-agent jobs resume {self.job.id}"
        if self.job.plan.segments:
            way_out += " keeps the finished segments"
        elif end.error.code == StorageError.code and self._store.events.resume_token(self.job.id):
            way_out += " continues after the last chunk that was kept"
        else:
            return end
        return end.model_copy(update={"error": _with_way_out(end.error, way_out)})

    def _describe_work(self) -> Work:
        job = self._store.jobs.get(self.job.id)
        has_begun = job.status is JobStatus.IN_PROGRESS
        was_sent = self._may_be_accepted()
        return Work(job.plan, self._capabilities(), has_begun, was_sent)

    def _build_remaker(self) -> Remaker | None:
        if self._parts is None:
            return None
        capabilities, is_unwanted = self._capabilities(), self._is_asked_to_stop
        return Remaker(self.job, self._context, capabilities, self._parts, is_unwanted=is_unwanted)

    async def _ask_again(self) -> TerminalEvent | None:
        """Return the end of accepted work as its backend says it now; None: it says none."""
        if self.ref is None or self.job.plan.segments or self._capabilities().resubmits:
            return None
        async with contextlib.aclosing(self.backend.observe(self.ref)) as events:
            async for event in events:
                if isinstance(event, TerminalEvent):
                    return event
        return None

    def _expire_states(self) -> None:
        """Remove the states of older jobs, now that this one has taken its time anyway."""
        if self._context.keep_states is not None:
            before = self._context.now() - self._context.keep_states
            expire_states(self._store, self._context.work_folder, before)

    def _capabilities(self) -> Capabilities:
        return self.backend.capabilities(self.job.plan.model)


async def _await_answer(call: Awaitable[None]) -> None:
    """Wait for what a backend does soon, or else never does.

    Raises:
        TimeoutError: it has not answered.
    """
    try:
        async with asyncio.timeout(_LONGEST_CALL):
            await call
    except TimeoutError:
        raise TimeoutError("no answer in time") from None


def _with_way_out(info: ErrorInfo, hint: str) -> ErrorInfo:
    return info.model_copy(update={"hint": f"{info.hint}; {hint}" if info.hint else hint})
