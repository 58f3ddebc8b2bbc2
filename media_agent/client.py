"""The one face of the core: say what video you want, get a job, its events and its record."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from media_agent.artifacts import Destination, reserved
from media_agent.backend import VideoBackend
from media_agent.config import Settings, load_settings
from media_agent.errors import JobError, MediaAgentError
from media_agent.jobs import FolderJobStore, JobStore
from media_agent.negotiate import negotiate
from media_agent.registry import Registry
from media_agent.workflow import JobRun, Surroundings, stopped_early
from media_agent_schemas.capabilities import Capabilities, Plan, Policy
from media_agent_schemas.events import JobEvent
from media_agent_schemas.jobs import ChangePrompt, Finish, VideoJob
from media_agent_schemas.request import VideoRequest


class VideoClient:
    """Plans and makes videos; one per program, used inside `async with`.

    Without arguments it reads the settings and finds the installed backends by itself.
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        registry: Registry | None = None,
        store: JobStore | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw_seed: Callable[[], int] = lambda: secrets.randbelow(2**31),
    ) -> None:
        self.settings = load_settings() if settings is None else settings
        data_dir = self.settings.backend_settings("").data_dir
        self.store: JobStore = FolderJobStore(data_dir / "jobs") if store is None else store
        kinds = self.settings.kinds()
        self._registry = Registry(kinds=kinds) if registry is None else registry
        self._surroundings = Surroundings(self.store, now, sleep, data_dir / "work")
        self._draw_seed = draw_seed
        self._backends: dict[str, VideoBackend] = {}
        self._runs: dict[str, JobRun] = {}
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop all work and close the backends."""
        for backend in self._backends.values():
            await backend.aclose()
        self._backends.clear()

    async def capabilities(self, model: str | None = None) -> Capabilities:
        """Return what "backend" or "backend/model" can do; absent: the default.

        Raises:
            InvalidRequestError: there is no such backend or model; the nearest name is said.
        """
        name, _, model_name = (model or self.settings.default_backend).partition("/")
        return (await self._backend(name)).capabilities(model_name or None)

    async def plan(
        self,
        request: VideoRequest,
        *,
        policy: Policy = Policy.ADJUST,
        allow_unknown_words: bool = False,
    ) -> Plan:
        """Return what would be sent to whom, with every change; nothing is started.

        Raises:
            RequestError: the request cannot be served as it is.
        """
        limits = await self.capabilities(request.model)
        return negotiate(
            request,
            limits,
            policy,
            draw_seed=self._draw_seed,
            estimate=(await self._backend(limits.backend)).estimate,
            allow_unknown_words=allow_unknown_words,
        )

    async def generate(
        self,
        request: VideoRequest,
        *,
        plan: Plan | None = None,
        policy: Policy = Policy.ADJUST,
        allow_unknown_words: bool = False,
        out: Path | str | None = None,
        job_id: str | None = None,
        overwrite: bool = False,
        on_event: Callable[[JobEvent], None] | None = None,
    ) -> VideoJob:
        """Make the video and return the job as it ended: look at its `status` and `error`.

        A plan made before is followed as it is. Without `out` the film stays in the job's folder.
        A `job_id` given twice is refused, so nothing is made twice by mistake.
        When this is cancelled, the work is stopped, what was made is kept as NAME.partial.mp4 with
        its record, and then the cancellation goes on.

        Raises:
            RequestError: the request cannot be served, or `out` cannot be used; nothing was done.
            IdempotencyConflictError: there is a job of this id.
            StorageError: the data folder cannot be written.
        """
        if plan is None:
            plan = await self.plan(request, policy=policy, allow_unknown_words=allow_unknown_words)
        job = self._new_job(job_id or self.new_job_id(), request, plan)
        if out is not None:
            with reserved(Path(out), overwrite=overwrite) as destination:
                return await self._run(job, destination, on_event)
        film = self.store.folder(job.id) / "film.mp4"
        return await self._run(job, Destination(film, overwrite=False), on_event)

    async def get(self, job_id: str) -> VideoJob:
        """Return a job as it stands.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        return self.store.get(job_id)

    async def list(self) -> list[VideoJob]:
        """Return all jobs of the data folder, newest first."""
        return self.store.list()

    async def events(self, job_id: str, *, after: int = -1) -> tuple[JobEvent, ...]:
        """Return the events of a job numbered above `after`.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        return tuple(self.store.events(job_id, after))

    async def cancel(self, job_id: str) -> VideoJob:
        """Ask a job to stop; its own `generate` returns when it has. Harmless when it is over.

        Raises:
            JobNotFoundError: there is none of this id.
            JobError: another process works on it.
        """
        job = self.store.get(job_id)
        run = self._runs.get(job_id)
        if run is not None:
            await run.stop()
        elif not job.status.is_terminal:
            if self.store.is_held(job_id):
                raise JobError(
                    f"another process works on job {job_id}", hint="stop it there, with Ctrl-C"
                )
            self.store.append(job_id, stopped_early(job), self._surroundings.now())
        return self.store.get(job_id)

    async def control(self, job_id: str, command: ChangePrompt | Finish) -> None:
        """Steer a job that this client runs.

        Raises:
            JobNotFoundError: there is none of this id.
            JobError: it does not run here.
            UnsupportedRequestError: the model does not take this command.
        """
        self.store.get(job_id)
        run = self._runs.get(job_id)
        if run is None or run.ref is None:
            raise JobError(f"job {job_id} does not run here", hint="steer it where it was started")
        await run.backend.control(run.ref, command)

    def new_job_id(self) -> str:
        """Return an id that no job has, sorted by time."""
        return f"{self._surroundings.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"

    async def _backend(self, name: str) -> VideoBackend:
        async with self._lock:
            if name not in self._backends:
                settings = self.settings.backend_settings(name)
                create = self._registry.create
                self._backends[name] = await asyncio.to_thread(create, name, settings)
        return self._backends[name]

    def _new_job(self, job_id: str, request: VideoRequest, plan: Plan) -> VideoJob:
        now = self._surroundings.now()
        return VideoJob(
            id=job_id,
            created_at=now,
            updated_at=now,
            request=request,
            plan=plan,
            warnings=plan.warnings,
        )

    async def _run(
        self,
        job: VideoJob,
        destination: Destination,
        on_event: Callable[[JobEvent], None] | None,
    ) -> VideoJob:
        backend = await self._backend(job.plan.backend)
        self.store.create(job)
        run = JobRun(job, backend, destination, self._surroundings, on_event=on_event)
        self._runs[job.id] = run
        task = asyncio.create_task(run.run())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(MediaAgentError):
                await run.stop()
            await task
            raise
        finally:
            del self._runs[job.id]
