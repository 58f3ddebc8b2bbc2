"""The connections to one Postgres database: made at first use, kept, and begun on again."""

import os
import threading
import time
from dataclasses import dataclass
from typing import TypeAlias, cast

import psycopg
from psycopg.rows import dict_row
from psycopg.types.numeric import FloatLoader

from media_agent.ledger.store.address import Address
from media_agent.ledger.store.database import Row
from media_agent.ledger.store.patience import Client, Notice
from media_agent.ledger.store.postgres_errors import is_broken, is_lasting
from media_agent.ledger.store.postgres_tables import SCHEMA, prepare_tables

Connection: TypeAlias = psycopg.Connection[Row]

_MOST_IDLE = 4  # connections that are kept open
_PAUSE = 0.25  # seconds between two attempts to connect
_MOST_APART = 5.0  # seconds between two looks for a server that was waited for in vain
_SILENCE = 15  # seconds without a word, of the network or of a transaction, that end a connection
NETWORK = (
    "connect_timeout=5 keepalives_idle=5 keepalives_interval=5 keepalives_count=2 "
    f"tcp_user_timeout={_SILENCE * 1000}"
)
"""Of libpq: nobody waits for a cable that was cut."""
_SESSION = {
    "search_path": SCHEMA,
    "client_encoding": "UTF8",
    "idle_in_transaction_session_timeout": f"{_SILENCE}s",  # else a lock is held for ever
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": f"{_SILENCE}s",
}

_OF_PARENTS: list[Connection] = []  # kept, so that this process never closes them


@dataclass(frozen=True, slots=True)
class _Away:
    """A server that was waited for in vain: what was said, and until when nobody asks again."""

    said: str
    until: float


class Connections:
    """Hands out connections on which something was begun; of one process."""

    def __init__(self, address: Address, busy_seconds: float) -> None:
        self._address = address
        self.busy_seconds = busy_seconds
        self._changing = threading.Lock()
        self._idle: list[Connection] = []
        self._is_ready = False  # the tables are known to be there
        self._away: _Away | None = None
        self._looking = threading.Lock()
        self._notice = Notice(address.name)
        self._process = os.getpid()

    @property
    def is_of_parent(self) -> bool:
        """Whether they were made before a fork."""
        return self._process != os.getpid()

    def leave(self) -> None:
        """Leave them to the parent for ever: closing them would harm it."""
        _OF_PARENTS.extend(self._idle)

    def begin(self, statement: str, deadline: float | None = None) -> Connection:
        """Return a connection that has run a statement; it is waited for as long as may be.

        That is until the deadline, of a monotonic clock, else for the usual time. A server that was
        waited for in vain is only looked for, by one caller at a time and half of the time: the
        calls of an event loop would hold it up one after the other.

        Raises:
            psycopg.Error: nobody is let in, or the server stayed away.
        """
        away = self._away
        if away is None:
            usual = time.monotonic() + self.busy_seconds
            return self._begin(statement, usual if deadline is None else deadline)
        if time.monotonic() < away.until or not self._looking.acquire(blocking=False):
            raise psycopg.OperationalError(away.said)
        try:
            return self._begin(statement, 0.0)
        finally:
            self._looking.release()

    def _begin(self, statement: str, deadline: float) -> Connection:
        notice: threading.Timer | None = None
        while True:
            connection, began = None, time.monotonic()
            if notice is None and not self._idle and began < deadline:
                notice = self._notice.begin(deadline - began)
            try:
                connection = self._take()
                if notice is not None:
                    notice.cancel()
                connection.execute(statement.encode())
            except psycopg.Error as error:
                is_away = not is_lasting(error) if connection is None else is_broken(error)
                if connection is not None:
                    connection.close()
                now = time.monotonic()
                if notice is not None and (not is_away or now >= deadline):
                    notice.cancel()  # nobody waits any more
                if not is_away:
                    self._away = None
                    raise
                if now >= deadline:
                    self._away = _Away(str(error), until=now + min(now - began, _MOST_APART))
                    raise
            else:
                self._away = None
                self._notice.is_back()
                return connection
            if self._idle:
                self.close()  # where one is broken, all may be
            else:
                time.sleep(_PAUSE)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection on which nothing is begun any more, for whoever is next."""
        with self._changing:
            if len(self._idle) < _MOST_IDLE and not connection.closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close those that nobody uses."""
        with self._changing:
            while self._idle:
                self._idle.pop().close()

    def _take(self) -> Connection:
        with self._changing:
            if self._idle:
                return self._idle.pop()
        try:
            connection = Client.connect(
                f"{NETWORK} {self._address.conninfo}",  # which may say otherwise
                autocommit=True,  # transactions are begun by us
                row_factory=dict_row,
            )
        except OSError as error:  # this process may open no more files: others are closed soon
            raise psycopg.OperationalError(str(error)) from error
        connection.silence_seconds = self.busy_seconds + _SILENCE
        try:
            connection.adapters.register_loader("numeric", FloatLoader)
            _set_up(connection, max(1, int(self.busy_seconds * 1000)))
            if not self._is_ready:
                prepare_tables(connection, self._address.name)
        except BaseException:
            connection.close()
            raise
        self._is_ready = True
        return cast(Connection, connection)


def _set_up(connection: Connection, wait_ms: int) -> None:
    session = {**_SESSION, "lock_timeout": f"{wait_ms}ms"}
    query = "SELECT " + ", ".join("set_config(%s, %s, false)" for _ in session)
    connection.execute(query.encode(), [part for each in session.items() for part in each])
