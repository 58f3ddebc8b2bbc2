"""One SQLite file that several processes of a machine use at once."""

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from media_agent.errors import LedgerBusyError, StorageError
from media_agent.ledger.store.database import (
    BUSY_SECONDS,
    Column,
    Database,
    DuplicateError,
    Row,
    Transaction,
)
from media_agent.ledger.store.flush import Flushes, flush_log
from media_agent.ledger.store.sqlite_tables import prepare_tables, use_wal
from media_agent.storage.files import storage_errors
from media_agent.storage.locks import lock

_LEAST_FREE = 2**16  # bytes, as much as SQLite needs at once beside its main file

_OF_PARENTS: list[sqlite3.Connection] = []  # kept, so that this process never closes them

_TROUBLES = {  # by the beginning of SQLite's own name for it
    "SQLITE_BUSY": (
        "is locked: another process has been writing to it for too long",
        "stop the process that holds it (fuser shows which), then try again",
    ),
    "SQLITE_LOCKED": ("is locked", "try again"),
    "SQLITE_NOTADB": (
        "is no database, or is damaged",
        "move it away and run again: videos and records stay where they are",
    ),
    "SQLITE_CORRUPT": (
        "is damaged",
        "move it away and run again (videos and records stay where they are), or "
        "rescue what it holds: sqlite3 FILE .recover",
    ),
    "SQLITE_READONLY": ("is read-only", "change its permissions or choose another data folder"),
    "SQLITE_CANTOPEN": ("cannot be opened", "check the permissions of its folder"),
    "SQLITE_FULL": ("cannot be written: the disk is full", "free some space and run it again"),
    "SQLITE_IOERR": ("cannot be read or written", "check the disk it lies on"),
}


_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


class SqliteTransaction(Transaction):
    """A transaction of one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, query: str, **values: Column) -> list[Row]:
        """Return the rows that a query finds."""
        return [*self._connection.execute(query, values)]

    def row(self, query: str, **values: Column) -> Row | None:
        """Return the first row that a query finds."""
        row: Row | None = self._connection.execute(query, values).fetchone()
        return row

    def change(self, statement: str, **values: Column) -> None:
        """Change rows; raises as said there."""
        try:
            self._connection.execute(statement, values)
        except sqlite3.IntegrityError as error:
            raise DuplicateError(str(error)) from error

    def now(self) -> float:
        """Return the time of this machine, which alone uses the file."""
        return time.time()


class SqliteDatabase(Database):
    """Opens the file at first use."""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path, self.folder, self.name = path, path.parent, str(path)
        self._busy_seconds = busy_seconds
        self._idle: list[sqlite3.Connection] = []
        self._process: int | None = None  # that has opened the file
        self._opening = threading.Lock()
        self._flushes = self._new_flushes()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Give a view of the file in which nothing changes."""
        with self._transaction("BEGIN") as transaction:
            yield transaction

    @contextlib.contextmanager
    def writing(self, *, durably: bool = True) -> Iterator[Transaction]:
        """Give a transaction that is alone in writing."""
        with self._transaction("BEGIN IMMEDIATE") as transaction:
            yield transaction
        if durably:
            flush_log(self.path)

    @contextlib.contextmanager
    def only_one(self, name: str) -> Iterator[bool]:
        """Do what one process at a time does."""
        with contextlib.ExitStack() as held:
            with storage_errors(f"the data folder {self.folder}"):
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    held.enter_context(lock(self.folder / f"{name}.lock", waits=False))
                    is_ours = True
                except BlockingIOError:
                    is_ours = False
            yield is_ours

    async def flushed(self) -> None:
        """Return when all that was written before this call is on disk."""
        await self._flushes.wait()

    def close(self) -> None:
        """Close all connections; the next use opens the file again."""
        with self._opening:
            self._leave_to_parent()
            self._process = None
            while self._idle:
                self._idle.pop().close()
            self._flushes.close()

    def is_there(self) -> bool:
        """Return whether the file exists."""
        return self.path.exists()

    def again(self) -> Self:
        """Return another one over the same file."""
        return type(self)(self.path, busy_seconds=self._busy_seconds)

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        with self._translate_errors():
            connection = self._connection()
            try:
                connection.execute(begin)
                yield SqliteTransaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.close()  # which undoes what was begun
                raise
            self._idle.append(connection)

    def _connection(self) -> sqlite3.Connection:
        with self._opening:
            self._leave_to_parent()
            if self._process is None:
                self._idle.append(self._open())
                self._process = os.getpid()
            return self._idle.pop() if self._idle else self._connect()

    def _leave_to_parent(self) -> None:
        """Put aside, after a fork, the connections of the parent: closing them would harm it."""
        if self._process not in (None, os.getpid()):
            _OF_PARENTS.extend(self._idle)
            self._idle, self._process = [], None
            self._flushes = self._new_flushes()  # the thread of the other one is the parent's

    def _new_flushes(self) -> Flushes:
        return Flushes(lambda: flush_log(self.path))

    def _connect(self) -> sqlite3.Connection:
        """Open the file; transactions are begun by us, and threads pass the connection on."""
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")  # what must be on disk is flushed by us
        return connection

    def _open(self) -> sqlite3.Connection:
        with storage_errors(
            f"the data folder {self.folder}", "written" if self.folder.exists() else "created"
        ):
            self.folder.mkdir(parents=True, exist_ok=True)
        connection = self._connect()
        try:
            use_wal(connection, self.path, self._busy_seconds)
            prepare_tables(connection, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            with self._reading_errors():
                yield
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _trouble(self, error: sqlite3.Error) -> StorageError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_IOERR") and _is_full(self.folder):
            name = "SQLITE_FULL"  # SQLite says so of its main file alone
        for beginning, (what, hint) in _TROUBLES.items():
            if name.startswith(beginning):
                kind = LedgerBusyError if beginning in _BUSY else StorageError
                return kind(f"{self.path} {what}", hint=hint)
        return StorageError(f"{self.path} cannot be used: {error}")


def _is_full(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < _LEAST_FREE
    return False
