"""One SQLite file that several processes use at once; nothing outside this folder knows SQLite."""

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

from media_agent.errors import InvalidRequestError, LedgerBusyError, StorageError
from media_agent.ledger.store.flush import Flushes
from media_agent.ledger.store.opening import prepare_tables, use_wal
from media_agent.storage.files import storage_errors
from media_agent.storage.locks import lock

BUSY_SECONDS = 30.0

_LEAST_FREE = 2**16  # bytes, as much as SQLite needs at once beside its main file

Column: TypeAlias = str | int | float | None
Row: TypeAlias = sqlite3.Row
"""A row that was read: each value by the name of its column."""

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


class DuplicateError(Exception):
    """A value that can be there once was there already."""


class DamagedRowError(Exception):
    """What a row keeps cannot be read back; a transaction says it as a StorageError."""


_Rest = ParamSpec("_Rest")
_Read = TypeVar("_Read")


def reads_row(
    read: Callable[Concatenate[Row, _Rest], _Read],
) -> Callable[Concatenate[Row, _Rest], _Read]:
    """Decorate what makes an object of a row: whatever is wrong in it is a DamagedRowError."""

    @wraps(read)
    def read_checked(row: Row, /, *rest: _Rest.args, **named: _Rest.kwargs) -> _Read:
        try:
            return read(row, *rest, **named)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise DamagedRowError(_name_of(row)) from error

    return read_checked


def _name_of(row: Row) -> str:
    columns = row.keys()
    if "job_id" in columns:
        return f"job {row['job_id']}"
    return f"job {row['id']}" if {"id", "status"} <= {*columns} else "a row"


class Transaction:
    """Reads and changes rows; a value stands in a statement as `:name`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, query: str, **values: Column) -> list[Row]:
        """Return the rows that a query finds."""
        return self._connection.execute(query, values).fetchall()

    def row(self, query: str, **values: Column) -> Row | None:
        """Return the first row that a query finds."""
        row: Row | None = self._connection.execute(query, values).fetchone()
        return row

    def change(self, statement: str, **values: Column) -> None:
        """Change rows.

        Raises:
            DuplicateError: a unique value was there already.
        """
        try:
            self._connection.execute(statement, values)
        except sqlite3.IntegrityError as error:
            raise DuplicateError(str(error)) from error

    def insert(self, table: str, values: Mapping[str, Column]) -> None:
        """Put a row into a table; raises as `change` does."""
        columns, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        self.change(f"INSERT INTO {table} ({columns}) VALUES ({marks})", **values)

    def update(self, table: str, key: Mapping[str, str], values: Mapping[str, Column]) -> None:
        """Change columns of the row of a key; raises as `change` does."""
        settings = ", ".join(f"{name} = :{name}" for name in values)
        (column,) = key
        self.change(f"UPDATE {table} SET {settings} WHERE {column} = :{column}", **values, **key)


class Database:
    """Opens the file at first use, makes its tables, and hands out transactions."""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._idle: list[sqlite3.Connection] = []
        self._process: int | None = None  # that has opened the file
        self._opening = threading.Lock()
        self._flushes = Flushes(path)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Give a view of the file in which nothing changes.

        Raises:
            StorageError: the file is locked, damaged or out of reach.
            ConfigurationError: another version of media-agent made it, or it is something else.
            InvalidRequestError: what is looked for is not valid text.
        """
        with self._transaction("BEGIN") as transaction:
            yield transaction

    @contextlib.contextmanager
    def writing(self, *, durably: bool = True) -> Iterator[Transaction]:
        """Give a transaction that is alone in writing, on disk at its end if `durably`.

        Else it is on disk soon, and once `flushed` was waited for.

        Raises:
            StorageError: as `reading`, or the disk is full.
            ConfigurationError, InvalidRequestError: as `reading`.
            DuplicateError: a unique value was there already.
        """
        with self._transaction("BEGIN IMMEDIATE") as transaction:
            yield transaction
        if durably:
            self._flushes.flush()

    @contextlib.contextmanager
    def only_one(self, name: str) -> Iterator[bool]:
        """Do what one process at a time does; yields whether it is this one."""
        with storage_errors(f"the data folder {self.path.parent}"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            held = contextlib.ExitStack()
            try:
                held.enter_context(lock(self.path.with_name(f"{name}.lock"), waits=False))
                is_ours = True
            except BlockingIOError:
                is_ours = False
        with held:
            yield is_ours

    async def flushed(self) -> None:
        """Return when all that was written before this call is on disk.

        Raises:
            StorageError: nobody knows whether it is.
        """
        await self._flushes.wait()

    def close(self) -> None:
        """Close all connections; the next use opens the file again."""
        with self._opening:
            self._leave_to_parent()
            self._process = None
            while self._idle:
                self._idle.pop().close()
            self._flushes.close()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        with self._translate_errors():
            connection = self._connection()
            try:
                connection.execute(begin)
                yield Transaction(connection)
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
            self._flushes = Flushes(self.path)  # the thread of the other one stayed with the parent

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
        folder = self.path.parent
        with storage_errors(
            f"the data folder {folder}", "written" if folder.exists() else "created"
        ):
            folder.mkdir(parents=True, exist_ok=True)
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
            yield
        except sqlite3.Error as error:
            raise self._trouble(error) from error
        except DamagedRowError as error:
            raise StorageError(
                f"{error} cannot be read from {self.path}",
                hint="another version of media-agent may have written it",
            ) from error.__cause__
        except UnicodeEncodeError as error:  # SQLite takes UTF-8 only
            raise InvalidRequestError(
                f"{error.object!r} is not valid text: it has bytes that are not UTF-8"
            ) from error

    def _trouble(self, error: sqlite3.Error) -> StorageError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_IOERR") and _is_full(self.path.parent):
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
