"""Work at services that is waited for: a heap of times, however many jobs there are.

A job that waits here is a few objects: no task, no run, no turn of the engine. It is owned in the
ledger by this process; should that die, another one finds the reference there and waits instead.
When a service says that work is over, or cannot be asked, the job is worked on as any other.
"""

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime

from media_agent.backend.polled import PolledBackend, has_begun
from media_agent.errors import BackendUnavailableError, JobError, MediaAgentError, StorageError
from media_agent.ledger.ledger import Ledger
from media_agent.ledger.state import OwnershipLostError
from media_agent.telemetry.jobs import tell_start
from media_agent_schemas.events import BackendEvent, JobStarted, TerminalEvent
from media_agent_schemas.jobs import OperationRef

POLLS_AT_ONCE = 32
FINISHING_AT_ONCE = 16  # downloads and what follows them
_LOOK_SECONDS = 1.0  # between two looks at which jobs are to stop
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between attempts to reach a service again
_LOGGER = logging.getLogger(__name__)

Finish = Callable[[str], Awaitable[object]]
"""Works on a job to its end."""


@dataclass(eq=False, slots=True)
class _Waiter:
    """A job that waits."""

    job_id: str
    backend: PolledBackend
    ref: OperationRef
    claim: AbstractContextManager[bool]
    pause: float
    seen: int = 0
    """Of the last event, so that what has not changed is not kept again."""
    failures: int = 0
    is_started: bool = False
    is_cancelled: bool = False
    turn: int = field(default=0)
    """The number of its place in the heap that counts; earlier ones do not."""


class Waiting:
    """The jobs that wait in this process; `run` is a task beside them."""

    def __init__(
        self,
        store: Ledger,
        finish: Finish,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._finish = finish
        self._now = now
        self._waiters: dict[str, _Waiter] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._numbers = itertools.count(1)
        self._news = asyncio.Event()
        self._polls = asyncio.Semaphore(POLLS_AT_ONCE)
        self._finishing = asyncio.Semaphore(FINISHING_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, job_id: str, backend: PolledBackend, ref: OperationRef, *, is_new: bool) -> None:
        """Wait for the work of a job; of one that is not new, at once, for it may be over.

        Raises:
            JobError: another process took it meanwhile.
        """
        claim = self._store.owners.claim(job_id)
        claim.__enter__()
        waiter = _Waiter(job_id, backend, ref, claim, backend.first_pause)
        self._waiters[job_id] = waiter
        self._place(waiter, backend.take_pause(ref, waiter.pause) if is_new else 0.0)

    async def run(self) -> None:
        """Poll what is due, and stop what is to stop, until this is cancelled."""
        looking = asyncio.create_task(self._look_for_cancels())
        try:
            while True:
                await self._poll_due()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def let_go(self) -> None:
        """Give all jobs free for whoever takes them next; the work continues at the services."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for job_id in list(self._waiters):
            self._release(self._waiters[job_id])

    async def _poll_due(self) -> None:
        self._news.clear()
        if not self._heap:
            await self._news.wait()
            return
        due, number, job_id = self._heap[0]
        soon = due - asyncio.get_running_loop().time()
        if soon > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(soon):
                    await self._news.wait()
            return
        heapq.heappop(self._heap)
        waiter = self._waiters.get(job_id)
        if waiter is None or waiter.turn != number:
            return
        await self._polls.acquire()
        self._begin(self._poll(waiter))

    async def _poll(self, waiter: _Waiter) -> None:
        try:
            is_over = await self._look(waiter)
        finally:
            self._polls.release()
        if not is_over or self._waiters.get(waiter.job_id) is not waiter:
            return
        self._release(waiter)
        async with self._finishing:
            await self._finish(waiter.job_id)

    async def _look(self, waiter: _Waiter) -> bool:
        """Ask once how the work stands; return whether somebody is to work on the job now."""
        try:
            event = await waiter.backend.look(waiter.ref)
            waiter.failures = 0
            if isinstance(event, TerminalEvent):
                return True
            self._keep(waiter, event)
        except BackendUnavailableError:
            if waiter.failures == len(_PAUSES):
                return True
            pause = _PAUSES[waiter.failures]
            self._place(waiter, waiter.backend.take_pause(waiter.ref, pause))
            waiter.failures += 1
            return False
        except StorageError as error:
            _LOGGER.debug("job %s: %s", waiter.job_id, error.message)
            waiter.seen = 0  # told again at the next look
        except OwnershipLostError:
            self._forget(waiter)
            return False
        except Exception:
            _LOGGER.debug("job %s cannot be asked about", waiter.job_id, exc_info=True)
            return True
        self._place(waiter, waiter.backend.take_pause(waiter.ref, waiter.pause))
        waiter.pause = waiter.backend.next_pause(waiter.pause)
        return False

    def _keep(self, waiter: _Waiter, event: BackendEvent | None) -> None:
        """Keep what is news.

        Raises:
            OwnershipLostError: another process waits for it.
            StorageError: it cannot be kept now.
        """
        if event is None or hash(event.model_dump_json()) == waiter.seen:
            return
        if has_begun(event) and not waiter.is_started:
            self._begin_job(waiter.job_id)
            waiter.is_started = True
        self._store.events.append(waiter.job_id, event, self._now())
        waiter.seen = hash(event.model_dump_json())

    def _begin_job(self, job_id: str) -> None:
        """Keep that a job began, and tell of it."""
        job = self._store.jobs.get(job_id)
        started = self._store.events.append(job_id, JobStarted(), self._now())
        if started is not None:
            tell_start(job, started)

    async def _look_for_cancels(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                asked = self._store.owners.list_cancelled() if self._waiters else ()
            except MediaAgentError as error:
                _LOGGER.debug("nobody knows which jobs are to stop: %s", error.message)
                continue
            for job_id in asked:
                waiter = self._waiters.get(job_id)
                if waiter is not None and not waiter.is_cancelled:
                    waiter.is_cancelled = True
                    self._begin(self._cancel(waiter))

    async def _cancel(self, waiter: _Waiter) -> None:
        """Ask the service to stop, and look at once what came of it; else it is asked again."""
        try:
            await waiter.backend.cancel(waiter.ref)
        except Exception as error:  # noqa: BLE001  # a plugin's own; the request outlives it
            said = f"{waiter.backend.name} could not be stopped: {error}"
            with contextlib.suppress(MediaAgentError, OwnershipLostError):
                self._store.jobs.warn(waiter.job_id, said)
            waiter.is_cancelled = False
            return
        if self._waiters.get(waiter.job_id) is waiter:
            self._place(waiter, 0.0)

    def _place(self, waiter: _Waiter, seconds: float) -> None:
        """Let a job be polled in so many seconds, and not at another time."""
        waiter.turn = next(self._numbers)
        due = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._heap, (due, waiter.turn, waiter.job_id))
        self._news.set()

    def _forget(self, waiter: _Waiter) -> None:
        """Wait for a job no more that another process took."""
        if self._waiters.get(waiter.job_id) is waiter:
            self._release(waiter)

    def _release(self, waiter: _Waiter) -> None:
        del self._waiters[waiter.job_id]
        with contextlib.suppress(JobError):
            waiter.claim.__exit__(None, None, None)

    def _begin(self, work: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
