"""A worker: takes turns of jobs from queues, works on them, waits for services, looks after others.

The way of a job is the one of every other process: `JobRun` over the ledger. What is added here is
who begins it, and what becomes of it when the ledger is away or the worker is to end.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from media_agent.backend.fence import FencedBackend
from media_agent.backend.local import ThreadedBackend
from media_agent.backend.polled import PolledBackend
from media_agent.backend.protocol import VideoBackend
from media_agent.cluster.engine import DbosWorker
from media_agent.cluster.turns import TurnQueue, name_queue
from media_agent.cluster.waiting import Waiting
from media_agent.cluster.watchdog import Watchdog
from media_agent.config.backend_section import BackendSection
from media_agent.config.jobs_section import QueueSection
from media_agent.errors import InvalidRequestError, JobError, MediaAgentError, StorageError
from media_agent.jobs.context import JobContext
from media_agent.jobs.runner import JobRunner
from media_agent.jobs.running.observing import StillWaitingError
from media_agent.jobs.running.unsent import fail_unsent
from media_agent.jobs.turns import BEGINNING
from media_agent.ledger.state import OwnershipLostError
from media_agent_schemas.jobs import JobStatus

LEDGER_SECONDS = 2.0
"""How long a call in the event loop of a worker waits for a ledger that is away; then its job does,
beside the others."""
TEND_SECONDS = 5.0  # between two rounds of the watchdog
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, *(30.0,) * 18)  # seconds between attempts: 10 minutes in all
_PATIENCE = 8  # attempts at a job that another process works on: longer than the dead are trusted
_LAST_SECONDS = 15.0  # after the drain, for jobs to be handed back
_LOGGER = logging.getLogger(__name__)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Drain:
    """How a worker ends: once asked, it gives jobs so many seconds before it hands them back."""

    asked: asyncio.Event
    seconds: float


async def find_limits(
    names: tuple[str, ...],
    backends: Mapping[str, BackendSection],
    open_backend: Callable[[str], Awaitable[VideoBackend]],
) -> dict[str, QueueSection]:
    """Return the limits of each queue that a worker is to serve.

    Raises:
        InvalidRequestError: a queue of that name never has a job in it.
        MediaAgentError: its backend cannot be used here.
    """
    limits = {}
    for name in names:
        backend, _, model = name.partition("/")
        section = backends.get(backend, BackendSection())
        if model and model not in section.queue.models:
            raise InvalidRequestError(
                f"{name} has no queue of its own: its jobs wait in the queue {backend}",
                hint=f'serve {backend}, or set models = ["{model}"] in [backends.{backend}.queue]',
            )
        limits[name] = _fill_in(section.queue, await open_backend(backend))
    return limits


def find_waiting(backend: VideoBackend, limits: QueueSection) -> PolledBackend | None:
    """Return what polls for a backend whose jobs wait in the heap, out of the way of the queue.

    None: each job keeps its place in the queue until it has ended, because their number is limited
    or the backend has a way of its own to wait.
    """
    inner = _inner(backend)
    if limits.concurrent is not None or limits.concurrent_per_worker is not None:
        return None
    is_plain = isinstance(inner, PolledBackend) and type(inner).observe is PolledBackend.observe
    return inner if isinstance(inner, PolledBackend) and is_plain else None


class QueueWorker:
    """Serves queues until it is asked to end."""

    def __init__(
        self,
        context: JobContext,
        runner: JobRunner,
        queue: TurnQueue,
        engine: DbosWorker,
        backends: Mapping[str, BackendSection],
        *,
        say: Say,
    ) -> None:
        self._context = context
        self._store = context.store
        self._runner = runner
        runner.is_retried = True  # its segments too
        self._queue = queue
        self._engine = engine
        self._backends = backends
        self._say = say
        self._waiting = Waiting(self._store, self._finish, now=context.now)
        self._watchdog = Watchdog(self._store, queue, backends)
        self._at_work: set[asyncio.Task[str]] = set()
        self._is_ending = False

    async def run(self, drain: Drain) -> None:
        """Serve until `drain` is asked for, then finish what there is time for.

        Raises:
            StorageError: the database cannot be reached.
        """
        with self._store.owners.showing_life():
            await self._engine.start(self.take_turn)
            self._say("working; SIGTERM ends it")
            async with _beside(self._waiting.run(), self._tend()):
                await drain.asked.wait()
                self._say(f"ending: jobs have {drain.seconds:g} s, then others continue them")
            await self._end(drain.seconds)

    async def take_turn(self, job_id: str, resumes: bool) -> str:
        """Do what is left of a job; returns in a word what came of it."""
        if self._is_ending:  # it was taken at the last moment, and nobody waits for it
            await self._hand_back(job_id, resumes=resumes)
            return "handed back"
        task = asyncio.ensure_future(self._work(job_id, resumes=resumes, waits=True))
        self._at_work.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise  # the engine ends this turn
            await self._hand_back(job_id, resumes=resumes)
            return "handed back"
        finally:
            self._at_work.discard(task)

    async def _finish(self, job_id: str) -> None:
        await self._work(job_id, resumes=False, waits=False)

    async def _work(self, job_id: str, *, resumes: bool, waits: bool) -> str:
        for attempt, pause in enumerate(_PAUSES, start=1):
            try:
                return await self._work_once(job_id, resumes=resumes, waits=waits)
            except StorageError as error:  # the ledger is away
                _LOGGER.info("job %s is tried again: %s", job_id, error.message)
            except JobError as error:
                if attempt == _PATIENCE:
                    return "others work on it"
                _LOGGER.info("job %s is tried again: %s", job_id, error.message)
            await self._context.sleep(pause)
        return "left"

    async def _work_once(self, job_id: str, *, resumes: bool, waits: bool) -> str:
        job = self._store.jobs.get(job_id)
        if job.status is JobStatus.COMPLETED or (job.status.is_terminal and not resumes):
            return "ended"
        is_new = not self._store.submissions.of(job_id)
        queue = self._limits_of(name_queue(job.plan, self._backends))

        def waits_elsewhere(backend: VideoBackend) -> bool:
            return waits and not self._is_ending and find_waiting(backend, queue) is not None

        try:
            with self._runner.at_work(job, None, waits_elsewhere=waits_elsewhere) as run:
                await run.run()
            return "ended"
        except StillWaitingError:
            if self._is_ending:  # nobody here waits any more
                await self._hand_back(job_id)
                return "handed back"
            polled = find_waiting(run.backend, queue)
            assert polled is not None
            assert run.ref is not None
            self._waiting.add(job_id, polled, run.ref, is_new=is_new)
            return "waiting"
        except OwnershipLostError:
            return "taken over"
        except (StorageError, JobError):
            raise
        except MediaAgentError as error:
            _LOGGER.warning("job %s cannot continue: %s", job_id, error.message)
            fail_unsent(job_id, error, self._context)
            return "stopped"

    def _limits_of(self, queue: str) -> QueueSection:
        return self._backends.get(queue.partition("/")[0], BackendSection()).queue

    async def _tend(self) -> None:
        while True:
            try:
                tended = await self._watchdog.tend()
                if tended is not None and tended.is_anything:
                    _LOGGER.info("looked after jobs that nobody works on: %s", tended)
            except MediaAgentError as error:
                _LOGGER.warning("jobs of others cannot be looked after now: %s", error.message)
            except Exception:
                _LOGGER.exception("jobs of others could not be looked after")
            await self._context.sleep(TEND_SECONDS)

    async def _end(self, seconds: float) -> None:
        """Let jobs end, as many as there is time for, and give the others to whoever is next."""
        self._is_ending = True
        stopping = asyncio.create_task(self._engine.stop(seconds + _LAST_SECONDS))
        await self._waiting.let_go()
        if self._at_work:
            await asyncio.wait(set(self._at_work), timeout=seconds)
        for task in set(self._at_work):
            task.cancel()
        await stopping

    async def _hand_back(self, job_id: str, *, resumes: bool = False) -> None:
        """Queue the rest of a job; where that cannot be, a watchdog does it.

        Of one that has ended and `resumes`, nobody else would know that there is a rest.
        """
        with contextlib.suppress(MediaAgentError):
            turns = await self._queue.list_of(job_id)
            job = self._store.jobs.get(job_id)
            await self._queue.add(
                job_id,
                turns[-1].number + 1 if turns else 0,
                name_queue(job.plan, self._backends),
                resumes=resumes and job.status.is_terminal,
            )


def _fill_in(section: QueueSection, backend: VideoBackend) -> QueueSection:
    """Return the limits with what is not said: one job at a time where this machine computes."""
    if section.concurrent_per_worker is not None:
        return section
    inner = _inner(backend)
    most = inner.workers if isinstance(inner, ThreadedBackend) else BEGINNING
    if section.concurrent is not None:
        most = min(most, section.concurrent)
    return section.model_copy(update={"concurrent_per_worker": most})


def _inner(backend: VideoBackend) -> VideoBackend:
    return backend.inner if isinstance(backend, FencedBackend) else backend


@contextlib.asynccontextmanager
async def _beside(*work: "Awaitable[None]") -> AsyncGenerator[None, None]:
    """Do work as long as the context lasts."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
