"""A Postgres database that processes on many machines use at once.

Whoever writes takes one lock of the database first, so that it is alone as with SQLite: budgets,
gapless numbers and limits are read and written in one step. A writer that the network lost gives
the lock back when the server ends its idle transaction.

A connection that breaks while COMMIT is sent leaves open whether it was kept. So each transaction
writes a word of its own into `commits`, and after such a break we look whether it stands there.
"""

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self, cast

from pydantic import SecretStr

from media_agent.distribution import install_hint
from media_agent.errors import ConfigurationError, StorageError
from media_agent.ledger.store.address import Address
from media_agent.ledger.store.database import (
    BUSY_SECONDS,
    Column,
    Database,
    DuplicateError,
    Row,
    Transaction,
)
from media_agent.ledger.store.flush import Flushes
from media_agent.ledger.store.local_zone import local_zone
from media_agent.ledger.store.postgres_errors import WritingLostError, is_lasting, trouble
from media_agent.ledger.store.postgres_tables import LOCK, SCHEMA, prepare_tables
from media_agent.ledger.store.statements import as_named

try:
    import psycopg
    from psycopg.rows import dict_row
    from psycopg.types.numeric import FloatLoader
except ImportError as error:
    raise ConfigurationError(
        "a ledger on Postgres needs psycopg", hint=install_hint("cluster")
    ) from error

_MOST_IDLE = 4  # connections that are kept open
_PAUSE = 0.25  # seconds between two attempts to connect
_SILENCE = 15  # seconds without a word, of the network or of a transaction, that end a connection
_NETWORK = (  # of libpq: nobody waits for a cable that was cut
    "connect_timeout=5 keepalives_idle=5 keepalives_interval=5 keepalives_count=2 "
    f"tcp_user_timeout={_SILENCE * 1000}"
)
_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITING = f"BEGIN; SELECT pg_advisory_xact_lock({LOCK})"
_SOON = "; SET LOCAL synchronous_commit TO off"
_KEEP = """; INSERT INTO commits (writer, word, at) VALUES ('{writer}', '{word}', now())
ON CONFLICT (writer) DO UPDATE SET word = excluded.word, at = excluded.at"""

_Connection = psycopg.Connection[Row]
_OF_PARENTS: list[_Connection] = []  # kept, so that this process never closes them


class PostgresTransaction(Transaction):
    """A transaction of one connection."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def rows(self, query: str, **values: Column) -> list[Row]:
        """Return the rows that a query finds."""
        return self._connection.execute(as_named(query), _kept(values)).fetchall()

    def change(self, statement: str, **values: Column) -> None:
        """Change rows; raises as said there."""
        try:
            self._connection.execute(as_named(statement), _kept(values))
        except psycopg.IntegrityError as error:
            raise DuplicateError(error.diag.message_primary or "a duplicate") from error

    def now(self) -> float:
        """Return the time of the server."""
        (row,) = self.rows("SELECT extract(epoch FROM clock_timestamp()) AS now")
        return float(row["now"])

    def local_day(self, column: str) -> str:
        """Return an expression for the day of a time, in the zone of this machine."""
        return f"to_char({column}::timestamptz, 'YYYY-MM-DD')"


def _kept(values: Mapping[str, Column]) -> dict[str, Column]:
    """Return values as texts can hold them: Postgres has no NUL, so that it becomes a mark."""
    return {
        name: value.replace("\0", "\ufffd") if isinstance(value, str) else value
        for name, value in values.items()
    }


class PostgresDatabase(Database):
    """Connects at first use."""

    def __init__(self, url: SecretStr, folder: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        """Begin; files beside the rows lie in the folder.

        Raises:
            ConfigurationError: the address is none.
        """
        self._url = url
        self._address = Address.parse(url)
        self.folder, self.name = folder, self._address.name
        self._busy_seconds = busy_seconds
        self._changing = threading.Lock()
        self._has_unflushed = False
        self._flushes = Flushes(self._flush)
        self._begin_anew()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Give a view in which nothing changes."""
        with self._translate_errors(), self._connected(_READING) as connection:
            yield PostgresTransaction(connection)
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def writing(self, *, durably: bool = True) -> Iterator[Transaction]:
        """Give a transaction that is alone in writing."""
        word = secrets.token_hex(8)
        begin = _WRITING + ("" if durably else _SOON) + _KEEP.format(writer=self._writer, word=word)
        with self._translate_errors(), self._alone():
            try:
                with self._connected(begin) as connection:
                    yield PostgresTransaction(connection)
                    self._commit(connection)
            except WritingLostError:
                self._look_up(word)
            self._has_unflushed = self._has_unflushed or not durably

    @contextlib.contextmanager
    def only_one(self, name: str) -> Iterator[bool]:
        """Do what one process at a time does: as long as its connection lasts, it is this one."""
        ask = "SELECT pg_try_advisory_lock(hashtext(:name), 0) AS is_ours"
        give_back = "SELECT pg_advisory_unlock_all()"
        with contextlib.ExitStack() as stack:
            with self._translate_errors():
                connection = stack.enter_context(self._connected("SELECT 1"))
                row = PostgresTransaction(connection).row(ask, name=name)
                is_ours = row is not None and bool(row["is_ours"])
            yield is_ours
            with self._translate_errors():
                connection.execute(give_back)

    async def flushed(self) -> None:
        """Return when all that was written before this call is on disk."""
        self._leave_to_parent()
        if self._has_unflushed:
            self._has_unflushed = False
            try:
                await self._flushes.wait()
            except BaseException:
                self._has_unflushed = True
                raise

    def close(self) -> None:
        """Close all connections; the next use opens others."""
        self._leave_to_parent()
        with self._changing:
            while self._idle:
                self._idle.pop().close()
            self._is_ready = False
            self._flushes.close()

    def is_there(self) -> bool:
        """Return whether it is a database: whoever names a server has one."""
        return True

    def again(self) -> Self:
        """Return another one over the same database."""
        return type(self)(self._url, self.folder, busy_seconds=self._busy_seconds)

    def _begin_anew(self) -> None:
        self._process = os.getpid()
        self._writer = secrets.token_hex(8)
        self._idle: list[_Connection] = []
        self._is_ready = False  # the tables are known to be there
        self._writing = threading.Lock()  # who waits for others of this process needs no connection
        self._has_unflushed = False
        self._flushes = Flushes(self._flush)

    def _leave_to_parent(self) -> None:
        """Put aside, after a fork, the connections of the parent: closing them would harm it."""
        if self._process != os.getpid():
            _OF_PARENTS.extend(self._idle)
            self._changing = threading.Lock()
            self._begin_anew()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for the other threads of this process that write."""
        self._leave_to_parent()
        lock = self._writing
        if not lock.acquire(timeout=self._busy_seconds):
            raise psycopg.errors.LockNotAvailable
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _connected(self, begin: str) -> Iterator[_Connection]:
        connection = self._begin(begin)
        try:
            yield connection
        except BaseException:
            connection.close()  # which undoes what was begun
            raise
        with self._changing:
            if len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _begin(self, begin: str) -> _Connection:
        """Return a connection on which a transaction was begun, however long a server is away."""
        self._leave_to_parent()
        deadline = time.monotonic() + self._busy_seconds
        while True:
            connection = None
            try:
                connection = self._take()
                connection.execute(begin)
            except psycopg.Error as error:
                if connection is not None:
                    connection.close()
                if is_lasting(error) or time.monotonic() >= deadline:
                    raise
            else:
                return connection
            with self._changing:  # where one is broken, all may be
                had_idle = bool(self._idle)
                while self._idle:
                    self._idle.pop().close()
            if not had_idle:
                time.sleep(_PAUSE)

    def _take(self) -> _Connection:
        with self._changing:
            if self._idle:
                return self._idle.pop()
        connection = self._connect()
        if not self._is_ready:
            try:
                prepare_tables(connection, self.name)
            except BaseException:
                connection.close()
                raise
            self._is_ready = True
        return connection

    def _connect(self) -> _Connection:
        wait = max(1, int(self._busy_seconds * 1000))
        session = {
            "search_path": SCHEMA,
            "TimeZone": local_zone(),
            "client_encoding": "UTF8",
            "lock_timeout": f"{wait}ms",
            "idle_in_transaction_session_timeout": f"{_SILENCE}s",
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "2",
            "tcp_user_timeout": f"{_SILENCE}s",
        }
        connection = psycopg.connect(
            f"{_NETWORK} {self._address.conninfo}",  # which may say otherwise
            autocommit=True,  # transactions are begun by us
            row_factory=dict_row,
        )
        try:
            connection.adapters.register_loader("numeric", FloatLoader)
            query = "SELECT " + ", ".join("set_config(%s, %s, false)" for _ in session)
            connection.execute(query.encode(), [part for each in session.items() for part in each])
        except BaseException:
            connection.close()
            raise
        return cast(_Connection, connection)

    def _commit(self, connection: _Connection) -> None:
        try:
            connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            raise WritingLostError from error

    def _look_up(self, word: str) -> None:
        """Return if what was written under a word was kept.

        Raises:
            psycopg.OperationalError: it was not.
            StorageError: that cannot be found out.
        """
        query = "SELECT word FROM commits WHERE writer = :writer"
        try:
            with self._connected(_WRITING) as connection:  # so that it has ended, either way
                found = PostgresTransaction(connection).row(query, writer=self._writer)
                connection.execute("COMMIT")
        except psycopg.Error as error:
            raise StorageError(
                f"{self.name} went away while something was written, and nobody knows whether "
                "it was kept",
                hint="try again when it is back",
            ) from error
        if found is None or found["word"] != word:
            raise psycopg.OperationalError("the connection was lost before the commit")

    def _flush(self) -> None:
        """Commit once more, this time waiting for the disk: what was committed before is in it."""
        keep = _KEEP.format(writer=f"{self._writer}-flush", word="")
        with self._translate_errors(), self._connected(f"BEGIN{keep}") as connection:
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            with self._reading_errors():
                yield
        except psycopg.Error as error:
            raise trouble(error, self._address) from error
