"""One look, for all jobs at work here, at what other processes ask of them.

Each job looking for itself would read the ledger several times a second, hundreds of jobs hundreds
of times.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Protocol

from media_agent.jobs import stopping
from media_agent.ledger.ledger import Ledger

_LOGGER = logging.getLogger(__name__)


class Watched(Protocol):
    """A job at work that others may ask something of."""

    @property
    def last_command(self) -> int:
        """The number of the last command that was handed over."""
        ...

    @property
    def is_stopping(self) -> bool:
        """Whether its backend has yet to hear that it is to stop."""
        ...

    async def look(self) -> None:
        """Do what was asked; raises nothing."""
        ...


class Lookout:
    """Looks while there is a job to look for, and lets those look that something is asked of."""

    def __init__(self, store: Ledger) -> None:
        self._store = store
        self._watched: dict[str, Watched] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def watching(self, job_id: str, job: Watched) -> AsyncGenerator[None, None]:
        """Look for a job while the context lasts; each job is looked for once."""
        self._watched[job_id] = job
        if self._task is None:
            self._task = asyncio.create_task(self._look_on())
        try:
            yield
        finally:
            del self._watched[job_id]
            ending = [self._looking.pop(job_id, None)]
            if not self._watched:
                ending.append(self._task)
                self._task = None
            tasks = [task for task in ending if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(stopping.LOOK_SECONDS)
            for job_id in self._find_asked():
                last = self._looking.get(job_id)
                if last is None or last.done():  # a backend may take long to hear of it
                    self._looking[job_id] = asyncio.create_task(self._watched[job_id].look())

    def _find_asked(self) -> set[str]:
        """Return the jobs of which something is asked; where that cannot be read, it may be all."""
        stopping_here = {name for name, job in self._watched.items() if job.is_stopping}
        seen = {name: job.last_command for name, job in self._watched.items()}
        try:
            return stopping_here | self._store.owners.find_asked(seen)
        except Exception:  # whatever broke, the next look may find a request to stop
            _LOGGER.debug("nobody knows what is asked of jobs", exc_info=True)
            return set(seen)
