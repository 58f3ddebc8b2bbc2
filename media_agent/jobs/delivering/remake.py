"""Makes a part of a video again with another seed, from the state before what was found in it.

Each attempt is a job of its own, a branch of the video at the chunk in which the first finding
begins: a chunk follows from those before it, so all after it are made again too.
"""

import asyncio
from collections.abc import Awaitable, Callable

from media_agent.errors import MediaAgentError, in_full
from media_agent.jobs import stopping
from media_agent.jobs.context import JobContext
from media_agent.jobs.continuing.branch import origin_of
from media_agent.jobs.continuing.branch_state import can_branch, chunks_of
from media_agent.jobs.segment_jobs import SegmentRunner
from media_agent.provenance.quality.rules import QualityRules
from media_agent_schemas.capabilities import Capabilities
from media_agent_schemas.events import PromptChanged
from media_agent_schemas.jobs import JobStatus, VideoJob
from media_agent_schemas.media import Artifact
from media_agent_schemas.plan import Plan
from media_agent_schemas.quality import Finding, QualityReport, Remake
from media_agent_schemas.request import LARGEST_SEED, VideoMode

MOST_ATTEMPTS = 3
Measure = Callable[[VideoJob, Artifact], Awaitable[QualityReport | None]]


class Remaker:
    """Makes parts of the video of one job again."""

    def __init__(
        self,
        job: VideoJob,
        context: JobContext,
        capabilities: Capabilities,
        parts: SegmentRunner,
        *,
        is_unwanted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Begin; attempts are `parts` of the job, and end when it `is_unwanted`."""
        self._job = job
        self._context = context
        self._store = context.store
        self._capabilities = capabilities
        self._parts = parts
        self._is_unwanted = is_unwanted
        self.remakes: list[Remake] = []
        self.warnings: list[str] = []

    async def improve(
        self, video: Artifact, report: QualityReport, measure: Measure, rules: QualityRules
    ) -> tuple[Artifact, QualityReport]:
        """Return the video with the fewest findings to be made again, and its report.

        Of those with as many it is the one whose first finding comes last.
        """

        def bad(found: QualityReport) -> list[Finding]:
            return [each for each in found.findings if rules.action_of(each) == "remake"]

        best, chosen = (video, report), -1
        try:
            base = self._store.jobs.get(self._job.id)  # as it ended, with all its chunks
            at = self._find_chunk(base, bad(report)[0])
            self._check_can(at)
            for attempt in range(MOST_ATTEMPTS):
                because = bad(report)[0]
                job, plan = await self._make(attempt, base, at)
                made = job.artifacts[0] if job.artifacts else None
                found = None if made is None else await measure(job, made)
                if job.status is not JobStatus.COMPLETED or made is None or found is None:
                    raise _CannotError(f"attempt {attempt + 1}, job {job.id}, is {job.status}")
                left = bad(found)
                self._note(job, at, plan, because, left)
                if _rank(left) < _rank(bad(best[1])):
                    best, chosen = (made, found), attempt
                if not left:
                    break
                next_at = self._find_chunk(job, left[0])
                if next_at > at:
                    base, at, report = job, next_at, found
        except (_CannotError, MediaAgentError) as error:
            why = in_full(error) if isinstance(error, MediaAgentError) else str(error)
            self.warnings.append(f"no better part was made: {why}")
        self._deliver(chosen)
        return best

    def _check_can(self, at: int) -> None:
        """Refuse what cannot be made again from a chunk on.

        Raises:
            _CannotError: and why.
        """
        plan, request = self._job.plan, self._job.plan.request
        events = self._store.events.read(self._job.id)
        price = plan.estimate.cost_usd or plan.estimate.usd_per_second
        is_paid = not self._capabilities.resubmits or bool(price)
        reasons = {
            "each attempt would be paid for": is_paid,
            "the model cannot continue from a saved state": not can_branch(self._capabilities),
            "several videos were made at once": request.n > 1,
            "the video has no fixed length": request.endless,
            "the video was joined with its source": request.join_source,
            "the video was made in segments": bool(plan.segments),
            "the video was steered": any(isinstance(e.event, PromptChanged) for e in events),
            "the video restyles another one": request.infer_mode() is VideoMode.VIDEO_EDIT,
            "that part is of another video": plan.origin is not None and at < plan.origin.chunk,
        }
        for reason, is_so in reasons.items():
            if is_so:
                raise _CannotError(reason)

    def _find_chunk(self, job: VideoJob, finding: Finding) -> int:
        """Return the chunk in which a finding begins.

        Raises:
            _CannotError: the video is not made of chunks.
        """
        start = 0 if job.plan.origin is None else job.plan.origin.frames
        frame = round(finding.start * (job.plan.request.fps or 0))
        chunks = chunks_of(self._store, job)
        if frame < start and job.plan.origin is not None:
            return 0
        for chunk in chunks:
            start += chunk.frames
            if frame < start:
                return chunk.index
        raise _CannotError("it is not known in which chunk that is")

    async def _make(self, attempt: int, base: VideoJob, at: int) -> tuple[VideoJob, Plan]:
        """Make the video of `base` again from a chunk on; return the job, and its plan."""
        request = self._job.plan.request
        seed = ((request.seed or 0) + attempt + 1) % (LARGEST_SEED + 1)
        changes: dict[str, object] = {"seed": seed}
        update: dict[str, object] = {"policies": (), "warnings": (), "origin": None}
        if at > 0:
            origin, _ = origin_of(
                self._store, base, self._capabilities, at, work=self._context.work_folder
            )
            update["origin"] = origin
            changes |= {"mode": None, "inputs": ()}
        plan = self._job.plan.model_copy(
            update={**update, "request": request.model_copy(update=changes)}
        )
        last = self._store.submissions.last(self._job.id)
        key = self._job.id if last is None else last.key
        name = f"{key}.remake-{attempt + 1}"
        return await self._run(name, plan, key), plan

    async def _run(self, name: str, plan: Plan, key: str) -> VideoJob:
        running = asyncio.create_task(self._parts.run(name, plan, lambda _: None, part_of=key))
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=stopping.LOOK_SECONDS)
                if not running.done() and self._is_unwanted():
                    await self._parts.stop(name, part_of=key)
            return running.result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _note(
        self, job: VideoJob, at: int, plan: Plan, because: Finding, left: list[Finding]
    ) -> None:
        self.remakes.append(
            Remake(
                job_id=job.id,
                chunk=at,
                seed=plan.request.seed or 0,
                because=because,
                remaining=tuple(left),
                delivered=False,
            )
        )

    def _deliver(self, chosen: int) -> None:
        """Keep which attempt is delivered: what continues the video continues that one."""
        if chosen < 0:
            return
        made = self.remakes[chosen].model_copy(update={"delivered": True})
        self.remakes[chosen] = made
        last = self._store.submissions.last(self._job.id)
        number = 0 if last is None else last.number
        plan = self._job.plan.model_copy(update={"remade_as": made.job_id})
        self._store.jobs.replace_plan(self._job.id, number, plan)
        self.warnings.append(
            f"from chunk {made.chunk} on it was made again with seed {made.seed}, as job "
            f"{made.job_id}: {made.because.message}"
        )


class _CannotError(Exception):
    """A part cannot be made again."""


def _rank(left: list[Finding]) -> tuple[int, float]:
    return len(left), -left[0].start if left else 0.0
