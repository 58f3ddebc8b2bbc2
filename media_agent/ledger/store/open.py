"""The database of a ledger: a file, or a server that its address names."""

from pathlib import Path

from pydantic import SecretStr

from media_agent.ledger.store.database import BUSY_SECONDS, Database
from media_agent.ledger.store.sqlite import SqliteDatabase


def open_database(
    path: Path, url: SecretStr | None = None, *, busy_seconds: float = BUSY_SECONDS
) -> Database:
    """Return the database of an address, else of a file; it connects at first use.

    Raises:
        ConfigurationError: the driver is not installed, or the address is none.
    """
    if url is None:
        return SqliteDatabase(path, busy_seconds=busy_seconds)
    from media_agent.ledger.store.postgres import PostgresDatabase

    return PostgresDatabase(url, path.parent, busy_seconds=busy_seconds)
