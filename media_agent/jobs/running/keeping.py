"""New jobs on their way to the disk, where repeated calls may meet them."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from media_agent.ingest.digests import digests_of
from media_agent.jobs.context import JobContext
from media_agent.jobs.continuing.branch_state import link_parent
from media_agent.jobs.delivering.places import reserve_destination
from media_agent.jobs.recovery.receipts import write_patiently
from media_agent.ledger.state import JobOptions, OwnershipLostError
from media_agent.ledger.store.database import UndecidedError
from media_agent.provenance.c2pa.ready import look_before_work
from media_agent_schemas.jobs import VideoJob
from media_agent_schemas.request import VideoRequest

_LOGGER = logging.getLogger(__name__)


class NewJobs:
    """Keeps new jobs."""

    def __init__(self, context: JobContext, start: Callable[[VideoJob], None]) -> None:
        """Begin; `start` works on a job whose caller gave up, but which another one was told of."""
        self._context = context
        self._store = context.store
        self._start = start
        self._keeping: dict[str, bool] = {}  # on their way to the disk; found again meanwhile?

    async def keep(
        self, job_id: str, request: VideoRequest, terms: JobOptions
    ) -> tuple[VideoJob, bool]:
        """Store a job whose video has a place; return it, or that of its key, and if it is new.

        It is on disk then; jobs that are stored at the same time share the wait for that.
        """
        plan, now = terms.plans[0], self._context.now()
        await self._context.open_backend(plan)  # one that cannot be opened leaves no job
        said = await look_before_work(self._context.signing)
        if terms.part_of is not None:
            said = []  # it was said of the whole video
        inputs = [medium for each in terms.plans for medium in each.request.inputs]
        if inputs:
            terms = replace(terms, inputs=await asyncio.to_thread(digests_of, inputs))
        job = VideoJob(
            id=job_id,
            chunks_ready=0 if plan.origin is None else plan.origin.kept_chunks,
            frames_ready=0 if plan.origin is None else plan.origin.kept_frames,
            created_at=now,
            updated_at=now,
            request=request,
            plan=plan,
            warnings=tuple(dict.fromkeys((*plan.warnings, *said))),
            label=terms.label,
            caller=terms.caller,
            quote_usd=plan.estimate.cost_usd,
        )
        try:
            kept = self._store.jobs.create(job, terms, durably=False)
        except UndecidedError:
            await self._forget(job)
            raise
        if kept is not job:
            await self.wait_until_kept(kept)
            return kept, False
        self._keeping[job_id] = False
        try:
            with reserve_destination(job_id, terms, self._context):
                link_parent(job, self._store, self._context.work_folder)
            await self._store.flushed(job_id=job_id)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and self._keeping[job_id]:
                self._start(job)  # a repeated call was told of it
            else:  # whoever gives up now is told of no job
                await self._forget(job)
            raise
        finally:
            del self._keeping[job_id]
        return job, True

    def is_keeping(self, job_id: str) -> bool:
        """Return whether a job is still on its way to the disk."""
        return job_id in self._keeping

    async def wait_until_kept(self, job: VideoJob) -> None:
        """Wait until a job that a repeated call has found is on disk: it may be of this moment."""
        if job.id in self._keeping:
            self._keeping[job.id] = True
        await self._store.flushed()

    async def _forget(self, job: VideoJob) -> None:
        """Forget a job of which nobody was told: who asks again would pay for it as well."""
        try:
            with contextlib.suppress(OwnershipLostError):
                await write_patiently(partial(self._store.jobs.discard, job), self._context)
        except Exception as error:  # noqa: BLE001  # what led here is what is to be known
            _LOGGER.warning("job %s, of which nobody was told, may stand: %s", job.id, error)
