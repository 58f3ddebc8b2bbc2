"""A Postgres database that processes on many machines use at once.

Whoever writes takes one lock of the database first, so that it is alone as with SQLite: budgets,
gapless numbers and limits are read and written in one step. A writer that the network lost gives
the lock back when the server ends its idle transaction.

A connection that breaks while COMMIT is sent leaves open whether it was kept. So each transaction
writes a word of its own into `commits`, and after such a break we look whether it stands there. If
it does not, the transaction is repeated as one that broke before: see `PostgresTransaction`.
"""

import contextlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from media_agent.distribution import install_hint
from media_agent.errors import ConfigurationError, LedgerBusyError

try:
    import psycopg
except ImportError as error:
    raise ConfigurationError(
        "a ledger on Postgres needs psycopg", hint=install_hint("cluster")
    ) from error

from media_agent.ledger.store.address import Address
from media_agent.ledger.store.database import (
    BUSY_SECONDS,
    Database,
    Transaction,
    UndecidedError,
)
from media_agent.ledger.store.flush import Flushes
from media_agent.ledger.store.postgres_connections import Connections
from media_agent.ledger.store.postgres_errors import is_broken, trouble
from media_agent.ledger.store.postgres_tables import FORGET_COMMITS, LOCK
from media_agent.ledger.store.postgres_transaction import PostgresTransaction, begun

_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITING = f"BEGIN; SELECT pg_advisory_xact_lock({LOCK})"
_SOON = "; SET LOCAL synchronous_commit TO off"
_KEEP = """; INSERT INTO commits (writer, word, at) VALUES ('{writer}', '{word}', now())
ON CONFLICT (writer) DO UPDATE SET word = excluded.word, at = excluded.at"""
_FIND = "SELECT word FROM commits WHERE writer = :writer"
_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtext(:name), 0) AS is_ours"


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
        with self._translate_errors(), self._begun(_READING) as transaction:
            yield transaction
            _end(transaction)

    @contextlib.contextmanager
    def writing(self, *, durably: bool = True) -> Iterator[Transaction]:
        """Give a transaction that is alone in writing."""
        with self._translate_errors(), self._alone():
            word = secrets.token_hex(8)
            keep = _KEEP.format(writer=self._writer, word=word)
            begin = f"{_WRITING}{'' if durably else _SOON}{keep}"
            with self._begun(begin) as transaction:
                if not self._has_written:
                    transaction.change(FORGET_COMMITS)
                yield transaction
                self._commit(transaction, word)
            self._has_written = True
            self._unflushed += not durably

    @contextlib.contextmanager
    def only_one(self, name: str) -> Iterator[bool]:
        """Do what one process at a time does: as long as its connection lasts, it is this one."""
        with contextlib.ExitStack() as stack:
            with self._translate_errors():
                session = stack.enter_context(self._begun("SELECT 1"))
                row = session.row(_TRY_LOCK, name=name)
                is_ours = row is not None and bool(row["is_ours"])
            yield is_ours
            with self._translate_errors():
                session.end("SELECT pg_advisory_unlock_all()")

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

    def _begun(self, begin: str) -> AbstractContextManager[PostgresTransaction]:
        return begun(self._connections, begin)

    def _commit(self, transaction: PostgresTransaction, word: str) -> None:
        """Commit, and where that broke and nothing was kept, do all of it again.

        Raises:
            psycopg.Error: nothing was kept.
            UndecidedError: nobody knows whether it was.
        """
        while True:
            try:
                transaction.end("COMMIT")
            except psycopg.OperationalError as error:
                if not is_broken(error):
                    raise
                if self._was_kept(word):
                    return
                transaction.repeat(error)
            else:
                return

    def _was_kept(self, word: str) -> bool:
        """Return whether what was written under a word was kept.

        Raises:
            UndecidedError: that cannot be found out.
        """
        try:
            with self._begun(_WRITING) as transaction:  # so that it ended, either way
                found = transaction.row(_FIND, writer=self._writer)
                _end(transaction)
        except psycopg.Error as error:
            raise UndecidedError(
                f"{self.name} went away while something was written, and nobody knows whether "
                "it was kept",
                hint="try again when it is back",
            ) from error
        return found is not None and found["word"] == word

    def _flush(self) -> None:
        """Commit once more, this time waiting for the disk: what was committed before is in it."""
        keep = _KEEP.format(writer=f"{self._writer}-flush", word="")
        with self._translate_errors(), self._begun(f"BEGIN{keep}") as transaction:
            while True:
                try:
                    transaction.end("COMMIT")
                except psycopg.OperationalError as error:
                    if not is_broken(error):
                        raise
                    transaction.repeat(error)
                else:
                    return

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        self._leave_to_parent()
        try:
            with self._reading_errors():
                yield
        except psycopg.Error as error:
            raise trouble(error, self._address) from error


def _end(transaction: PostgresTransaction) -> None:
    """Commit what changed nothing: whether its connection broke meanwhile does not matter."""
    try:
        transaction.end("COMMIT")
    except psycopg.Error as error:
        if not is_broken(error):
            raise
