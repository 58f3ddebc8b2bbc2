"""How long a Postgres server is waited for: it is said when that lasts, and given up in the end."""

import logging
import sys
import threading
import time
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen

from media_agent.ledger.store.database import Row

_QUIET = 2.0  # seconds after which somebody is told what is waited for
_LOGGER = logging.getLogger(__name__)
_Returned = TypeVar("_Returned")


class Client(psycopg.Connection[Row]):
    """A connection that breaks where its server is silent: frozen processes keep TCP alive."""

    silence_seconds = 60.0

    def wait(
        self, gen: PQGen[_Returned], interval: float = 0.1, timeout: float | None = None
    ) -> _Returned:
        """Wait as psycopg does, which looks up at each interval, and no longer than may be.

        Raises:
            psycopg.OperationalError: the server was silent for too long.
        """
        bounded = _bounded(gen, self.silence_seconds)
        if timeout is None:  # older versions of psycopg know none
            return super().wait(bounded, interval)
        return super().wait(bounded, interval, timeout)


class Notice:
    """Says that a server is waited for, once until it is back."""

    def __init__(self, name: str) -> None:
        """Begin; the name is what people may read."""
        self._name = name
        self._is_said = False

    def begin(self, seconds: float) -> threading.Timer:
        """Return what says it in a moment, unless it is cancelled."""
        timer = threading.Timer(_QUIET, self._say, (seconds,))
        timer.daemon = True
        if not sys.is_finalizing():  # what is let go of at the very end starts no thread
            timer.start()
        return timer

    def is_back(self) -> None:
        """Say it again should the server go away again."""
        self._is_said = False

    def _say(self, seconds: float) -> None:
        if not self._is_said:
            self._is_said = True
            _LOGGER.warning(
                "%s does not answer: waiting for it for up to %.0f seconds", self._name, seconds
            )


def _bounded(gen: PQGen[_Returned], seconds: float) -> PQGen[_Returned]:
    """Do what a generator of psycopg does, until nothing was ready for so long."""
    until = time.monotonic() + seconds
    try:
        awaited = next(gen)
        while True:
            ready = yield awaited
            if ready:
                until = time.monotonic() + seconds
            elif time.monotonic() > until:
                raise psycopg.OperationalError(f"the server was silent for {seconds:.0f} seconds")
            awaited = gen.send(ready)
    except StopIteration as ended:
        returned: _Returned = ended.value
        return returned
