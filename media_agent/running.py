"""The jobs at work in this process: while somebody waits or by themselves; watched, stopped."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterator

from media_agent.artifacts import Destination, is_there, reserved
from media_agent.branching import take_share
from media_agent.errors import JobError, MediaAgentError, to_info
from media_agent.files import storage_errors
from media_agent.jobs import JobMovedError, JobTerms
from media_agent.workflow import JobRun, Surroundings
from media_agent_schemas.events import JobCancelled, JobEvent, JobFailed
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.request import VideoRequest

_LOGGER = logging.getLogger(__name__)
_LOOK_SECONDS = 0.5  # between two looks at a job of another process

OnEvent = Callable[[JobEvent], None] | None


class Running:
    """Works on jobs that are kept, each in a run of its own."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._store = around.store
        self._runs: dict[str, JobRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def keep(
        self, job_id: str, request: VideoRequest, terms: JobTerms
    ) -> tuple[VideoJob, bool]:
        """Keep a job whose film has a place; return it, or the one of its key, and if it is new."""
        plan, now = terms.plans[0], self._around.now()
        await self._around.open_backend(plan)  # one that cannot be opened leaves no job
        job = VideoJob(
            id=job_id,
            chunks_ready=0 if plan.origin is None else plan.origin.chunk,
            frames_ready=0 if plan.origin is None else plan.origin.frames,
            created_at=now,
            updated_at=now,
            request=request,
            plan=plan,
            warnings=plan.warnings,
        )
        kept = self._store.create(job, terms)
        if kept is job:
            try:
                with self._place(job_id, terms):
                    take_share(job, self._store, self._around.work_folder)
            except MediaAgentError:
                self._store.discard(job_id)
                raise
        return kept, kept is job

    def begin(self, job: VideoJob) -> None:
        """Work on a job from now on, though nobody waits for it."""
        task = asyncio.create_task(self._run(job))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))

    def go_on(self, job: VideoJob) -> None:
        """Work on a job of before, unless it is over or a living process works on it."""
        is_here = job.id in self._runs or job.id in self._tasks
        if not job.status.is_terminal and not is_here and not self._store.is_held(job.id):
            self.begin(job)

    async def ended(
        self, job: VideoJob, on_event: OnEvent, *, force: bool = False, stops: bool = False
    ) -> VideoJob:
        """Work on a job and return it as it ended; with `stops` only what stops it is done.

        When this is cancelled, the job is stopped first. One that another process took over is
        watched to its end.
        """
        with contextlib.suppress(JobMovedError):
            async with self._opened(job, on_event) as run:
                if stops:
                    await run.stop()
                task = asyncio.create_task(run.run(force=force))
                try:
                    return await asyncio.shield(task)
                except asyncio.CancelledError:
                    with contextlib.suppress(MediaAgentError):
                        await run.stop()
                    await task
                    raise
        return await self.watched(job.id, on_event)

    async def watched(self, job_id: str, on_event: OnEvent) -> VideoJob:
        """Watch a job to its end, and go on with it should its process die."""
        seen = -1
        while True:
            for numbered in self._store.events(job_id, seen):
                seen = numbered.sequence
                if on_event is not None:
                    on_event(numbered)
            job = self._store.get(job_id)
            if job.status.is_terminal:
                return job
            if job_id not in self._runs and not self._store.is_held(job_id):
                with contextlib.suppress(JobError):  # somebody else was quicker
                    return await self.resumed(job_id, on_event)
            await self._around.sleep(_LOOK_SECONDS)

    async def resumed(self, job_id: str, on_event: OnEvent, *, take_over: bool = False) -> VideoJob:
        """Go on with a job as `VideoClient.resume` says, and return it as it ended."""
        job = self._store.get(job_id)
        if job.status.is_terminal and not await self._can_go_on(job):
            return job
        if job_id in self._runs or (self._store.is_held(job_id) and not take_over):
            raise JobError(
                f"a living process works on job {job_id}",
                hint="wait for it, cancel it, or take it over if that process is stuck",
            )
        return await self.ended(job, on_event, force=take_over)

    async def stop(self, job_id: str) -> None:
        """Ask whoever works on a job to stop it; one that nobody works on is stopped here."""
        job = self._store.get(job_id)
        if job_id in self._runs:
            await self._runs[job_id].stop()
        elif job.status.is_terminal:
            return
        elif self._store.is_held(job_id):
            self._store.request_cancel(job_id)
        elif self._store.submissions(job_id):
            await self.ended(job, None, stops=True)
        else:
            with self._store.hold(job_id):
                end = JobCancelled(model=job.plan.model)
                self._store.append(job_id, end, self._around.now())

    async def take_commands(self, job_id: str) -> None:
        """Let a job that is worked on here take its commands at once."""
        if job_id in self._runs:
            with contextlib.suppress(JobMovedError):  # whoever has it now takes them
                await self._runs[job_id].take_commands()

    async def let_go(self) -> None:
        """Stop watching; work at a service goes on there, and the jobs can be gone on with."""
        tasks = dict(self._tasks)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for job_id in tasks:
            with contextlib.suppress(JobError), self._store.hold(job_id):
                pass  # a task that had not begun has not given its job free yet

    @contextlib.contextmanager
    def _place(self, job_id: str, terms: JobTerms) -> Iterator[Destination]:
        """Reserve where the film goes; a film that this very job put there is no obstacle."""
        placed = self._store.placed(job_id)
        overwrite = terms.overwrite or (placed is not None and is_there(placed))
        films = max(plan.request.n for plan in terms.plans)
        if terms.out is not None:
            with reserved(terms.out, overwrite=overwrite, films=films) as destination:
                yield destination
            return
        folder = self._store.folder(job_id)
        with storage_errors(f"the job folder {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        yield Destination(folder / "film.mp4", overwrite, films)

    @contextlib.asynccontextmanager
    async def _opened(self, job: VideoJob, on_event: OnEvent) -> AsyncGenerator[JobRun, None]:
        last = next(reversed(self._store.submissions(job.id)), None)
        terms = self._store.terms(job.id)
        backend = await self._around.open_backend(terms.plans[0 if last is None else last.number])
        with self._place(job.id, terms) as destination:
            run = JobRun(job, backend, destination, self._around, on_event=on_event)
            self._runs[job.id] = run
            try:
                yield run
            finally:
                del self._runs[job.id]

    async def _run(self, job: VideoJob) -> None:
        try:
            async with self._opened(job, None) as run:
                await run.run()
        except (JobError, JobMovedError):
            _LOGGER.debug("another process works on job %s", job.id)
        except MediaAgentError as error:
            _LOGGER.warning("job %s cannot go on: %s", job.id, error.message)
            if not self._store.submissions(job.id):  # nothing was sent, so nothing will come
                self._store.append(job.id, JobFailed(error=to_info(error)), self._around.now())

    async def _can_go_on(self, job: VideoJob) -> bool:
        """Return whether a job that has ended can be taken up again."""
        match job.status:
            case JobStatus.OUTCOME_UNKNOWN:
                return True
            case JobStatus.FAILED if job.plan.parts:
                return True
            case JobStatus.FAILED | JobStatus.CANCELLED:
                if self._store.resume_token(job.id) is None and job.plan.origin is None:
                    return False
                backend = await self._around.open_backend(job.plan)
                return backend.capabilities(job.plan.model).resubmits
        return False
