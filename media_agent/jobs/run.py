"""The way of one job: plan, intent, submit, ref, observe, collect, finish; each step is kept.

A run that ends anywhere can be started again by another process: it continues from the ledger.
Whatever happens, the job ends with one terminal event, written last: when it says completed, the
video and the record are in their places. Once a backend has accepted the work, only its own word
fails the job; our own trouble leaves the outcome unknown, to be resumed.
"""

import logging
from collections.abc import Callable

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    BackendResponseError,
    JobCancelledError,
    MediaAgentError,
    OperationNotFoundError,
    SubmitUncertainError,
    to_info,
)
from media_agent.jobs.context import JobContext
from media_agent.jobs.delivering.places import reserve_destination
from media_agent.jobs.lookout import Lookout
from media_agent.jobs.running.current_work import CurrentWork
from media_agent.jobs.running.endings import as_unknown
from media_agent.jobs.running.finishing import Finisher
from media_agent.jobs.running.observing import EventNotKeptError, Observer, StillWaitingError
from media_agent.jobs.running.steering import Steering
from media_agent.jobs.running.telling import OnEvent, Teller
from media_agent.jobs.segment_jobs import SegmentRunner
from media_agent.jobs.sharing import Sharing
from media_agent.jobs.submit import Submitter
from media_agent.ledger.state import JobOptions, OwnershipLostError
from media_agent.telemetry.jobs import JobTelemetry
from media_agent_schemas.events import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobOutcomeUnknown,
    TerminalEvent,
)
from media_agent_schemas.jobs import OperationRef, VideoJob

_LOGGER = logging.getLogger(__name__)


class JobRun:
    """One job on its way; `stop` may be called at any time."""

    def __init__(
        self,
        job: VideoJob,
        context: JobContext,
        lookout: Lookout,
        *,
        on_event: OnEvent = None,
        parts: SegmentRunner | None = None,
        waits_elsewhere: Callable[[VideoBackend], bool] = lambda backend: False,
        leaves_off: Callable[[MediaAgentError], bool] = lambda error: False,
    ) -> None:
        """Begin; a run whose backend `waits_elsewhere` leaves off once the work is accepted.

        It `leaves_off` at trouble that is no word about the job: whoever runs it does so again.
        """
        self.on_submitted: Callable[[], None] = lambda: None
        """Called when a backend has taken the work."""
        self._context = context
        self._lookout = lookout
        self._store = context.store
        self._leaves_off = leaves_off
        self._has_left = False
        self._resumed_from: int | None = None
        self._sharing = Sharing(job.id, context)
        self._current = CurrentWork(job, context)
        self._teller = Teller(job, context, on_event)
        self._steering = Steering(self._current)
        self._observer = Observer(
            self._current,
            self._teller,
            self._steering,
            self._sharing,
            waits_elsewhere=waits_elsewhere,
        )
        self._finisher = Finisher(self._current, self._teller, self._steering, self._sharing, parts)

    @property
    def job(self) -> VideoJob:
        """The job, with the plan that it follows."""
        return self._current.job

    @property
    def backend(self) -> VideoBackend:
        """Whoever works on it; there from the moment that this run owns the job."""
        return self._current.backend

    @property
    def ref(self) -> OperationRef | None:
        """Where the work is; None: nobody is known to have it."""
        return self._current.ref

    @property
    def last_sequence(self) -> int:
        """The number of the last event that was told."""
        return self._teller.last_sequence

    @property
    def last_command(self) -> int:
        """The number of the last command that was handed over."""
        return self._steering.last_command

    @property
    def is_stopping(self) -> bool:
        """Whether its backend has yet to hear that it is to stop."""
        return self._steering.is_stopping

    async def run(self, *, force: bool = False) -> VideoJob:
        """Go the whole way, or what is left of it, and return the job as it ended.

        With `force` the job is taken from an owner that seems to live. One that somebody else has
        ended before it was ours is returned as it is.

        Raises:
            JobError: another process works on it.
            OwnershipLostError: another process took it over meanwhile.
            StillWaitingError: it was accepted, and is waited for elsewhere.
            LedgerBusyError, UndecidedError: the ledger is away, where the run leaves off then.
            MediaAgentError: its backend or its place cannot be used, or the ledger cannot be
                written, so that the end could not be kept.
        """
        with self._store.owners.claim(self.job.id, force=force) as is_taken:
            job = self._store.jobs.get(self.job.id)
            if job.status.is_terminal and job != self.job:
                return job
            self._current.job = job
            self._teller.telemetry = telemetry = JobTelemetry(job)
            self._current.backend = await self._context.open_backend(job.plan)
            terms = self._store.jobs.terms(job.id)
            with (
                reserve_destination(
                    job.id, terms, self._context, from_living=is_taken
                ) as destination,
                telemetry.seen(),
            ):
                self._context.pass_checkpoint("plan")
                await self._sharing.load()
                async with self._lookout.watching(job.id, self):
                    end = await self._work(terms)
                self._current.has_ended = True
                telemetry.deliver(end)
                self._context.pass_checkpoint("observe")
                end = await self._finisher.conclude(end, destination, self._resumed_from)
                self._context.pass_checkpoint("finish")
            if isinstance(end, JobCompleted):
                await self._finisher.clean_up()
            return self._store.jobs.get(self.job.id)

    async def stop(self) -> None:
        """Ask the backend to stop; the run ends by itself, with what was made so far.

        A backend that cannot be told is told again later; why is a warning of the job.

        Raises:
            OwnershipLostError: another process took the job over; nothing is stopped.
        """
        await self._steering.stop()

    async def take_commands(self) -> None:
        """Hand the commands for the job to its backend, each once in this run."""
        await self._steering.take_commands()

    async def look(self) -> None:
        """Do what others ask of the job, or leave it to whoever took it over; raises nothing."""
        if self._has_left:
            return
        try:
            await self._steering.stop_if_asked()
            await self._steering.take_commands()
        except OwnershipLostError:
            self._has_left = True
            await self._leave()
        except Exception:  # whatever broke, the next look may find a request to stop
            _LOGGER.debug("no commands for job %s", self.job.id, exc_info=True)

    async def _work(self, terms: JobOptions) -> TerminalEvent:
        """Submit and observe; trouble becomes the terminal event that says it."""
        submitter = Submitter(
            self.job,
            terms,
            self._context,
            tell=self._teller.keep,
            is_unwanted=self._steering.is_asked_to_stop,
        )
        try:
            try:
                return await self._observer.observe(*await self._submit(submitter))
            except OperationNotFoundError:
                if not self._current.capabilities().resubmits:
                    raise
                return await self._observer.observe(*await self._submit(submitter))  # it is free
        except OwnershipLostError:
            await self._leave()
            raise
        except StillWaitingError:
            raise
        except EventNotKeptError as trouble:
            raise trouble.error from None
        except JobCancelledError:
            return JobCancelled(model=self.job.plan.model)
        except SubmitUncertainError as error:
            info = to_info(error)
            return JobOutcomeUnknown(error=info) if info.hint else as_unknown(self._current, info)
        except MediaAgentError as error:
            if self._leaves_off(error):
                raise
            return await self._after_trouble(error)
        except Exception as error:  # a plugin's own, kept as data
            _LOGGER.debug("backend %s broke", self.backend.name, exc_info=True)
            said = f"{self.backend.name} broke: {type(error).__name__}: {error}"
            return await self._after_trouble(BackendResponseError(said))

    async def _submit(self, submitter: Submitter) -> tuple[VideoBackend, OperationRef]:
        work = self._current
        work.backend, work.ref, token = await submitter.submit()
        self.on_submitted()
        self._steering.last_command = 0
        work.job = self._store.jobs.get(work.job.id)  # a fallback changes the plan
        self._teller.telemetry.follow(work.job)
        self._resumed_from = None if token is None else token.next_chunk
        self._reopen()
        await self._steering.stop_if_asked()
        return work.backend, work.ref

    def _reopen(self) -> None:
        """Let a job continue whose work was found, or that failed with segments made."""
        if self.job.status.is_terminal and self.ref is not None:
            said = f"found again: {self.ref.operation_id}"
            self._teller.tell(self._store.events.reopen(self.job.id, said, self._context.now()))

    async def _after_trouble(self, error: MediaAgentError) -> TerminalEvent:
        """Return the end after an error: failed, or unknown if paid work may still continue."""
        info = to_info(error)
        if self._current.capabilities().resubmits or not self._current.may_be_accepted():
            await self._steering.let_go()
            return JobFailed(error=info)
        return as_unknown(self._current, info, is_gone=isinstance(error, OperationNotFoundError))

    async def _leave(self) -> None:
        """Let whoever took the job over work on it alone; what is paid belongs to both."""
        if self._current.capabilities().resubmits:
            await self._steering.let_go()
