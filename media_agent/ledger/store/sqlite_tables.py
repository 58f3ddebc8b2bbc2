"""Makes a file ready when it is opened: its write-ahead log, its tables, and whether it is ours."""

import sqlite3
import time
from pathlib import Path

from media_agent.errors import ConfigurationError, StorageError
from media_agent.ledger.store.tables import APPLICATION_ID, LEDGER_VERSION, TABLES

_ELSEWHERE = "choose another data folder with MEDIA_AGENT_DATA_DIR"


def use_wal(connection: sqlite3.Connection, path: Path, busy_seconds: float) -> None:
    """Switch to write-ahead logging; SQLite does not wait by itself when others do the same.

    Raises:
        StorageError: the file system cannot do it.
    """
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    if mode != "wal":
        raise StorageError(
            f"{path} lies on a file system that several processes cannot share",
            hint="choose a data folder on a local disk with MEDIA_AGENT_DATA_DIR",
        )


def prepare_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none; whoever finds them there waits for no writer.

    Raises:
        ConfigurationError: the file has others.
    """
    connection.execute("BEGIN")
    is_ready = _is_ready(connection, path)
    connection.execute("COMMIT")
    if is_ready:
        return
    connection.execute("BEGIN IMMEDIATE")
    if not _is_ready(connection, path):  # another process may have been quicker
        for statement in TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {LEDGER_VERSION}")
    connection.execute("COMMIT")


def _is_ready(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file has our tables, or refuse one that has others."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (version or tables):
        raise ConfigurationError(
            f"{path} is a database, but no ledger of media-agent",
            hint=f"move it away, or {_ELSEWHERE}",
        )
    if tables:
        _check_version(version, path)
    return bool(tables)


def _check_version(version: int, path: Path) -> None:
    if version > LEDGER_VERSION:
        raise ConfigurationError(
            f"{path} has version {version}, made by a newer media-agent; "
            f"this one uses version {LEDGER_VERSION}",
            hint=f"upgrade media-agent, or {_ELSEWHERE}",
        )
    if version < LEDGER_VERSION:
        raise ConfigurationError(
            f"{path} has version {version}, made by an older media-agent; "
            f"this one uses version {LEDGER_VERSION}",
            hint="finish its jobs with that media-agent, then move the file away and run "
            "again: videos and records stay where they are",
        )
