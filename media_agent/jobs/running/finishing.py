"""The end of a run: its video delivered, its record written, its cost settled, and that kept."""

import contextlib

from media_agent.errors import StorageError, in_full
from media_agent.jobs.delivering.deliver import Deliverer
from media_agent.jobs.delivering.places import clean_up
from media_agent.jobs.delivering.remake import Remaker
from media_agent.jobs.housekeeping.expire import expire_states
from media_agent.jobs.running.current_work import CurrentWork
from media_agent.jobs.running.endings import with_way_out
from media_agent.jobs.running.steering import Steering
from media_agent.jobs.running.telling import Teller
from media_agent.jobs.segment_jobs import SegmentRunner
from media_agent.jobs.settle import Work, settled
from media_agent.jobs.sharing import Sharing
from media_agent.storage.destination import Destination
from media_agent_schemas.events import JobFailed, TerminalEvent
from media_agent_schemas.jobs import JobStatus


class Finisher:
    """Ends one run."""

    def __init__(
        self,
        work: CurrentWork,
        teller: Teller,
        steering: Steering,
        sharing: Sharing,
        parts: SegmentRunner | None,
    ) -> None:
        self._work = work
        self._teller = teller
        self._steering = steering
        self._sharing = sharing
        self._parts = parts
        self._context = work.context
        self._store = work.context.store

    async def conclude(
        self, end: TerminalEvent, destination: Destination, resumed_from: int | None
    ) -> TerminalEvent:
        """Finish and keep how it ended; where that cannot be, what there was to say is not lost."""
        try:
            end = await self._finish(end, destination, resumed_from)
            await self._sharing.publish(end)
            self._teller.keep(end)
        except StorageError as error:
            said = getattr(end, "error", None)
            if said is None:
                raise
            raise StorageError(f"{error.message}; {in_full(said)}", hint=error.hint) from error
        return end

    async def clean_up(self) -> None:
        """Remove what a completed job needs no more, and the states of older jobs."""
        clean_up(self._work.job, self._work.capabilities(), self._context)
        await self._sharing.clean_up()
        self._expire_states()

    async def _finish(
        self, end: TerminalEvent, destination: Destination, resumed_from: int | None
    ) -> TerminalEvent:
        """Deliver the video, write the record, settle the cost.

        Raises:
            OwnershipLostError: another process took the job over, and does this.
        """
        self._store.owners.check(self._work.job.id)
        delivering = Deliverer(
            self._work.job,
            self._work.backend.name,
            destination,
            self._context,
            is_unwanted=self._steering.is_asked_to_stop,
            ask_again=self._ask_again,
            remaker=self._build_remaker(),
        )
        last = self._store.submissions.last(self._work.job.id)
        end = settled(end, self._describe_work())
        if end.cost is not None and last is not None:
            self._store.submissions.bill(last, end.cost)
        end = await delivering.deliver(end, self._work.capabilities(), resumed_from)
        if not isinstance(end, JobFailed):
            return end
        job = self._work.job
        way_out = f"media-agent jobs resume {job.id}"
        if job.plan.segments:
            way_out += " keeps the finished segments"
        elif end.error.code == StorageError.code and self._store.events.resume_token(job.id):
            way_out += " continues after the last chunk that was kept"
        else:
            return end
        return end.model_copy(update={"error": with_way_out(end.error, way_out)})

    def _describe_work(self) -> Work:
        job = self._store.jobs.get(self._work.job.id)
        has_begun = job.status is JobStatus.IN_PROGRESS
        was_sent = self._work.may_be_accepted()
        return Work(job.plan, self._work.capabilities(), has_begun, was_sent)

    def _build_remaker(self) -> Remaker | None:
        if self._parts is None:
            return None
        capabilities, is_unwanted = self._work.capabilities(), self._steering.is_asked_to_stop
        return Remaker(
            self._work.job, self._context, capabilities, self._parts, is_unwanted=is_unwanted
        )

    async def _ask_again(self) -> TerminalEvent | None:
        """Return the end of accepted work as its backend says it now; None: it says none."""
        work = self._work
        if work.ref is None or work.job.plan.segments or work.capabilities().resubmits:
            return None
        async with contextlib.aclosing(work.backend.observe(work.ref)) as events:
            async for event in events:
                if isinstance(event, TerminalEvent):
                    return event
        return None

    def _expire_states(self) -> None:
        """Remove the states of older jobs, now that this one has taken its time anyway."""
        if self._context.keep_states is not None:
            before = self._context.now() - self._context.keep_states
            expire_states(self._store, self._context.work_folder, before)
