"""The jobs at work in this process: while somebody waits or by themselves; watched, stopped."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    BackendUnavailableError,
    JobError,
    LedgerBusyError,
    MediaAgentError,
)
from media_agent.jobs import stopping
from media_agent.jobs.context import JobContext
from media_agent.jobs.lookout import Lookout
from media_agent.jobs.run import JobRun
from media_agent.jobs.running.keeping import NewJobs
from media_agent.jobs.running.resumable import can_resume
from media_agent.jobs.running.telling import OnEvent, notify
from media_agent.jobs.running.unsent import end_unsent, fail_unsent
from media_agent.jobs.segment_jobs import SegmentRunner
from media_agent.jobs.settle import UNSENT
from media_agent.jobs.turns import Turns
from media_agent.ledger.state import JobOptions, OwnershipLostError
from media_agent.ledger.store.database import UndecidedError
from media_agent_schemas.events import JobCancelled
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.request import VideoRequest

_LOGGER = logging.getLogger(__name__)
_SOON = 2.0  # seconds in which a job that is resumed should be under way
_BLINK = 0.02  # seconds


class JobRunner:
    """Works on jobs that are kept, each in a run of its own."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._store = context.store
        self._lookout = Lookout(context.store)
        self._turns = Turns()
        self._runs: dict[str, JobRun] = {}
        self._new = NewJobs(context, self.start)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._has_let_go = False
        self.is_retried = False
        """Whether jobs are run again here that leave off where the ledger is away."""

    async def keep(
        self, job_id: str, request: VideoRequest, terms: JobOptions
    ) -> tuple[VideoJob, bool]:
        """Store a new job; see `NewJobs`. Of one that ends here, nobody would be told any more."""
        if self._has_let_go:
            raise BackendUnavailableError("the client is closed", hint="ask another one")
        return await self._new.keep(job_id, request, terms)

    async def wait_until_kept(self, job: VideoJob) -> None:
        """Wait until a job that a repeated call has found is on disk; see `NewJobs`."""
        await self._new.wait_until_kept(job)

    def asking(self) -> AbstractContextManager[None]:
        """Let jobs that have yet to begin give way while the context lasts; see `Turns`."""
        return self._turns.asking()

    async def begin(self, job: VideoJob) -> None:
        """Have a new job worked on, though nobody waits for it."""
        self.start(job)

    def start(self, job: VideoJob, *, force: bool = False) -> None:
        """Work on a job from now on, though nobody waits for it; not once all were let go of."""
        if self._has_let_go:  # a call that was under way then; nothing would wait for its end
            return self._give_free(job.id)
        task = asyncio.create_task(self._run(job, force=force))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))

    def adopt(self, job: VideoJob) -> None:
        """Work on a job of before, unless it is over or a living process works on it."""
        if not job.status.is_terminal and self._is_free(job.id):
            self.start(job)

    def adopt_left(self) -> tuple[str, ...]:
        """Work on the jobs of callers that nobody works on, and return their ids."""
        left = [each for each in self._store.owners.list_left() if not self._is_here(each)]
        for job_id in left:
            try:
                self.start(self._store.jobs.get(job_id))
            except MediaAgentError as error:
                _LOGGER.warning("job %s cannot continue: %s", job_id, error.message)
        return tuple(left)

    async def run_new(self, job: VideoJob, on_event: OnEvent, *, lets_go: bool = False) -> VideoJob:
        """Work on a new job as `run` does; where it could not begin, it failed."""
        try:
            return await self.run(job, on_event, lets_go=lets_go)
        except MediaAgentError as error:
            if not self.leaves_off(error):
                fail_unsent(job.id, error, self._context)
            raise

    async def run(
        self,
        job: VideoJob,
        on_event: OnEvent,
        *,
        force: bool = False,
        stops: bool = False,
        lets_go: bool = False,
    ) -> VideoJob:
        """Work on a job and return it as it ended; with `stops` only what stops it is done.

        When this is cancelled, the job is stopped first; cancelled again, or with `lets_go`, it is
        left as it is, to be resumed. One that another process took over is watched to its end.
        """
        with self.at_work(job, on_event) as run:
            if stops:
                await run.stop()
            task = asyncio.create_task(run.run(force=force))
            try:
                with contextlib.suppress(OwnershipLostError):
                    return await asyncio.shield(task)
            except asyncio.CancelledError:
                await _end_early(run, task, stops=not lets_go)
                raise
        return await self.attach(job.id, on_event, seen=run.last_sequence, lets_go=lets_go)

    async def attach(
        self, job_id: str, on_event: OnEvent, *, seen: int = -1, lets_go: bool = False
    ) -> VideoJob:
        """Watch a job to its end, from the event after `seen`; resume it should its process die."""
        while True:
            for numbered in self._store.events.read(job_id, seen):
                seen = numbered.sequence
                notify(on_event, numbered)
            job = self._store.jobs.get(job_id)
            if job.status.is_terminal:
                return job
            if self._is_free(job_id):
                with contextlib.suppress(JobError):  # somebody else was quicker
                    return await self.resume(job_id, on_event, lets_go=lets_go)
            await self._context.sleep(stopping.LOOK_SECONDS)

    async def resume(
        self, job_id: str, on_event: OnEvent, *, take_over: bool = False, lets_go: bool = False
    ) -> VideoJob:
        """Resume a job as `VideoClient.resume` says, and return it as it ended."""
        job, is_resumable = await self._find_resumable(job_id, take_over=take_over)
        if not is_resumable:
            return job
        return await self.run(job, on_event, force=take_over, lets_go=lets_go)

    async def begin_resume(self, job_id: str, *, take_over: bool = False) -> None:
        """Begin to resume a job as `resume` does, though nobody waits for it.

        Whoever looks at it next finds it under way, unless that takes long.
        """
        job, is_resumable = await self._find_resumable(job_id, take_over=take_over)
        if not is_resumable:
            return
        self._store.jobs.check_may_run(job_id, self._context.now())
        self.start(job, force=take_over)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SOON):
                while job_id in self._tasks and self._is_still(job):  # noqa: ASYNC110
                    await asyncio.sleep(_BLINK)

    async def stop(self, job_id: str) -> None:
        """Ask whoever works on a job to stop it; one that nobody works on is stopped here.

        What was asked is kept: it outlives this process, and the one that works on the job.
        """
        job, run = self._store.jobs.get(job_id), self._runs.get(job_id)
        if run is not None:
            try:
                self._store.owners.request_cancel(job_id)
            finally:  # also where that could not be kept
                with contextlib.suppress(OwnershipLostError):  # whoever has it now is asked
                    await run.stop()
            return
        if job.status.is_terminal or self._store.owners.request_cancel(job_id):
            return
        if not end_unsent(
            job_id, JobCancelled(model=job.plan.model, cancellation=UNSENT), self._context
        ):
            await self.run(job, None, stops=True)

    async def take_commands(self, job_id: str) -> None:
        """Let a job that is worked on here take its commands at once."""
        if job_id in self._runs:
            with contextlib.suppress(OwnershipLostError):  # whoever has it now takes them
                await self._runs[job_id].take_commands()

    async def let_go(self) -> None:
        """Stop watching; work at a service continues there, and the jobs can be resumed."""
        self._has_let_go, tasks = True, dict(self._tasks)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for job_id in tasks:
            self._give_free(job_id)  # a task that had not begun has not done so yet

    async def aclose(self) -> None:
        """Let go of what was opened to hand jobs to others; here, nothing was."""

    @property
    def working(self) -> int:
        """How many jobs this process works on."""
        return len(self._runs.keys() | self._tasks.keys())

    @property
    def works(self) -> Mapping[str, "asyncio.Task[None]"]:
        """The work on jobs that nobody waits for, by job; each task ends when no more is done."""
        return MappingProxyType(self._tasks)

    def leaves_off(self, error: MediaAgentError) -> bool:
        """Return whether a run that has this trouble is run again; it says nothing of the job."""
        return self.is_retried and isinstance(error, LedgerBusyError | UndecidedError)

    def is_at_work(self, job_id: str) -> bool:
        """Return whether a process works on a job, this one or another."""
        return not self._is_free(job_id)

    @contextlib.contextmanager
    def at_work(
        self,
        job: VideoJob,
        on_event: OnEvent,
        *,
        waits_elsewhere: Callable[[VideoBackend], bool] = lambda backend: False,
    ) -> Iterator[JobRun]:
        """Give a run of a job, which stands for it in this process while the context lasts.

        Raises:
            JobError: this process is working on it already.
        """
        if job.id in self._runs:
            raise JobError(f"this process is already working on job {job.id}")
        self._runs[job.id] = JobRun(
            job,
            self._context,
            self._lookout,
            on_event=on_event,
            parts=SegmentRunner(self, self._store),
            waits_elsewhere=waits_elsewhere,
            leaves_off=self.leaves_off,
        )
        try:
            yield self._runs[job.id]
        finally:
            del self._runs[job.id]

    def _give_free(self, job_id: str) -> None:
        with contextlib.suppress(JobError), self._store.owners.claim(job_id):
            pass

    def _is_here(self, job_id: str) -> bool:
        return job_id in self._runs or job_id in self._tasks or self._new.is_keeping(job_id)

    def _is_still(self, job: VideoJob) -> bool:
        return self._store.jobs.get(job.id).status is job.status

    def _is_free(self, job_id: str) -> bool:
        return not self._is_here(job_id) and not self._store.owners.is_claimed(job_id)

    async def _run(self, job: VideoJob, *, force: bool = False) -> None:
        try:
            async with self._turns.turn() as has_begun:
                with self.at_work(job, None) as run:
                    run.on_submitted = has_begun
                    await run.run(force=force)
        except (JobError, OwnershipLostError):
            _LOGGER.debug("another process is working on job %s", job.id)
        except MediaAgentError as error:
            _LOGGER.warning("job %s cannot continue: %s", job.id, error.message)
            fail_unsent(job.id, error, self._context)

    async def _find_resumable(self, job_id: str, *, take_over: bool) -> tuple[VideoJob, bool]:
        """Return a job that nobody works on, and whether there is anything left to do.

        Raises:
            JobError: a living process works on it, and it is not to be taken over.
            BudgetExceededError: as `can_resume`.
        """
        job = self._store.jobs.get(job_id)
        if job.status.is_terminal and not await can_resume(job, self._context):
            return job, False
        if job.status.is_terminal and job_id in self._tasks:
            await asyncio.wait([self._tasks[job_id]])  # it has kept its end and is just leaving
        if self._is_here(job_id) or (self._store.owners.is_claimed(job_id) and not take_over):
            raise JobError(
                f"another process is working on job {job_id}",
                hint="wait for it, cancel it, or take it over if that process is hung",
            )
        return job, True


async def _end_early(run: JobRun, task: "asyncio.Task[VideoJob]", *, stops: bool) -> None:
    """Stop a run and wait for its end; what cannot be stopped here, or waited for, is let go of."""
    try:
        if stops and not task.done():
            with contextlib.suppress(MediaAgentError, OwnershipLostError):
                await run.stop()
                await asyncio.wait([task])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
