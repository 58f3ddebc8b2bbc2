"""A Postgres database that processes on many machines use at once.

Whoever writes takes one lock of the database first, so that it is alone as with SQLite: budgets,
gapless numbers and limits are read and written in one step. A writer that the network lost gives
the lock back when the server ends its idle transaction.

A connection that breaks while COMMIT is sent leaves open whether it was kept. So each transaction
writes a word of its own into `commits`, and after such a break we look whether it stands there.
"""

import contextlib
import secrets
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from media_agent.distribution import install_hint
from media_agent.errors import ConfigurationError, LedgerBusyError, StorageError

try:
    import psycopg
except ImportError as error:
    raise ConfigurationError(
        "a ledger on Postgres needs psycopg", hint=install_hint("cluster")
    ) from error

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
from media_agent.ledger.store.postgres_connections import Connection, Connections
from media_agent.ledger.store.postgres_errors import WritingLostError, is_undecided, trouble
from media_agent.ledger.store.postgres_tables import FORGET_COMMITS, LOCK
from media_agent.ledger.store.statements import as_named

_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITING = f"BEGIN; SELECT pg_advisory_xact_lock({LOCK})"
_SOON = "; SET LOCAL synchronous_commit TO off"
_KEEP = """; INSERT INTO commits (writer, word, at) VALUES ('{writer}', '{word}', now())
ON CONFLICT (writer) DO UPDATE SET word = excluded.word, at = excluded.at"""
_FIND = "SELECT word FROM commits WHERE writer = :writer"
_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtext(:name), 0) AS is_ours"


class PostgresTransaction(Transaction):
    """A transaction of one connection."""

    def __init__(self, connection: Connection) -> None:
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


def _kept(values: Mapping[str, Column]) -> dict[str, Column]:
    """Return values as texts can hold them: Postgres has no NUL, so that it becomes a mark."""
    return {
        name: value.replace("\0", "\ufffd") if isinstance(value, str) else value
        for name, value in values.items()
    }


class PostgresDatabase(Database):
    """Connects at first use."""

    _has_written: bool
    _unflushed: int  # transactions that nobody waited for
    _flushed: int  # how many of them are on disk
    _flushes: Flushes

    def __init__(self, url: SecretStr, folder: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        """Begin; files beside the rows lie in the folder.

        Raises:
            ConfigurationError: the address is none.
        """
        self._url = url
        self._address = Address.parse(url)
        self.folder, self.name = folder, self._address.name
        self._busy_seconds = busy_seconds
        self._begin_anew()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Give a view in which nothing changes."""
        with self._translate_errors(), self._connections.begun(_READING) as connection:
            yield PostgresTransaction(connection)
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def writing(self, *, durably: bool = True) -> Iterator[Transaction]:
        """Give a transaction that is alone in writing."""
        with self._translate_errors(), self._alone():
            word = secrets.token_hex(8)
            keep = _KEEP.format(writer=self._writer, word=word)
            begin = f"{_WRITING}{'' if durably else _SOON}{keep}"
            try:
                with self._connections.begun(begin) as connection:
                    if not self._has_written:
                        connection.execute(FORGET_COMMITS)
                    yield PostgresTransaction(connection)
                    _commit(connection)
            except WritingLostError:
                self._look_up(word)
            self._has_written = True
            self._unflushed += not durably

    @contextlib.contextmanager
    def only_one(self, name: str) -> Iterator[bool]:
        """Do what one process at a time does: as long as its connection lasts, it is this one."""
        with contextlib.ExitStack() as stack:
            with self._translate_errors():
                connection = stack.enter_context(self._connections.begun("SELECT 1"))
                row = PostgresTransaction(connection).row(_TRY_LOCK, name=name)
                is_ours = row is not None and bool(row["is_ours"])
            yield is_ours
            with self._translate_errors():
                connection.execute("SELECT pg_advisory_unlock_all()")

    async def flushed(self) -> None:
        """Return when all that was written before this call is on disk."""
        self._leave_to_parent()
        until = self._unflushed
        if until > self._flushed:
            await self._flushes.wait()
            self._flushed = max(self._flushed, until)

    def close(self) -> None:
        """Close all connections; the next use opens others."""
        self._leave_to_parent()
        self._connections.close()
        self._flushes.close()

    def is_there(self) -> bool:
        """Return whether it is a database: whoever names a server has one."""
        return True

    def again(self) -> Self:
        """Return another one over the same database."""
        return type(self)(self._url, self.folder, busy_seconds=self._busy_seconds)

    def _begin_anew(self) -> None:
        self._connections = Connections(self._address, self._busy_seconds)
        self._writer = secrets.token_hex(8)
        self._writing = threading.Lock()  # who waits for others of this process needs no connection
        self._has_written = False
        self._unflushed = self._flushed = 0
        self._flushes = Flushes(self._flush)

    def _leave_to_parent(self) -> None:
        """Begin anew after a fork."""
        if self._connections.is_of_parent:
            self._connections.leave()
            self._begin_anew()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for the other threads of this process that write."""
        lock = self._writing
        if not lock.acquire(timeout=self._busy_seconds):
            raise LedgerBusyError(
                f"another thread of this process has been writing to {self.name} for too long: "
                "the server may be away",
                hint="try again when it is back; nothing was written",
            )
        try:
            yield
        finally:
            lock.release()

    def _look_up(self, word: str) -> None:
        """Return if what was written under a word was kept.

        Raises:
            psycopg.OperationalError: it was not.
            StorageError: that cannot be found out.
        """
        try:
            with self._connections.begun(_WRITING) as connection:  # so that it ended, either way
                found = PostgresTransaction(connection).row(_FIND, writer=self._writer)
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
        with self._translate_errors(), self._connections.begun(f"BEGIN{keep}") as connection:
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        self._leave_to_parent()
        try:
            with self._reading_errors():
                yield
        except psycopg.Error as error:
            raise trouble(error, self._address) from error


def _commit(connection: Connection) -> None:
    try:
        connection.execute("COMMIT")
    except psycopg.OperationalError as error:
        if is_undecided(error):
            raise WritingLostError from error
        raise
