"""A video in segments, as a backend: each is a job of its own, and their videos are joined.

A segment has its own intent, key and record, so that resuming after a crash pays for nothing twice:
segments that are there are taken, the one under way is found again, only the rest is made.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import repeat
from pathlib import Path

from media_agent.backend.protocol import VideoBackend
from media_agent.errors import (
    BackendResponseError,
    MediaAgentError,
    OperationNotFoundError,
    UnsupportedRequestError,
    to_info,
)
from media_agent.jobs.segment_jobs import SegmentJobs, SegmentRunner
from media_agent.jobs.settle import NO_MORE_SEGMENTS
from media_agent_schemas.capabilities import CancelRule, Capabilities, Control
from media_agent_schemas.estimate import Estimate
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
    Cancellation,
    ChangePrompt,
    Finish,
    JobStatus,
    OperationRef,
    ResumeToken,
    VideoJob,
)
from media_agent_schemas.media import Artifact
from media_agent_schemas.plan import Plan, Segment
from media_agent_schemas.request import VideoRequest


@dataclass(eq=False, slots=True)
class _RunState:
    """Which segment is under way, and what was asked meanwhile."""

    segment: str | None = None
    is_finishing: bool = False
    is_cancelled: bool = False


class SegmentedBackend:
    """Meets the `VideoBackend` protocol for one plan in segments, on top of those who make them."""

    def __init__(
        self, plan: Plan, inner: VideoBackend, runner: SegmentRunner, work_folder: Path
    ) -> None:
        self._plan = plan
        self._inner = inner
        self._runner = runner
        self._work_folder = work_folder
        self._states: dict[str, _RunState] = {}

    @property
    def name(self) -> str:
        """Return the name of the backend that makes the segments."""
        return self._inner.name

    def capabilities(self, model: str | None = None) -> Capabilities:
        """Say what the first model can do; a chain can finish between segments, and begin again."""
        capabilities = self._inner.capabilities(model)
        changes = {"controls": (Control.FINISH,), "resubmits": True, "resumable": False}
        return capabilities.model_copy(
            update={**changes, "cancel_rule": CancelRule.STOPS, "streams": True}
        )

    def estimate(self, request: VideoRequest) -> Estimate:
        """Return what the plan says."""
        return self._plan.estimate

    async def submit(
        self, request: VideoRequest, *, key: str, resume: ResumeToken | None = None
    ) -> OperationRef:
        """Say yes; nothing is paid here, only by the segments, and they begin when observed."""
        self._states[key] = _RunState()
        data = {"segments": self._plan.submissions}
        model = self._plan.model
        return OperationRef(backend=self.name, model=model, operation_id=key, data=data)

    async def find(
        self, request: VideoRequest, *, key: str, since: datetime
    ) -> OperationRef | None:
        """Return None: a chain is simply begun again, its segments look for themselves."""
        return None

    async def observe(self, ref: OperationRef) -> AsyncGenerator[BackendEvent, None]:
        """Make the segments and yield what happens; observed again, it continues where it was."""
        state = self._find(ref)
        made = SegmentJobs(self._work_folder / ref.operation_id)
        yield JobStarted(message=f"{self._plan.submissions} segments")
        try:
            async with aclosing(self._make(ref.operation_id, state, made)) as events:
                async for event in events:
                    yield event
        except MediaAgentError as error:
            if self._runner.leaves_off(error):
                raise
            yield JobFailed(
                error=to_info(error), **dict(await self._delivery(made, ref.operation_id))
            )

    async def control(
        self, ref: OperationRef, command: ChangePrompt | Finish, *, number: int
    ) -> None:
        """Finish after the segment under way; those begun before a resume are under way too.

        Raises:
            UnsupportedRequestError: any other command.
        """
        if not isinstance(command, Finish):
            raise UnsupportedRequestError(f"a video in segments does not support {command.type}")
        self._find(ref).is_finishing = True

    async def cancel(self, ref: OperationRef) -> None:
        """Stop the segment under way, also one of an earlier process, and make no further one."""
        state, key = self._find(ref), ref.operation_id
        state.is_cancelled = True
        segment = state.segment or self._last_begun(key)
        if segment is not None:
            with contextlib.suppress(MediaAgentError):
                await self._runner.stop(segment, part_of=key)

    async def aclose(self) -> None:
        """Do nothing: those who make the segments are closed by their owner."""

    def _find(self, ref: OperationRef) -> _RunState:
        if ref.operation_id not in self._states:
            raise OperationNotFoundError(f"no video in segments {ref.operation_id!r} is known here")
        return self._states[ref.operation_id]

    async def _make(
        self, key: str, state: _RunState, made: SegmentJobs
    ) -> AsyncGenerator[BackendEvent, None]:
        for index, segment in enumerate(self._segments()):
            if state.is_cancelled:
                cancelled = JobCancelled(**dict(await self._delivery(made, key)))
                yield cancelled.model_copy(update={"cancellation": NO_MORE_SEGMENTS})
                return
            job_id = _segment_id(key, index)
            if state.is_finishing and index and not self._runner.is_begun(job_id, part_of=key):
                break
            plan = await self._plan_of(segment, index, made)
            news: asyncio.Queue[JobProgressed | None] = asyncio.Queue()
            state.segment = job_id
            making = asyncio.create_task(self._make_segment(job_id, plan, index, news, part_of=key))
            async with _stopped_at_exit(making):
                while (progress := await news.get()) is not None:
                    yield progress
                job = await making
            state.segment = None
            if job.status is not JobStatus.COMPLETED:
                yield await self._end_unfinished(job, index, made, key)
                return
            yield ChunkReady(index=index, frames=made.add(job, segment))
        yield JobProgressed(phase="join", fraction=1.0)
        yield JobCompleted(**dict(await self._delivery(made, key, complete=True)))

    async def _make_segment(
        self,
        job_id: str,
        plan: Plan,
        index: int,
        news: "asyncio.Queue[JobProgressed | None]",
        *,
        part_of: str,
    ) -> VideoJob:
        """Make a segment; its progress, counted in the whole, goes into the queue, then None."""
        total = None if self._plan.repeats else self._plan.submissions
        of_all = "" if total is None else f" of {total}"

        def report(phase: str, fraction: float | None) -> None:
            whole = None if total is None else min(1.0, (index + (fraction or 0.0)) / total)
            said = f"segment {index + 1}{of_all}: {phase}"
            news.put_nowait(JobProgressed(phase=said, fraction=whole))

        def on_event(numbered: JobEvent) -> None:
            if isinstance(numbered.event, JobProgressed):
                report(numbered.event.phase, numbered.event.fraction)

        try:
            report("begin", None)
            return await self._runner.run(job_id, plan, on_event, part_of=part_of)
        finally:
            news.put_nowait(None)

    def _last_begun(self, key: str) -> str | None:
        """Return the segment that was begun last, in whichever process; None: none was."""
        last = None
        for index, _ in enumerate(self._segments()):
            job_id = _segment_id(key, index)
            if not self._runner.is_begun(job_id, part_of=key):
                break
            last = job_id
        return last

    def _segments(self) -> Iterator[Segment]:
        for segment in self._plan.segments:
            yield from repeat(segment, segment.count)
        if self._plan.repeats:
            yield from repeat(self._plan.segments[-1])

    async def _plan_of(self, segment: Segment, index: int, made: SegmentJobs) -> Plan:
        """Return the plan of one segment, with what it takes from the segment before."""
        request = segment.request
        inputs = request.inputs
        if segment.continues_from != "nothing":
            inputs = (*inputs, await asyncio.to_thread(made.next_input, segment))
        labels = {"segment": str(index + 1), **request.labels}
        return Plan(
            backend=self._plan.backend,
            model=request.split_model()[1] or self._plan.model,
            policy=self._plan.policy,
            request=request.model_copy(update={"inputs": inputs, "labels": labels}),
            estimate=segment.estimate,
        )

    async def _end_unfinished(
        self, job: VideoJob, index: int, made: SegmentJobs, key: str
    ) -> TerminalEvent:
        """Return the end of a chain whose segment did not complete; what was made is kept."""
        facts = dict(await self._delivery(made, key))
        if job.status is JobStatus.CANCELLED:
            stopped = job.cancellation or Cancellation(stopped=True)
            return JobCancelled(cancellation=stopped, **facts)
        error = job.error or to_info(BackendResponseError("it ended without a result"))
        said = f"segment {index + 1} (job {job.id}): {error.message}"
        error = error.model_copy(update={"message": said})
        if job.status is JobStatus.OUTCOME_UNKNOWN:
            return JobOutcomeUnknown(error=error, **facts)
        return JobFailed(error=error, **facts)

    async def _delivery(self, made: SegmentJobs, key: str, *, complete: bool = False) -> Delivery:
        """Join what was made, and say what is known of it."""
        capabilities = self.capabilities(self._plan.model)
        artifacts: tuple[Artifact, ...] = ()
        if made.videos:
            join = partial(made.join, complete, self._plan.request, key)
            artifacts = (await asyncio.to_thread(join),)
        return Delivery(
            artifacts=artifacts,
            frames=made.frames if artifacts else None,
            chunks=made.count,
            seed=self._plan.request.seed,
            model=self._plan.model,
            weights_sha256=capabilities.weights_sha256,
            verification=capabilities.verification,
            warnings=tuple(dict.fromkeys(made.warnings)),
        )


def _segment_id(key: str, index: int) -> str:
    return f"{key}.segment-{index + 1:04d}"


@contextlib.asynccontextmanager
async def _stopped_at_exit(task: "asyncio.Task[VideoJob]") -> AsyncGenerator[None, None]:
    """Leave no task behind, however its observer went."""
    try:
        yield
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
