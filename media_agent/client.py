"""The one face of the core: say what video you want, get a job, its events and its record."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, Unpack

from pydantic import ValidationError

from media_agent.backend.free_memory import FreeMemory
from media_agent.backend.hints import Hints
from media_agent.backend.protocol import BackendSettings, VideoBackend
from media_agent.config.keys import FoundKey
from media_agent.config.settings import Settings, load_settings
from media_agent.errors import InvalidRequestError
from media_agent.jobs.commands import check_command
from media_agent.jobs.context import JobContext
from media_agent.jobs.continuing import branch, extend, repeated
from media_agent.jobs.housekeeping.remove import Removal, remove_job
from media_agent.jobs.intake import JobIntake
from media_agent.jobs.options import (
    BranchKwargs,
    BranchOptions,
    ExtendKwargs,
    ExtendOptions,
    GenerateKwargs,
    GenerateOptions,
    PlanKwargs,
    PlanOptions,
)
from media_agent.jobs.recovery import reconcile
from media_agent.jobs.recovery.reconcile import Finding
from media_agent.jobs.runner import JobRunner
from media_agent.jobs.segment_jobs import SegmentRunner
from media_agent.jobs.segmented import SegmentedBackend
from media_agent.jobs.sharing import Sharing
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.pages import JobFilter
from media_agent.negotiation.budget import begin_of_day
from media_agent.policy.asking import Policies
from media_agent.policy.steering import screen_prompt
from media_agent.provenance.c2pa.ready import warn_in_plans, warn_in_report
from media_agent.provenance.quality.embedding import EmbeddingSpec
from media_agent.redact import redact
from media_agent.registry.open_backends import OpenBackends
from media_agent.registry.registry import Registry
from media_agent.routing.learning.recall import Recall
from media_agent.routing.listing import Listing
from media_agent.routing.planner import Planner
from media_agent.validation import in_words
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import JobEvent
from media_agent_schemas.jobs import ChangePrompt, Finish, JobStatus, JobSummary, VideoJob
from media_agent_schemas.plan import Plan, PlanReport
from media_agent_schemas.request import VideoRequest

if TYPE_CHECKING:
    from media_agent.cluster.worker import Drain


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
        free_memory: FreeMemory | None = None,
    ) -> None:
        self.settings = load_settings() if settings is None else settings
        if store is None:
            store = Ledger(self.settings.ledger_path, url=self.settings.ledger)
        self.store = store
        kinds = self.settings.kinds()
        self._registry = Registry(kinds=kinds) if registry is None else registry
        self._free_memory = FreeMemory() if free_memory is None else free_memory
        self._hints = Hints()
        self._backends = OpenBackends(self._registry, self._backend_settings)
        self._policies = Policies(
            self.settings.policy_rules,
            lambda: self._registry.policies,
            lambda caller: self.store.api_keys.policies_of(caller, now()),
            without_keys=self._without_keys,
        )
        self._context = JobContext(
            store=self.store,
            now=now,
            sleep=sleep,
            work_folder=self.settings.work_folder,
            open_backend=self._backend_of,
            base_url=self.settings.base_url,
            without_keys=self._without_keys,
            policies=self._policies,
            checkpoint=checkpoint,
            max_cost_usd_per_day=self.settings.budget.max_cost_usd_per_day,
            keep_states=timedelta(days=self.settings.keep_states_days),
            quality=self.settings.quality_rules(self._find_embedding),
            signing=self.settings.signing(),
            files=self.settings.shared_files(),
        )
        self._planner = Planner(
            self.settings,
            self._registry,
            self._backends.get,
            draw_seed=draw_seed,
            policies=self._policies,
            free_memory=self._free_memory,
            recall=Recall(
                self.store.outcomes,
                self.settings.routing.half_life_days,
                lambda: now().timestamp(),
            ),
            spent_today=lambda: self.store.submissions.spent(begin_of_day(now())),
        )
        self._running = self._build_runner()
        self._intake = JobIntake(self._context, self._planner, self._running)

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
        """Stop all work here and close the backends; what `start` began at a service continues."""
        await self._running.let_go()
        await self._running.aclose()
        await self._backends.aclose()
        self.store.close()

    async def capabilities(self, model: str | None = None) -> Capabilities:
        """Return what "backend" or "backend/model" can do; absent: the default.

        Raises:
            InvalidRequestError: there is no such backend or model, and the nearest name is said;
                or several backends offer it, each with limits of its own.
        """
        asked = model or self.settings.default_backend
        self._planner.check_one(asked)
        name, _, model_name = asked.partition("/")
        return (await self._backends.get(name)).capabilities(model_name or None)

    async def plan(self, request: VideoRequest, **options: Unpack[PlanKwargs]) -> Plan:
        """Return what would be sent to whom, with every change; nothing is started.

        Preferences (`routing`) choose among all models; else it is the model named, or the
        default one.

        Raises:
            RequestError: the request cannot be served as it is.
        """
        return (await self.plans(request, **options))[0]

    async def plans(self, request: VideoRequest, **options: Unpack[PlanKwargs]) -> tuple[Plan, ...]:
        """Return the plan to follow, and those to follow if it is refused before acceptance.

        Raises:
            RequestError: the request cannot be served as it is.
        """
        asked = PlanOptions(**options)
        words = asked.allow_unknown_words
        plans = await self._planner.plans(
            request, asked.policy, allow_unknown_words=words, caller=asked.caller
        )
        return await warn_in_plans(self._context.signing, *plans)

    async def plan_all(
        self, request: VideoRequest, *, best: int | None = None, **options: Unpack[PlanKwargs]
    ) -> PlanReport:
        """Return all who could make it, best first, and all who could not, with price and reasons.

        A model that the request names is the only candidate, or all its offers are. With `best`
        only so many of many, and the best one of each backend, are planned in full; of the others
        is said what they cost at least. Nothing is started or spent.

        Raises:
            InvalidRequestError: the request names what does not exist.
            ConfigurationError: the video must be signed, and cannot be.
        """
        asked = PlanOptions(**options)
        words = asked.allow_unknown_words
        report = await self._planner.report(
            request, asked.policy, allow_unknown_words=words, best=best, caller=asked.caller
        )
        return await warn_in_report(self._context.signing, report)

    async def generate(
        self,
        request: VideoRequest,
        *,
        on_event: Callable[[JobEvent], None] | None = None,
        **options: Unpack[GenerateKwargs],
    ) -> VideoJob:
        """Make the video and return the job as it ended: look at its `status` and `error`.

        Of `plans` made before the first is followed, as it is; the next only when the one before
        was refused before anything was accepted.
        Without `out` a new video goes to `default_out`, else it stays in the job's folder.
        A `job_id` given twice is refused, so nothing is made twice by mistake. The same
        `idempotency_key` with the same request is the same job, also from another process: it is
        waited for, resumed if its process is gone, and returned as it ended. On other terms
        (place, policy, overwrite) it is refused. A key whose job failed before anybody can have
        accepted anything is free again.
        When this is cancelled, the work is stopped, what was made is kept as NAME.partial.mp4 with
        its record, and then the cancellation continues. Cancelled again meanwhile, it waits for
        nothing: the job can be resumed.

        Raises:
            RequestError: the request cannot be served, or `out` cannot be used; nothing was sent.
            IdempotencyConflictError: there is a job of this id, or the key has another request
                or other terms.
            StorageError: the data folder cannot be written.
        """
        job, is_new = await self._intake.take(request, GenerateOptions(**options))
        if is_new:
            return await self._running.run_new(job, on_event)
        return await self._running.attach(job.id, on_event)

    async def start(self, request: VideoRequest, **options: Unpack[GenerateKwargs]) -> VideoJob:
        """Begin to make the video and return its job as soon as it is kept; `get` follows it.

        Of many jobs 16 are submitted at once; the others wait for their turn, queued.

        The same `idempotency_key` with the same request is the same job; when its process is gone,
        this one resumes it; `generate` says more. What has not ended when the client is closed
        stays in the ledger, and work at a service continues there.

        Raises:
            RequestError: the request cannot be served, or `out` cannot be used; nothing was done.
            IdempotencyConflictError: the key has another request or other terms.
            StorageError: the data folder cannot be written.
        """
        with self._running.asking():
            job, is_new = await self._intake.take(request, GenerateOptions(**options))
        if is_new:
            await self._running.begin(job)
            return job
        self._running.adopt(job)
        return self.store.jobs.get(job.id)

    async def plan_branch(self, job_id: str, **options: Unpack[BranchKwargs]) -> Plan:
        """Return the plan of a video that shares the first `at` chunks of another one.

        Without `at` it continues where that video ends, seamlessly: from the state, not the image.
        It continues with a prompt for so many seconds, or with shots; a length that is not given is
        the model's usual one. Follow the plan with `generate`. An `idempotency_key` that has a job
        gives the plan of that job, whatever became of the video that it left.

        Raises:
            IdempotencyConflictError: the key belongs to another video.
            JobNotFoundError: there is no such job.
            RequestError: it has no such chunk, or its model cannot do this or does not know a word.
            NotResumableError: the state before that chunk is not kept any more.
        """
        asked = BranchOptions(**options)
        known = repeated.find_branch(self.store, job_id, asked)
        if known is not None:
            return known.plan
        plan = await branch.plan_branch(job_id, self._context, self._planner, asked)
        return (await warn_in_plans(self._context.signing, plan))[0]

    async def branch(
        self,
        job_id: str,
        *,
        out: Path | str | None = None,
        overwrite: bool = False,
        label: str | None = None,
        on_event: Callable[[JobEvent], None] | None = None,
        **options: Unpack[BranchKwargs],
    ) -> VideoJob:
        """Make a second video that begins as another does; see `plan_branch` and `generate`."""
        plan = await self.plan_branch(job_id, **options)
        return await self.generate(
            plan.request,
            plans=[plan],
            out=out,
            overwrite=overwrite,
            idempotency_key=options.get("idempotency_key"),
            label=label,
            policy=options.get("policy"),
            caller=options.get("caller"),
            on_event=on_event,
        )

    async def extend(
        self,
        video: Path | str,
        *,
        out: Path | str | None = None,
        overwrite: bool = False,
        label: str | None = None,
        on_event: Callable[[JobEvent], None] | None = None,
        **options: Unpack[ExtendKwargs],
    ) -> VideoJob:
        """Continue a video; the result is the whole of it: the source, then the new part.

        `video` is the id of a job, which continues seamlessly from its state as a `branch` at its
        end, or the path or http(s) URL of any video, which a model continues from its last frames.
        So is the delivered video of a job whose model keeps no states; the plan and the record say
        that. Such a source keeps its size, its frame rate and its audio; `joined` of the artifact
        says where the new part begins. With `only_new` only that is delivered, as the model made
        it.

        Raises:
            RequestError: there is no such video, its model cannot continue it, or a value is wrong.
            MediaAgentError: see `branch` and `generate`.
        """
        request, plans = await self.plan_extension(video, **options)
        return await self.generate(
            request,
            plans=plans,
            out=out,
            overwrite=overwrite,
            idempotency_key=options.get("idempotency_key"),
            label=label,
            policy=options.get("policy"),
            caller=options.get("caller"),
            on_event=on_event,
        )

    async def plan_extension(
        self, video: Path | str, **options: Unpack[ExtendKwargs]
    ) -> tuple[VideoRequest, tuple[Plan, ...]]:
        """Return the request that continues a video and its plans; see `extend` and `plans`.

        Where `idempotency_key` has a job, it is what that job was made of.
        """
        asked = ExtendOptions(**options)
        known = repeated.find_extension(self.store, str(video), asked)
        if known is not None:
            return known.request, (known.plan,)
        request, plans = await extend.plan_extension(video, self._context, self._planner, asked)
        return request, await warn_in_plans(self._context.signing, *plans)

    async def find_extension_model(self, video: Path | str) -> str:
        """Return the model that continues a video unless another is named.

        Raises:
            JobError: it is a job that has neither a state nor a video to continue from.
        """
        return await extend.find_model(video, self._context) or self.settings.default_backend

    async def resume(
        self,
        job_id: str,
        *,
        take_over: bool = False,
        on_event: Callable[[JobEvent], None] | None = None,
    ) -> VideoJob:
        """Resume a job whose process is gone, or whose outcome is unknown; return its end.

        Nothing is submitted a second time, except where that costs nothing. A video in parts that
        failed or was stopped is resumed too: the part it ended with is made again, what is there is
        kept. So does a video that failed or was stopped and has a state to continue from. Any other
        job that is over is returned as it is.

        Raises:
            JobNotFoundError: there is none of this id.
            JobError: a living process works on it, and it is not to be taken over.
            MediaAgentError: its backend or its place cannot be used; the job stays as it is.
        """
        return await self._running.resume(job_id, on_event, take_over=take_over)

    async def begin_resume(self, job_id: str, *, take_over: bool = False) -> VideoJob:
        """Begin to resume a job as `resume` does, and return it as it stands; `get` follows it.

        Raises:
            JobNotFoundError: there is none of this id.
            JobError: a living process works on it, and it is not to be taken over.
        """
        await self._running.begin_resume(job_id, take_over=take_over)
        return self.store.jobs.get(job_id)

    async def reconcile(self, job_id: str) -> Finding:
        """Ask a backend whether it knows of work whose reply was lost; nothing is started.

        Raises:
            JobNotFoundError: there is none of this id.
            JobError: a living process works on it.
            BackendError: the backend could not be asked.
        """
        return await reconcile.reconcile(job_id, self._context)

    async def get(self, job_id: str) -> VideoJob:
        """Return a job as it stands.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        return self.store.jobs.get(job_id)

    async def adopt(self, job_id: str) -> VideoJob:
        """Return a job as it stands; one whose process is gone is continued by this one.

        Raises:
            JobNotFoundError: there is none of this id.
            StorageError: nobody knows whether it is on disk.
        """
        job = self.store.jobs.get(job_id)
        await self.store.flushed()  # another process may have made it this moment
        self._running.adopt(job)
        return self.store.jobs.get(job_id)

    async def adopt_left(self) -> tuple[str, ...]:
        """Continue the jobs of callers whose process is gone, or could not go on; return their ids.

        One that cannot be continued keeps no other from it.
        """
        return self._running.adopt_left()

    def count_working(self) -> int:
        """Return how many jobs this client works on."""
        return self._running.working

    def work_on(self, job_id: str) -> "asyncio.Task[None] | None":
        """Return the work of this client on a job that it started or adopted, None if it has none.

        Wait for it to hear at once when the job has ended; what it did stands in the job.
        """
        return self._running.works.get(job_id)

    def is_running(self, job_id: str) -> bool:
        """Return whether a process works on a job, this one or another."""
        return self._running.is_at_work(job_id)

    async def look_now(self, backend: str, operation_id: str) -> None:
        """Ask a service now about work that is waited for here: somebody says it has news."""
        self._hints.give(backend, operation_id)

    async def orphans(self) -> tuple[VideoJob, ...]:
        """Return the jobs that are under way and have no living process, oldest first."""
        jobs = (job for job in self.store.jobs.unsettled() if not job.status.is_terminal)
        return tuple(job for job in jobs if not self.is_running(job.id))

    async def list(
        self,
        *,
        status: JobStatus | Sequence[JobStatus] = (),
        since: datetime | None = None,
        backend: str | None = None,
        label: str | None = None,
        caller: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        oldest_first: bool = False,
    ) -> list[JobSummary]:
        """Return the jobs of the data folder, newest first; `get` has all of one.

        `backend` is a backend or "backend/model". Segments of a video are in its own line. For the
        next page give the last id of this one as `before`.

        Raises:
            JobNotFoundError: there is no job `before`.
        """
        statuses = (status,) if isinstance(status, JobStatus) else tuple(status)
        chosen = JobFilter(
            statuses=statuses,
            since=since,
            backend=backend,
            label=label,
            caller=caller,
            before=before,
            limit=limit,
            oldest_first=oldest_first,
        )
        return self.store.jobs.list(chosen)

    async def find(self, name: str) -> str:
        """Return the id of the job that a name means: an id, its unique beginning, or "last".

        Raises:
            JobNotFoundError: there is none.
            InvalidRequestError: the beginning is that of several; it names them.
        """
        return self.store.jobs.find(name)

    async def remove(self, job_id: str, *, force: bool = False, videos: bool = False) -> Removal:
        """Forget a job and remove its work files; its video and record only with `videos`.

        What it cost still counts in sums and budgets, and its id is not given to another job.

        Raises:
            JobNotFoundError: there is none of this id.
            JobError: a process works on it; it is a segment, or a branch still needs it; its
                outcome is unknown and money is held for it, until it is settled; or, without
                `force`, it has not ended or its outcome is unknown.
        """
        work, files = self._context.work_folder, self._context.files
        removal = await asyncio.to_thread(
            remove_job, self.store, work, job_id, force=force, videos=videos
        )
        if files is not None:
            await asyncio.to_thread(files.forget, job_id)
        return removal

    async def models(self) -> Listing:
        """Return every model of every backend, with a typical price, and what cannot be asked."""
        return await self._planner.list_models()

    async def events(self, job_id: str, *, after: int = -1) -> tuple[JobEvent, ...]:
        """Return the events of a job numbered above `after`.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        return tuple(self.store.events.read(job_id, after))

    async def cancel(self, job_id: str) -> VideoJob:
        """Ask a job to stop; its own `generate` returns when it has. Harmless when it is over.

        One that was not sent yet is never sent. A backend that cannot be told is told again, until
        it has heard; why it could not be is a warning of the job.

        A job of another process is stopped by that process, within seconds; one whose process is
        gone is stopped here, at its backend too.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        await self._running.stop(job_id)
        return self.store.jobs.get(job_id)

    async def steer(
        self,
        job_id: str,
        prompt: str,
        *,
        at: Literal["next", "now"] | int = "next",
        allow_unknown_words: bool = False,
    ) -> VideoJob:
        """Change the prompt of a running video; the event prompt.changed says from which chunk.

        `at` is "next" for the first chunk not yet started, "now" for those in work too as far as
        they are noisy enough, or the number of a chunk that is not begun. It reaches the job in
        whichever process works on it; one that nobody works on gets it when it is resumed.

        Raises:
            JobNotFoundError: there is no such job.
            JobError: it is over.
            UnsupportedRequestError: the model takes no command, or not this prompt.
            PolicyRefusedError: a policy refuses the prompt.
            InvalidRequestError: the chunk it is about is finished already.
        """
        try:
            command = ChangePrompt(prompt=prompt, at=at)
        except ValidationError as error:
            raise InvalidRequestError(in_words(error, ChangePrompt)) from None
        job = self.store.jobs.get(job_id)
        command = await screen_prompt(self._policies, job, command)
        return await self._control(job_id, command, allow_unknown_words=allow_unknown_words)

    async def finish(self, job_id: str) -> VideoJob:
        """End a video, complete, with its next chunk; what is refused is as for `steer`."""
        return await self._control(job_id, Finish())

    def find_key(self, backend: str) -> FoundKey:
        """Return the key of a backend, and where it is from; it is hidden when shown.

        Raises:
            ConfigurationError: a file that has it cannot be read.
        """
        return self.settings.find_key(backend, self._registry.spec(backend))

    def knows(self, idempotency_key: str | None) -> bool:
        """Return whether a job has this key; a key is free again when all was in vain."""
        return idempotency_key is not None and self.store.jobs.has_key(idempotency_key)

    async def work_queues(
        self, queues: Sequence[str], drain: "Drain", *, say: Callable[[str], None]
    ) -> None:
        """Work on the jobs in these queues, which clients with runner "dbos" put there.

        This client has the runner "inline": what it is asked itself, it does itself.

        Raises:
            InvalidRequestError: a queue of that name never has a job in it.
            MediaAgentError: a backend cannot be used here, or the database is out of reach.
        """
        from media_agent.cluster.start import work_queues

        await work_queues(
            queues, drain, self._context, self._running, self.settings, self._backends.get, say=say
        )

    async def bring_files(self, job: VideoJob) -> VideoJob:
        """Return a job with its files on this machine, brought here if another one made them.

        Raises:
            StorageError: they cannot be brought here.
        """
        return await Sharing(job.id, self._context).bring(job)

    def new_job_id(self) -> str:
        """Return an id that no job has, sorted by time."""
        return self._intake.new_job_id()

    def _build_runner(self) -> JobRunner:
        if self.settings.jobs.runner == "inline":
            return JobRunner(self._context)
        from media_agent.cluster.start import build_runner

        return build_runner(self._context, self.settings)

    def _backend_settings(self, name: str) -> BackendSettings:
        settings = self.settings.backend_settings(name, self._registry.spec(name))
        return replace(settings, free_memory=self._free_memory, hints=self._hints)

    async def _backend_of(self, plan: Plan) -> VideoBackend:
        """Return who follows a plan: the backend, or what puts its parts together."""
        backend = await self._backends.get(plan.backend)
        if not plan.segments:
            return backend
        return SegmentedBackend(
            plan, backend, SegmentRunner(self._running, self.store), self._context.work_folder
        )

    def _find_embedding(self) -> EmbeddingSpec | None:
        return self._registry.find_embedding(self.settings.embedding)

    def _without_keys(self, text: str) -> str:
        return redact(self.settings.without_keys(text), self._backends.keys)

    async def _control(
        self,
        job_id: str,
        command: ChangePrompt | Finish,
        *,
        allow_unknown_words: bool = False,
    ) -> VideoJob:
        """Keep a command for whoever works on a job, and return the job."""
        job = self.store.jobs.get(job_id)
        capabilities = (await self._backend_of(job.plan)).capabilities(job.plan.model)
        check_command(command, job, capabilities, allow_unknown_words=allow_unknown_words)
        self.store.commands.add(job_id, command)
        await self._running.take_commands(job_id)
        return self.store.jobs.get(job_id)
