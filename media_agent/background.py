"""Jobs that go on while nobody waits for them, until they end or the client lets go of them."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from media_agent.errors import JobError, MediaAgentError, to_info
from media_agent.jobs import JobMovedError
from media_agent.ledger import Ledger
from media_agent.workflow import JobRun
from media_agent_schemas.events import JobFailed
from media_agent_schemas.jobs import VideoJob

_LOGGER = logging.getLogger(__name__)

OpenRun = Callable[[VideoJob], AbstractAsyncContextManager[JobRun]]
"""A kept job -> its run, with its place reserved while the context lasts."""


class Background:
    """Runs jobs as tasks of the event loop; `runs` shows them to whoever steers or stops them."""

    def __init__(
        self,
        store: Ledger,
        open_run: OpenRun,
        runs: dict[str, JobRun],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._open_run = open_run
        self._runs = runs
        self._now = now
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, job: VideoJob) -> None:
        """Work on a job from now on."""
        task = asyncio.create_task(self._run(job))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))

    def go_on(self, job: VideoJob) -> None:
        """Work on a job of before, unless it is over or a living process works on it."""
        is_here = job.id in self._runs or job.id in self._tasks
        if not job.status.is_terminal and not is_here and not self._store.is_held(job.id):
            self.begin(job)

    async def let_go(self) -> None:
        """Stop watching; work at a service goes on there, and the jobs can be gone on with."""
        tasks = dict(self._tasks)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for job_id in tasks:
            with contextlib.suppress(JobError), self._store.hold(job_id):
                pass  # a task that had not begun has not given its job free yet

    async def _run(self, job: VideoJob) -> None:
        try:
            async with self._open_run(job) as run:
                self._runs[job.id] = run
                try:
                    await run.run()
                finally:
                    del self._runs[job.id]
        except (JobError, JobMovedError):
            _LOGGER.debug("another process works on job %s", job.id)
        except MediaAgentError as error:
            _LOGGER.warning("job %s cannot go on: %s", job.id, error.message)
            if not self._store.submissions(job.id):  # nothing was sent, so nothing will come
                self._store.append(job.id, JobFailed(error=to_info(error)), self._now())
