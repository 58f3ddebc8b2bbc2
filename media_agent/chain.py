"""A film in parts, as a backend: every part is a job of its own, and their films are joined.

A part has its own intent, key and record, so that going on after a crash pays for nothing twice:
parts that are there are taken, the one under way is found again, only the rest is made.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from pathlib import Path
from typing import Protocol

from media_agent.backend import VideoBackend
from media_agent.errors import (
    BackendResponseError,
    MediaAgentError,
    OperationNotFoundError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.event_log import EventLog
from media_agent.made_parts import MadeParts
from media_agent_schemas.capabilities import Capabilities, Control, Estimate, Method, Plan, PlanPart
from media_agent_schemas.events import (
    BackendEvent,
    ChunkReady,
    Delivery,
    JobCancelled,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobOutcomeUnknown,
    JobProgressed,
    JobStarted,
    TerminalEvent,
)
from media_agent_schemas.jobs import (
    ChangePrompt,
    Finish,
    JobStatus,
    OperationRef,
    ResumeToken,
    VideoJob,
)
from media_agent_schemas.media import Artifact
from media_agent_schemas.request import VideoRequest

OnEvent = Callable[[JobEvent], None]


class PartMaker(Protocol):
    """Makes the parts: what a client can do with jobs."""

    async def make_part(self, job_id: str, plan: Plan, on_event: OnEvent) -> VideoJob:
        """Make this part, or go on with it, or return it if it is made, as it ended."""
        ...

    async def stop_part(self, job_id: str) -> None:
        """Ask a part that is being made to stop."""
        ...


@dataclass(eq=False)
class _Work:
    """One chain under way in this process."""

    key: str
    log: EventLog = field(default_factory=EventLog)
    task: asyncio.Task[None] | None = None
    part: str | None = None
    is_finishing: bool = False
    is_cancelled: bool = False


class ChainBackend:
    """Meets the `VideoBackend` protocol for one plan in parts, on top of those who make them."""

    def __init__(
        self, plan: Plan, inner: VideoBackend, maker: PartMaker, work_folder: Path
    ) -> None:
        self._plan = plan
        self._inner = inner
        self._maker = maker
        self._work_folder = work_folder
        self._works: dict[str, _Work] = {}

    @property
    def name(self) -> str:
        """Return the name of the backend that makes the parts."""
        return self._inner.name

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the first model can do; a chain can finish between parts, and begin again."""
        limits = self._inner.capabilities(model)
        changes = {"controls": (Control.FINISH,), "resubmits": True, "resumable": False}
        return limits.model_copy(update={**changes, "cancels": True, "streams": True})

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return what the plan says."""
        return self._plan.estimate

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Begin, or begin again; nothing is paid here, only by the parts."""
        work = self._works.get(key)
        if work is None or work.log.terminal is not None:
            work = self._works[key] = _Work(key)
            work.task = asyncio.create_task(self._run(work))
        data = {"parts": len(self._plan.parts)}
        model = self._plan.model
        return OperationRef(backend=self.name, model=model, operation_id=key, data=data)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Return None: a chain is simply begun again, its parts look for themselves."""
        return None

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Yield what happens, part by part."""
        async with aclosing(self._find(ref).log.follow()) as events:
            async for event in events:
                yield event

    async def control(self, ref: OperationRef, command: ChangePrompt | Finish) -> None:
        """Finish after the part under way.

        Raises:
            UnsupportedRequestError: any other command.
        """
        if not isinstance(command, Finish):
            raise UnsupportedRequestError(f"a film in parts takes no {command.type}")
        self._find(ref).is_finishing = True

    async def cancel(self, ref: OperationRef) -> None:
        """Stop the part under way, and make no further one."""
        work = self._find(ref)
        work.is_cancelled = True
        if work.part is not None:
            with contextlib.suppress(MediaAgentError):
                await self._maker.stop_part(work.part)

    async def aclose(self) -> None:
        """Stop working; the parts are closed by those who make them."""
        tasks = [work.task for work in self._works.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _find(self, ref: OperationRef) -> _Work:
        if ref.operation_id not in self._works:
            raise OperationNotFoundError(f"no film in parts {ref.operation_id!r} is made here")
        return self._works[ref.operation_id]

    async def _run(self, work: _Work) -> None:
        """Make the parts and publish one end, whatever happens."""
        done = MadeParts(self._work_folder / work.key)
        work.log.publish(JobStarted(message=f"{len(self._plan.parts)} parts"))
        try:
            end = await self._make(work, done)
        except MediaAgentError as error:
            end = JobFailed(
                error=to_info(error), **dict(await self._delivery(done, complete=False))
            )
        except Exception as error:  # noqa: BLE001  # kept as data
            said = BackendResponseError(f"the parts broke: {type(error).__name__}: {error}")
            end = JobFailed(error=to_info(said))
        work.log.publish(end)

    async def _make(self, work: _Work, done: MadeParts) -> TerminalEvent:
        total = None if self._plan.repeats else len(self._plan.parts)
        for index, part in enumerate(self._parts()):
            if work.is_cancelled:
                return JobCancelled(**dict(await self._delivery(done, complete=False)))
            if work.is_finishing and index > 0:
                break
            job = await self._make_part(work, done, index, part, total)
            if job.status is not JobStatus.COMPLETED:
                return await self._ended(work, done, job, index, total)
            new_frames = done.add(job, part)
            work.log.publish(ChunkReady(index=index, frames=new_frames))
        work.log.publish(JobProgressed(phase="join", fraction=1.0))
        return JobCompleted(**dict(await self._delivery(done, complete=True)))

    def _parts(self) -> Iterator[PlanPart]:
        yield from self._plan.parts
        if self._plan.repeats:
            yield from repeat(self._plan.parts[-1])

    async def _make_part(
        self, work: _Work, done: MadeParts, index: int, part: PlanPart, total: int | None
    ) -> VideoJob:
        of_all = "" if total is None else f" of {total}"

        def report(phase: str, fraction: float | None) -> None:
            whole = None if total is None else min(1.0, (index + (fraction or 0.0)) / total)
            said = f"part {index + 1}{of_all}: {phase}"
            work.log.publish(JobProgressed(phase=said, fraction=whole))

        def on_event(numbered: JobEvent) -> None:
            if isinstance(numbered.event, JobProgressed):
                report(numbered.event.phase, numbered.event.fraction)

        request = part.request
        if part.takes != "nothing":
            taken = await asyncio.to_thread(done.handed_on, part)
            request = request.model_copy(update={"inputs": (*request.inputs, taken)})
        labels = {**request.labels, "part_of": work.key, "part": str(index + 1)}
        plan = self._plan.model_copy(
            update={
                "model": request.backend_and_model()[1] or self._plan.model,
                "request": request.model_copy(update={"labels": labels}),
                "estimate": part.estimate,
                "adjustments": (),
                "warnings": (),
                "method": Method.SINGLE,
                "parts": (),
                "repeats": False,
            }
        )
        work.part = f"{work.key}.part-{index + 1:04d}"
        report("begin", None)
        try:
            return await self._maker.make_part(work.part, plan, on_event)
        finally:
            work.part = None

    async def _ended(
        self, work: _Work, done: MadeParts, job: VideoJob, index: int, total: int | None
    ) -> TerminalEvent:
        """Return the end of a chain whose part did not complete; what was made is kept."""
        facts = dict(await self._delivery(done, complete=False))
        if job.status is JobStatus.CANCELLED:
            return JobCancelled(**facts)
        of_all = "" if total is None else f" of {total}"
        error = job.error or to_info(BackendResponseError("it ended without saying how"))
        said = f"part {index + 1}{of_all}: {error.message}"
        error = error.model_copy(update={"message": said})
        if job.status is JobStatus.OUTCOME_UNKNOWN:
            return JobOutcomeUnknown(error=error, **facts)
        return JobFailed(error=error, **facts)

    async def _delivery(self, done: MadeParts, *, complete: bool) -> Delivery:
        """Join what was made, and say what is known of it."""
        limits = self.capabilities(self._plan.model)
        artifacts: tuple[Artifact, ...] = ()
        if done.films:
            artifacts = (await asyncio.to_thread(done.join, complete),)
        return Delivery(
            artifacts=artifacts,
            frames=None if not artifacts else done.frames,
            chunks=done.count,
            seed=self._plan.request.seed,
            model=self._plan.model,
            weights_sha256=limits.weights_sha256,
            verification=limits.verification,
            warnings=tuple(dict.fromkeys(done.warnings)),
            cost=done.cost if done.count else None,
        )
