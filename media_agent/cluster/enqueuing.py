"""Jobs that other processes work on: kept here, queued, watched through the ledger."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from itertools import chain, repeat

from media_agent.cluster.turns import AGAIN, FIRST, Stage, TurnQueue, name_queue
from media_agent.config.backend_section import BackendSection
from media_agent.errors import JobError, JobNotFoundError, MediaAgentError, StorageError
from media_agent.jobs import stopping
from media_agent.jobs.context import JobContext
from media_agent.jobs.runner import JobRunner
from media_agent.jobs.running.resumable import can_resume
from media_agent.jobs.running.telling import OnEvent, notify
from media_agent.jobs.running.unsent import end_unsent
from media_agent.jobs.settle import UNSENT
from media_agent.jobs.sharing import Sharing
from media_agent_schemas.events import JobCancelled
from media_agent_schemas.jobs import VideoJob

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between attempts to queue a job, the last again
_LEAVING_SECONDS = 5.0  # that a worker may take to leave a job that has ended
_LOGGER = logging.getLogger(__name__)


class EnqueuingRunner(JobRunner):
    """Hands jobs to the workers of a cluster; this process works on none."""

    def __init__(
        self, context: JobContext, queue: TurnQueue, backends: Mapping[str, BackendSection]
    ) -> None:
        super().__init__(context)
        self._queue = queue
        self._backends = backends

    async def begin(self, job: VideoJob) -> None:
        """Queue a new job; where the queue is out of reach, as soon as it is back.

        A worker that finds the job without a turn queues it as well, so it is never forgotten.
        """
        try:
            await self._send(job)
        except StorageError as error:
            _LOGGER.warning("job %s is queued later: %s", job.id, error.message)
            self.start(job)
        except asyncio.CancelledError:  # it is kept, and may be ours still: nobody else queues it
            self.start(job)
            raise

    async def run_new(self, job: VideoJob, on_event: OnEvent, *, lets_go: bool = False) -> VideoJob:
        """Queue a new job and watch it to its end; when this is cancelled, so is the job."""
        try:
            await self.begin(job)
            return await self.attach(job.id, on_event)
        except asyncio.CancelledError:
            if not lets_go:
                await self.stop(job.id)
                await self._wait_until_stopped(job.id)
            raise

    def adopt(self, job: VideoJob) -> None:
        """Leave the job to the workers: one of them has it, or will."""

    def adopt_left(self) -> tuple[str, ...]:
        """Leave all jobs to the workers."""
        return ()

    async def attach(
        self, job_id: str, on_event: OnEvent, *, seen: int = -1, lets_go: bool = False
    ) -> VideoJob:
        """Watch a job to its end, from the event after `seen`."""
        while True:
            for numbered in self._store.events.read(job_id, seen):
                seen = numbered.sequence
                notify(on_event, numbered)
            job = self._store.jobs.get(job_id)
            if job.status.is_terminal:
                return await Sharing(job_id, self._context).bring(job)
            await self._context.sleep(stopping.LOOK_SECONDS)

    async def resume(
        self, job_id: str, on_event: OnEvent, *, take_over: bool = False, lets_go: bool = False
    ) -> VideoJob:
        """Queue what is left of a job, and watch it to its end."""
        seen, _ = self._store.events.newest(job_id)
        if not await self._is_resumable(job_id):
            return self._store.jobs.get(job_id)
        await self._queue_again(job_id)
        await self._wait_until_reopened(job_id)
        return await self.attach(job_id, on_event, seen=seen)

    async def begin_resume(self, job_id: str, *, take_over: bool = False) -> None:
        """Queue what is left of a job."""
        if await self._is_resumable(job_id):
            self._store.jobs.check_may_run(job_id, self._context.now())
            await self._queue_again(job_id)

    def is_at_work(self, job_id: str) -> bool:
        """Return whether workers have a job, or will: all that have not ended."""
        return not self._store.jobs.get(job_id).status.is_terminal

    async def stop(self, job_id: str) -> None:
        """Ask whoever works on a job to stop it; one that nothing was sent for is ended here."""
        job = self._store.jobs.get(job_id)
        if job.status.is_terminal:
            return
        if self._store.owners.request_cancel(job_id) and not self._is_here(job_id):
            return
        with contextlib.suppress(JobError):  # a worker has just taken it, and sees the request
            if not end_unsent(
                job_id, JobCancelled(model=job.plan.model, cancellation=UNSENT), self._context
            ):
                await self._send(job, priority=AGAIN)  # a worker stops it at its backend
                return
        turns = await self._queue.list_of(job_id)
        await self._queue.cancel([turn for turn in turns if turn.stage is Stage.QUEUED])

    async def aclose(self) -> None:
        """Let go of the queue."""
        await self._queue.aclose()

    async def _send(self, job: VideoJob, *, priority: int = FIRST, resumes: bool = False) -> None:
        """Give a job that is ours, or nobody's, to the workers: a turn, unless it has an open one.

        Raises:
            StorageError: the queue is out of reach.
        """
        turns = await self._queue.list_of(job.id) if priority != FIRST else ()
        if turns and turns[-1].stage is not Stage.ENDED:
            return
        number = turns[-1].number + 1 if turns else 0
        await Sharing(job.id, self._context).send_inputs()
        self._give_free(job.id)
        queue = name_queue(job.plan, self._backends)
        await self._queue.add(job.id, number, queue, priority=priority, resumes=resumes)

    async def _run(self, job: VideoJob, *, force: bool = False) -> None:
        """Queue a job that could not be queued before; as long as it is ours, nobody else does."""
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            await self._context.sleep(pause)
            try:
                if not self._store.jobs.get(job.id).status.is_terminal:
                    await self._send(job, priority=AGAIN)
            except JobNotFoundError:
                return
            except MediaAgentError as error:
                _LOGGER.info("job %s is not queued yet: %s", job.id, error.message)
            else:
                return

    async def _is_resumable(self, job_id: str) -> bool:
        """Return whether there is anything left to do of a job."""
        job = self._store.jobs.get(job_id)
        return not job.status.is_terminal or await can_resume(job, self._context)

    async def _queue_again(self, job_id: str) -> None:
        """Queue what is left of a job, unless a worker is at it."""
        await self._let_leave(job_id)
        if not self._store.owners.is_claimed(job_id):
            job = self._store.jobs.get(job_id)
            await self._send(job, priority=AGAIN, resumes=True)

    async def _let_leave(self, job_id: str) -> None:
        """Wait for a worker that has kept the end of a job, and is just leaving it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS):
                while self._store.jobs.get(job_id).status.is_terminal:
                    turns = await self._queue.list_of(job_id)
                    is_running = bool(turns) and turns[-1].stage is Stage.RUNNING
                    if not is_running and not self._store.owners.is_claimed(job_id):
                        return
                    await self._context.sleep(stopping.LOOK_SECONDS)

    async def _wait_until_reopened(self, job_id: str) -> None:
        """Wait until a job that had ended is under way again, or its turn is over."""
        while self._store.jobs.get(job_id).status.is_terminal:
            turns = await self._queue.list_of(job_id)
            if not turns or turns[-1].stage is Stage.ENDED:
                return
            await self._context.sleep(stopping.LOOK_SECONDS)

    async def _wait_until_stopped(self, job_id: str) -> None:
        while not self._store.jobs.get(job_id).status.is_terminal:
            await self._context.sleep(stopping.LOOK_SECONDS)
