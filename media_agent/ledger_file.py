"""One SQLite file that several processes use at once, and its troubles said in one line."""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError

from media_agent.errors import StorageError
from media_agent.files import storage_errors
from media_agent.ledger_tables import STEPS, Step, prepare

BUSY_SECONDS = 30.0

_TROUBLES = {  # by the beginning of SQLite's own name for it
    "SQLITE_BUSY": (
        "is locked: another process has been writing to it for too long",
        "stop the process that holds it (fuser shows which), then try again",
    ),
    "SQLITE_LOCKED": ("is locked", "try again"),
    "SQLITE_NOTADB": (
        "is no database, or is damaged",
        "move it away and run again: films and records stay where they are",
    ),
    "SQLITE_CORRUPT": (
        "is damaged",
        "move it away and run again (films and records stay where they are), or "
        "rescue what it holds: sqlite3 FILE .recover",
    ),
    "SQLITE_READONLY": ("is read-only", "change its permissions or choose another data folder"),
    "SQLITE_CANTOPEN": ("cannot be opened", "check the permissions of its folder"),
    "SQLITE_FULL": ("cannot be written: the disk is full", "free some space and run it again"),
    "SQLITE_IOERR": ("cannot be read or written", "check the disk it lies on"),
}


class LedgerFile:
    """Opens the file at first use, makes or migrates its tables, and hands out transactions."""

    def __init__(
        self, path: Path, *, busy_seconds: float = BUSY_SECONDS, steps: Sequence[Step] = STEPS
    ) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._steps = steps
        self._engine: Engine | None = None
        self._process = os.getpid()
        self._opening = threading.Lock()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a view of the file in which nothing changes.

        Raises:
            StorageError: the file is locked, damaged or out of reach.
            ConfigurationError: a newer media-agent made it, or it is something else.
        """
        with self._translated(), self._opened().begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self, *, durably: bool = True) -> Iterator[Connection]:
        """Give a transaction that is alone in writing, on disk at its end if `durably`.

        Raises:
            StorageError: as `reading`, or the disk is full.
            ConfigurationError: as `reading`.
        """
        engine = self._opened().execution_options(
            begin="BEGIN IMMEDIATE", synchronous="FULL" if durably else "NORMAL"
        )
        with self._translated(), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; the next use opens the file again."""
        if self._engine is not None and self._process == os.getpid():
            self._engine.dispose()
        self._engine = None

    def _opened(self) -> Engine:
        with self._opening:
            if self._engine is not None and self._process != os.getpid():
                self._engine.dispose(close=False)  # the parent's connections are the parent's
                self._engine = None
            if self._engine is None:
                self._process = os.getpid()
                self._engine = self._open()
        return self._engine

    def _open(self) -> Engine:
        with storage_errors(f"the data folder {self.path.parent}"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            connect_args={"timeout": self._busy_seconds, "check_same_thread": False},
        )
        event.listen(engine, "connect", _connect)
        event.listen(engine, "begin", _begin)
        with self._translated():
            self._use_wal(engine)
            with engine.execution_options(begin="BEGIN IMMEDIATE").begin() as connection:
                prepare(connection, str(self.path), self._steps)
        return engine

    def _use_wal(self, engine: Engine) -> None:
        """Switch to write-ahead logging; SQLite does not wait by itself when others do the same."""
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                with engine.connect() as connection:
                    driver = connection.connection.driver_connection
                    assert isinstance(driver, sqlite3.Connection)
                    (mode,) = driver.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        if mode != "wal":
            raise StorageError(
                f"{self.path} lies on a file system that several processes cannot share",
                hint="choose a data folder on a local disk with MEDIA_AGENT_DATA_DIR",
            )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise self._trouble(error.orig, error) from error
        except sqlite3.Error as error:
            raise self._trouble(error, error) from error

    def _trouble(self, cause: BaseException | None, error: Exception) -> StorageError:
        name = getattr(cause, "sqlite_errorname", "")
        for beginning, (what, hint) in _TROUBLES.items():
            if name.startswith(beginning):
                return StorageError(f"{self.path} {what}", hint=hint)
        return StorageError(f"{self.path} cannot be used: {cause or error}")


def _connect(connection: DBAPIConnection, record: object) -> None:
    """Leave the beginning of transactions to us; foreign keys are off unless asked for."""
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA synchronous = {options.get('synchronous', 'FULL')}")
    connection.exec_driver_sql(options.get("begin", "BEGIN"))
