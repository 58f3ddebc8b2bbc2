"""The one face of the core: say what video you want, get a job, its events and its record."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import ValidationError

from media_agent.artifacts import Destination, is_there, reserved
from media_agent.backend import VideoBackend
from media_agent.background import Background
from media_agent.branching import branch_of, new_shots
from media_agent.chain import ChainBackend
from media_agent.config import Settings, load_settings
from media_agent.errors import InvalidRequestError, JobError, JobNotFoundError, MediaAgentError
from media_agent.faults import in_words
from media_agent.files import storage_errors
from media_agent.jobs import JobMovedError, JobTerms, Submission, SubmissionState
from media_agent.ledger import Ledger
from media_agent.planning import Planner
from media_agent.registry import Registry
from media_agent.steering import check_command
from media_agent.submitting import Submitting, Surroundings
from media_agent.workflow import JobRun
from media_agent_schemas.capabilities import Capabilities, Plan, Policy
from media_agent_schemas.events import JobCancelled, JobEvent, JobFailed
from media_agent_schemas.jobs import ChangePrompt, Finish, JobStatus, OperationRef, VideoJob
from media_agent_schemas.plan import PlanReport
from media_agent_schemas.request import Shot, VideoRequest

_LOOK_SECONDS = 0.5  # between two looks at a job of another process


@dataclass(frozen=True, slots=True)
class Finding:
    """What a backend says of work whose reply was lost."""

    job: VideoJob
    ref: OperationRef | None
    said: str


class VideoClient:
    """Plans and makes videos; one per program, used inside `async with`.

    Without arguments it reads the settings and finds the installed backends by itself.
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        registry: Registry | None = None,
        store: Ledger | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw_seed: Callable[[], int] = lambda: secrets.randbelow(2**31),
        checkpoint: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.settings = load_settings() if settings is None else settings
        data_dir = self.settings.backend_settings("").data_dir
        self.store = Ledger(data_dir / "ledger.sqlite") if store is None else store
        kinds = self.settings.kinds()
        self._registry = Registry(kinds=kinds) if registry is None else registry
        self._surroundings = Surroundings(
            store=self.store,
            now=now,
            sleep=sleep,
            work_folder=data_dir / "work",
            open_backend=self._backend_of,
            checkpoint=checkpoint,
        )
        self._planner = Planner(
            self.settings,
            self._registry,
            self._backend,
            draw_seed=draw_seed,
            spent_today=lambda: self.store.spent(now() - timedelta(days=1)),
        )
        self._backends: dict[str, VideoBackend] = {}
        self._runs: dict[str, JobRun] = {}
        self._background = Background(
            self.store, lambda job: self._run_of(job, None), self._runs, now
        )
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
        """Stop all work here and close the backends; what `start` began at a service goes on."""
        await self._background.let_go()
        for backend in self._backends.values():
            await backend.aclose()
        self._backends.clear()
        self.store.close()

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
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
    ) -> Plan:
        """Return what would be sent to whom, with every change; nothing is started.

        Wishes about who makes it (`routing`) choose among all; else it is the model named, or the
        default one.

        Raises:
            RequestError: the request cannot be served as it is.
        """
        plans = await self.plans(request, policy=policy, allow_unknown_words=allow_unknown_words)
        return plans[0]

    async def plans(
        self,
        request: VideoRequest,
        *,
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
    ) -> tuple[Plan, ...]:
        """Return the plan to follow, and those to follow if it is refused before acceptance.

        Raises:
            RequestError: the request cannot be served as it is.
        """
        return await self._planner.plans(request, policy, allow_unknown_words=allow_unknown_words)

    async def plan_all(
        self,
        request: VideoRequest,
        *,
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
    ) -> PlanReport:
        """Return all who could make it, best first, and all who could not, with price and reasons.

        A model that the request names is the only candidate. Nothing is started or spent.

        Raises:
            InvalidRequestError: the request names what does not exist.
        """
        return await self._planner.report(request, policy, allow_unknown_words=allow_unknown_words)

    async def generate(
        self,
        request: VideoRequest,
        *,
        plan: Plan | None = None,
        plans: Sequence[Plan] | None = None,
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
        out: Path | str | None = None,
        job_id: str | None = None,
        idempotency_key: str | None = None,
        overwrite: bool = False,
        on_event: Callable[[JobEvent], None] | None = None,
    ) -> VideoJob:
        """Make the video and return the job as it ended: look at its `status` and `error`.

        A plan made before is followed as it is. Of several `plans` the first is followed; the next
        only when the one before was refused before anything was accepted.
        Without `out` the film stays in the job's folder.
        A `job_id` given twice is refused, so nothing is made twice by mistake. The same
        `idempotency_key` with the same request is the same job, also from another process: it is
        waited for, gone on with if its process is gone, and returned as it ended.
        When this is cancelled, the work is stopped, what was made is kept as NAME.partial.mp4 with
        its record, and then the cancellation goes on.

        Raises:
            RequestError: the request cannot be served, or `out` cannot be used; nothing was done.
            IdempotencyConflictError: there is a job of this id, or the key has another request.
            StorageError: the data folder cannot be written.
        """
        if idempotency_key is not None:
            known = self.store.of_key(idempotency_key, request)
            if known is not None:
                return await self._joined(known.id, on_event)
        if plans is None:
            words = allow_unknown_words
            if plan is None:
                plans = await self._planner.plans(request, policy, allow_unknown_words=words)
            else:
                plans = (plan,)
        elif plan is not None or not plans:
            raise InvalidRequestError("give either a plan, or plans with at least one in it")
        terms = JobTerms(tuple(plans), _absolute(out), overwrite, idempotency_key)
        backend = await self._backend_of(plans[0])
        job = self._new_job(job_id or self.new_job_id(), request, plans[0])
        kept = self.store.create(job, terms)
        if kept.id != job.id:
            return await self._joined(kept.id, on_event)
        with contextlib.ExitStack() as stack:
            try:
                destination = stack.enter_context(self._place(job.id, terms))
            except MediaAgentError:
                self.store.discard(job.id)
                raise
            run = JobRun(job, backend, destination, self._surroundings, on_event=on_event)
            return await self._run(run, on_event)

    async def start(
        self,
        request: VideoRequest,
        *,
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
        out: Path | str | None = None,
        idempotency_key: str | None = None,
        overwrite: bool = False,
    ) -> VideoJob:
        """Begin to make the video and return its job as soon as it is kept; `get` follows it.

        The same `idempotency_key` with the same request is the same job; when its process is gone,
        this one goes on with it. What has not ended when the client is closed stays in the ledger,
        and work at a service goes on there.

        Raises:
            RequestError: the request cannot be served, or `out` cannot be used; nothing was done.
            IdempotencyConflictError: the key has another request.
            StorageError: the data folder cannot be written.
        """
        known = None if idempotency_key is None else self.store.of_key(idempotency_key, request)
        if known is None:
            words = allow_unknown_words
            plans = await self._planner.plans(request, policy, allow_unknown_words=words)
            terms = JobTerms(tuple(plans), _absolute(out), overwrite, idempotency_key)
            job = self._new_job(self.new_job_id(), request, plans[0])
            known = self._kept(job, terms)
            if known is job:
                self._background.begin(job)
        self._background.go_on(known)
        return self.store.get(known.id)

    async def plan_branch(
        self,
        job_id: str,
        *,
        at: int | None = None,
        prompt: str | None = None,
        duration: float | None = None,
        shots: Sequence[Shot] = (),
        endless: bool = False,
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
    ) -> Plan:
        """Return the plan of a film that shares the first `at` chunks of another and goes on alone.

        Without `at` it goes on where that film ends, seamlessly: from the state, not the picture.
        It goes on with a prompt for so many seconds, or with shots; a length that is not given is
        the model's usual one. Follow the plan with `generate`.

        Raises:
            JobNotFoundError: there is no such job.
            RequestError: it has no such chunk, or its model cannot do this or does not know a word.
            NotResumableError: the state before that chunk is not kept any more.
        """
        new = new_shots(prompt, duration, shots)
        job = self.store.get(job_id)
        limits = (await self._backend_of(job.plan)).capabilities(job.plan.model)
        work = self._surroundings.work_folder
        request, origin = branch_of(
            self.store, job, limits, work, at=at, shots=new, endless=endless
        )
        plans = await self._planner.plans(request, policy, allow_unknown_words=allow_unknown_words)
        return plans[0].model_copy(update={"origin": origin})

    async def branch(
        self,
        job_id: str,
        *,
        at: int | None = None,
        prompt: str | None = None,
        duration: float | None = None,
        shots: Sequence[Shot] = (),
        endless: bool = False,
        policy: Policy | None = None,
        allow_unknown_words: bool = False,
        out: Path | str | None = None,
        overwrite: bool = False,
        on_event: Callable[[JobEvent], None] | None = None,
    ) -> VideoJob:
        """Make a second film that begins as another does; see `plan_branch` and `generate`."""
        plan = await self.plan_branch(
            job_id,
            at=at,
            prompt=prompt,
            duration=duration,
            shots=shots,
            endless=endless,
            policy=policy,
            allow_unknown_words=allow_unknown_words,
        )
        return await self.generate(
            plan.request, plan=plan, out=out, overwrite=overwrite, on_event=on_event
        )

    async def resume(
        self,
        job_id: str,
        *,
        take_over: bool = False,
        on_event: Callable[[JobEvent], None] | None = None,
    ) -> VideoJob:
        """Go on with a job whose process is gone, or whose outcome is unknown; return its end.

        Nothing is submitted a second time, except where that costs nothing. A film in parts that
        failed goes on too: what failed is made again, what is there is kept. So does a film that
        failed or was stopped and has a state to go on from. Any other job that is over is returned
        as it is.

        Raises:
            JobNotFoundError: there is none of this id.
            JobError: a living process works on it, and it is not to be taken over.
            MediaAgentError: its backend or its place cannot be used; the job stays as it is.
        """
        job = self.store.get(job_id)
        if job.status.is_terminal and not await self._can_go_on(job):
            return job
        if job_id in self._runs or (self.store.is_held(job_id) and not take_over):
            raise JobError(
                f"a living process works on job {job_id}",
                hint="wait for it, cancel it, or take it over if that process is stuck",
            )
        async with self._run_of(job, on_event) as run:
            return await self._run(run, on_event, force=take_over)

    async def reconcile(self, job_id: str) -> Finding:
        """Ask a backend whether it knows of work whose reply was lost; nothing is started.

        Raises:
            JobNotFoundError: there is none of this id.
            JobError: a living process works on it.
            BackendError: the backend could not be asked.
        """
        job = self.store.get(job_id)
        last = next(reversed(self.store.submissions(job_id)), None)
        is_over = job.status.is_terminal and job.status is not JobStatus.OUTCOME_UNKNOWN
        if is_over or last is None or last.state is SubmissionState.REFUSED:
            return Finding(job, None, "nothing of it is unknown")
        with self.store.hold(job_id):
            submitting = Submitting(job, self.store.terms(job_id), self._surroundings)
            ref = await submitting.find()
        lookup = (await self.capabilities(f"{job.plan.backend}/{job.plan.model}")).lookup
        return Finding(self.store.get(job_id), ref, _said(job, last, ref, lookup))

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

        A job of another process is stopped by that process, within seconds; one whose process is
        gone is stopped here, at its backend too.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        job = self.store.get(job_id)
        run = self._runs.get(job_id)
        if run is not None:
            await run.stop()
        elif job.status.is_terminal:
            return job
        elif self.store.is_held(job_id):
            self.store.request_cancel(job_id)
        elif not self.store.submissions(job_id):
            with self.store.hold(job_id):
                end = JobCancelled(model=job.plan.model)
                self.store.append(job_id, end, self._surroundings.now())
        else:
            async with self._run_of(job, None) as run:
                await run.stop()
                await self._run(run, None)
        return self.store.get(job_id)

    async def steer(
        self,
        job_id: str,
        prompt: str,
        *,
        at: Literal["next", "now"] | int = "next",
        allow_unknown_words: bool = False,
    ) -> VideoJob:
        """Let a film go on under another prompt; the event prompt.changed says from which chunk.

        `at` is "next" for the first chunk that is not begun, "now" for those in work too as far as
        they are noisy enough, or the number of a chunk that is not begun. `control` says what is
        refused.
        """
        try:
            command = ChangePrompt(prompt=prompt, at=at)
        except ValidationError as error:
            raise InvalidRequestError(in_words(error, ChangePrompt)) from None
        await self.control(job_id, command, allow_unknown_words=allow_unknown_words)
        return self.store.get(job_id)

    async def finish(self, job_id: str) -> VideoJob:
        """End a film, complete, with its next chunk; `control` says what is refused."""
        await self.control(job_id, Finish())
        return self.store.get(job_id)

    async def control(
        self,
        job_id: str,
        command: ChangePrompt | Finish,
        *,
        allow_unknown_words: bool = False,
    ) -> None:
        """Hand a command to a job, whichever process works on it; `steer` and `finish` say which.

        One that nobody works on gets it when somebody goes on with it.

        Raises:
            JobNotFoundError: there is none of this id.
            JobError: it is over.
            UnsupportedRequestError: the model does not take this command, or not this prompt.
            InvalidRequestError: the chunk it is about is finished already.
        """
        job = self.store.get(job_id)
        limits = (await self._backend_of(job.plan)).capabilities(job.plan.model)
        check_command(command, job, limits, allow_unknown_words=allow_unknown_words)
        self.store.add_command(job_id, command)
        if job_id in self._runs:
            await self._runs[job_id].take_commands()

    async def make_part(
        self, job_id: str, plan: Plan, on_event: Callable[[JobEvent], None]
    ) -> VideoJob:
        """Make one part of a film, or go on with it, or return it as it ended.

        One that failed is made again, as a job of its own, when the film failed with it and was
        resumed since.
        """
        tried = self._tried(job_id)
        if tried:
            failed_at = self._failed_at(plan.request.labels["part_of"])
            is_new = failed_at is None or tried[-1].updated_at > failed_at
            if is_new or tried[-1].status is not JobStatus.FAILED:
                return await self.resume(tried[-1].id, on_event=on_event)
        name = _attempt(job_id, len(tried))
        return await self.generate(plan.request, plan=plan, job_id=name, on_event=on_event)

    async def stop_part(self, job_id: str) -> None:
        """Stop a part that is being made here."""
        for part in self._tried(job_id)[-1:]:
            await self.cancel(part.id)

    def _tried(self, job_id: str) -> tuple[VideoJob, ...]:
        """Return the jobs of a part, oldest first; each but the last failed."""
        tried: tuple[VideoJob, ...] = ()
        with contextlib.suppress(JobNotFoundError):
            while True:
                tried += (self.store.get(_attempt(job_id, len(tried))),)
        return tried

    def _failed_at(self, key: str) -> datetime | None:
        """Return when the film under this key failed last, None if it never did."""
        film = self.store.job_of(key)
        events = () if film is None else self.store.events(film)
        times = [each.time for each in events if isinstance(each.event, JobFailed)]
        return times[-1] if times else None

    def new_job_id(self) -> str:
        """Return an id that no job has, sorted by time."""
        return f"{self._surroundings.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"

    async def _can_go_on(self, job: VideoJob) -> bool:
        """Return whether a job that has ended can be taken up again."""
        match job.status:
            case JobStatus.OUTCOME_UNKNOWN:
                return True
            case JobStatus.FAILED if job.plan.parts:
                return True
            case JobStatus.FAILED | JobStatus.CANCELLED:
                if self.store.resume_token(job.id) is None:
                    return False
                return (await self._backend_of(job.plan)).capabilities(job.plan.model).resubmits
        return False

    async def _backend(self, name: str) -> VideoBackend:
        async with self._lock:
            if name not in self._backends:
                settings = self.settings.backend_settings(name)
                create = self._registry.create
                self._backends[name] = await asyncio.to_thread(create, name, settings)
        return self._backends[name]

    async def _backend_of(self, plan: Plan) -> VideoBackend:
        """Return who follows a plan: the backend, or what puts its parts together."""
        backend = await self._backend(plan.backend)
        if not plan.parts:
            return backend
        return ChainBackend(plan, backend, self, self._surroundings.work_folder)

    def _new_job(self, job_id: str, request: VideoRequest, plan: Plan) -> VideoJob:
        now, origin = self._surroundings.now(), plan.origin
        return VideoJob(
            id=job_id,
            chunks_ready=0 if origin is None else origin.chunk,
            frames_ready=0 if origin is None else origin.frames,
            created_at=now,
            updated_at=now,
            request=request,
            plan=plan,
            warnings=plan.warnings,
        )

    def _kept(self, job: VideoJob, terms: JobTerms) -> VideoJob:
        """Keep a job, if its film has a place; return it, or the one that has its key."""
        kept = self.store.create(job, terms)
        if kept is job:
            try:
                with self._place(job.id, terms):
                    pass
            except MediaAgentError:
                self.store.discard(job.id)
                raise
        return kept

    @contextlib.contextmanager
    def _place(self, job_id: str, terms: JobTerms) -> Iterator[Destination]:
        """Reserve where the film goes; a film that this very job put there is no obstacle."""
        placed = self.store.placed(job_id)
        overwrite = terms.overwrite or (placed is not None and is_there(placed))
        films = max(plan.request.n for plan in terms.plans)
        if terms.out is not None:
            with reserved(terms.out, overwrite=overwrite, films=films) as destination:
                yield destination
            return
        folder = self.store.folder(job_id)
        with storage_errors(f"the job folder {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
        yield Destination(folder / "film.mp4", overwrite, films)

    @contextlib.asynccontextmanager
    async def _run_of(
        self, job: VideoJob, on_event: Callable[[JobEvent], None] | None
    ) -> AsyncIterator[JobRun]:
        """Give the run of a job that was begun before."""
        last = next(reversed(self.store.submissions(job.id)), None)
        terms = self.store.terms(job.id)
        backend = await self._backend_of(terms.plans[0 if last is None else last.number])
        with self._place(job.id, terms) as destination:
            yield JobRun(job, backend, destination, self._surroundings, on_event=on_event)

    async def _run(
        self,
        run: JobRun,
        on_event: Callable[[JobEvent], None] | None,
        *,
        force: bool = False,
    ) -> VideoJob:
        job_id = run.job.id
        self._runs[job_id] = run
        task = asyncio.create_task(run.run(force=force))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(MediaAgentError):
                await run.stop()
            await task
            raise
        except JobMovedError:
            pass
        finally:
            del self._runs[job_id]
        return await self._joined(job_id, on_event)

    async def _joined(self, job_id: str, on_event: Callable[[JobEvent], None] | None) -> VideoJob:
        """Watch a job to its end, and go on with it should its process die."""
        seen = -1
        while True:
            for numbered in self.store.events(job_id, seen):
                seen = numbered.sequence
                if on_event is not None:
                    on_event(numbered)
            job = self.store.get(job_id)
            if job.status.is_terminal:
                return job
            if job_id not in self._runs and not self.store.is_held(job_id):
                with contextlib.suppress(JobError):  # somebody else was quicker
                    return await self.resume(job_id, on_event=on_event)
            await self._surroundings.sleep(_LOOK_SECONDS)


def _attempt(job_id: str, failed: int) -> str:
    """Return the id under which a part is made when so many attempts failed."""
    return job_id if failed == 0 else f"{job_id}.{failed + 1}"


def _absolute(out: Path | str | None) -> Path | None:
    """Return the place as it is whatever folder a later process starts in; links stay links."""
    return None if out is None else Path(os.path.abspath(out))  # noqa: PTH100


def _said(job: VideoJob, last: Submission, ref: OperationRef | None, lookup: str) -> str:
    """Say in one line what is known of a submission, and what to do."""
    who = f"{last.backend}, asked at {last.created_at:%Y-%m-%d %H:%M:%S} UTC,"
    if ref is not None:
        return f"{who} accepted it as {ref.operation_id}: media-agent jobs resume {job.id}"
    if lookup == "none":
        return f"{who} cannot be searched: look at its own page of jobs or bills"
    how = f"under the key {last.key}" if lookup == "key" else "in its list"
    return f"{who} shows no such work {how}: when that stays so, it was not accepted"
