"""Makes a Postgres database ready: a schema of our own with the tables, if they are not there."""

from typing import Any

import psycopg

from media_agent.errors import ConfigurationError
from media_agent.ledger.store.tables import APPLICATION_ID, LEDGER_VERSION, tables_of_postgres

SCHEMA = "media_agent"
LOCK = APPLICATION_ID << 16
"""The number of the lock that whoever writes holds."""

_COMMITS = """
CREATE TABLE commits (
    writer TEXT PRIMARY KEY,  -- a process
    word TEXT NOT NULL,  -- of its last transaction
    at TIMESTAMPTZ NOT NULL
)"""
FORGET_COMMITS = "DELETE FROM commits WHERE at < now() - interval '7 days'"
"""Nobody looks for what a process wrote so long ago."""


def prepare_tables(connection: "psycopg.Connection[Any]", name: str) -> None:
    """Make the tables where there are none; processes that do it at once wait for each other.

    Raises:
        ConfigurationError: those that are there are of another version, or the database cannot
            keep all texts.
    """
    if _is_ready(connection, name):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        if _is_ready(connection, name):  # another process was quicker
            return
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        for statement in (*tables_of_postgres(), _COMMITS):
            connection.execute(statement)
        connection.execute("CREATE TABLE ledger (version BIGINT NOT NULL)")
        connection.execute("INSERT INTO ledger (version) VALUES (%s)", (LEDGER_VERSION,))


def _is_ready(connection: "psycopg.Connection[Any]", name: str) -> bool:
    found = connection.execute(
        "SELECT current_setting('server_encoding') AS encoding, "
        "to_regclass(%s) IS NOT NULL AS is_there, "
        "(SELECT count(*) FROM pg_tables WHERE schemaname = %s) AS tables",
        (f"{SCHEMA}.ledger", SCHEMA),
    ).fetchone()
    assert found is not None  # it always finds one row
    if found["encoding"] != "UTF8":
        raise ConfigurationError(
            f"{name} keeps texts as {found['encoding']}, which cannot hold all of them",
            hint="make a database with ENCODING 'UTF8'",
        )
    if not found["is_there"] and found["tables"]:
        raise ConfigurationError(
            f"the schema {SCHEMA} of {name} is no ledger of media-agent",
            hint="choose another database",
        )
    if found["is_there"]:
        row = connection.execute("SELECT max(version) AS version FROM ledger").fetchone()
        _check_version(0 if row is None else row["version"] or 0, name)
    return bool(found["is_there"])


def _check_version(version: int, name: str) -> None:
    if version > LEDGER_VERSION:
        raise ConfigurationError(
            f"{name} has version {version}, made by a newer media-agent; "
            f"this one uses version {LEDGER_VERSION}",
            hint="upgrade media-agent, or choose another database",
        )
    if version < LEDGER_VERSION:
        raise ConfigurationError(
            f"{name} has version {version}, made by an older media-agent; "
            f"this one uses version {LEDGER_VERSION}",
            hint="finish its jobs with that media-agent, then rename its schema "
            f"(ALTER SCHEMA {SCHEMA} RENAME TO ...) and run again: videos and records stay where "
            "they are",
        )
