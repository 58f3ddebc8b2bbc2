"""The events of jobs, told to all who listen.

One look at the ledger, four times a second, serves every listener of every job, whichever process
works on it. A listener is only a number, the last event it was told: what it missed while it was
slow, or away, it reads from the ledger. So nothing is lost, and a slow one costs no memory.
"""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from media_agent.errors import JobNotFoundError, MediaAgentError
from media_agent.ledger.ledger import Ledger
from media_agent.server.access.caller import Caller
from media_agent.server.host import ClientHost
from media_agent.server.jobs.public import view_event
from media_agent_schemas.events import JobEvent, TerminalEvent

_LOOK_SECONDS = 0.25
_KEPT = 256  # newest events of a job that are told from memory
_READ = 256  # events that a listener reads at once from the ledger
_LOGGER = logging.getLogger(__name__)


class Told:
    """An event as it is sent, made once for all listeners who see the same of it."""

    def __init__(self, event: JobEvent) -> None:
        self.event = event
        self._sent: dict[bool, bytes] = {}

    def for_caller(self, caller: Caller) -> bytes:
        """Return the event as a server-sent event."""
        if caller.is_remote not in self._sent:
            data = json.dumps(view_event(self.event, caller), separators=(",", ":"))
            head = f"id: {self.event.sequence}\nevent: {self.event.event.type}\n"
            self._sent[caller.is_remote] = f"{head}data: {data}\n\n".encode()
        return self._sent[caller.is_remote]


@dataclass(eq=False)
class _Watched:
    """A job that somebody listens to."""

    seen: int = -1
    """The number of its newest event."""
    is_over: bool = False
    newest: deque[Told] = field(default_factory=lambda: deque(maxlen=_KEPT))
    news: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: int = 0

    def after(self, number: int) -> Sequence[Told] | None:
        """Return the events above a number; None: they are not all in memory."""
        if number >= self.seen:
            return ()
        first = self.newest[0].event.sequence if self.newest else self.seen + 1
        return None if number + 1 < first else tuple(islice(self.newest, number + 1 - first, None))

    def tell(self, events: Sequence[JobEvent], is_over: bool) -> None:
        """Learn of newer events, and let all listeners look if that is news."""
        is_news = bool(events) or is_over != self.is_over
        self.is_over = is_over
        for each in events:
            self.newest.append(Told(each))
            self.seen = each.sequence
        if is_news:
            self.wake()

    def wake(self) -> None:
        """Let all listeners look."""
        self.news.set()
        self.news = asyncio.Event()


class EventHub:
    """Tells listeners what happens to jobs."""

    def __init__(self, host: ClientHost, *, look_seconds: float = _LOOK_SECONDS) -> None:
        self._host = host
        self._look_seconds = look_seconds
        self._watched: dict[str, _Watched] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return sum(each.listeners for each in self._watched.values())

    async def listen(
        self, job_id: str, after: int, *, pause: float
    ) -> AsyncGenerator[Sequence[Told], None]:
        """Yield the events numbered above `after`, as they come, up to the end of the job.

        After `pause` seconds without any, an empty sequence is yielded.

        Raises:
            JobNotFoundError: there is no such job.
        """
        with self._watching(job_id, await self._find(job_id)) as job:
            while not self._is_closed:
                news = job.news
                events = job.after(after)
                if events is None:
                    events = await self._host.read(partial(_read_told, job_id, after))
                if events:
                    yield events
                    after = events[-1].event.sequence
                elif job.is_over:
                    return
                else:
                    try:
                        await asyncio.wait_for(news.wait(), pause)
                    except TimeoutError:
                        yield ()

    def close(self) -> None:
        """Let every listener end."""
        self._is_closed = True
        for job in self._watched.values():
            job.wake()
        if self._looking is not None:
            self._looking.cancel()

    async def _find(self, job_id: str) -> _Watched:
        """Return a job as it is known; what happened last is read once for all who come."""
        if job_id in self._watched:
            return self._watched[job_id]
        job = _Watched()
        job.tell(*await self._host.read(partial(_begin, job_id)))
        return job

    @contextlib.contextmanager
    def _watching(self, job_id: str, found: _Watched) -> Iterator[_Watched]:
        job = self._watched.setdefault(job_id, found)
        job.listeners += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield job
        finally:
            job.listeners -= 1
            if not job.listeners:
                del self._watched[job_id]

    async def _look(self) -> None:
        """Look for news as long as anybody listens."""
        while self._watched:
            await asyncio.sleep(self._look_seconds)
            watched = dict(self._watched)  # a job that is listened to anew meanwhile has more
            seen = {job_id: job.seen for job_id, job in watched.items()}
            try:
                found = await self._host.read(partial(_find_news, seen))
            except Exception:  # whatever broke, those who listen hear of the next look
                _LOGGER.warning("no events can be told now", exc_info=True)
                continue
            for job_id, news in found.items():
                watched[job_id].tell(*news)
        self._looking = None


def _find_news(
    seen: Mapping[str, int], ledger: Ledger
) -> dict[str, tuple[Sequence[JobEvent], bool]]:
    """Return the newest events of each job, and whether it is over."""
    found = dict[str, tuple[Sequence[JobEvent], bool]]()
    for job_id, number in seen.items():
        try:
            found[job_id] = _news_of(job_id, number, ledger)
        except JobNotFoundError:  # it was removed
            found[job_id] = (), True
        except MediaAgentError as error:  # one that cannot be read keeps nothing from the others
            _LOGGER.warning("the events of job %s cannot be told now: %s", job_id, error.message)
    return found


def _begin(job_id: str, ledger: Ledger) -> tuple[Sequence[JobEvent], bool]:
    return _news_of(job_id, -1, ledger)


def _news_of(job_id: str, seen: int, ledger: Ledger) -> tuple[Sequence[JobEvent], bool]:
    newest, status = ledger.events.newest(job_id)
    if newest == seen:
        return (), status.is_terminal
    events = tuple(ledger.events.read(job_id, max(seen, newest - _KEPT)))
    return events, bool(events) and isinstance(events[-1].event, TerminalEvent)


def _read_told(job_id: str, after: int, ledger: Ledger) -> tuple[Told, ...]:
    return tuple(Told(each) for each in islice(ledger.events.read(job_id, after), _READ))
