"""Rows that somebody changed: an error that names the job, and no way out of the data folder."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from media_agent.errors import MediaAgentError, StorageError
from media_agent.jobs.housekeeping.disk import find_files
from media_agent.ledger.ledger import Ledger
from media_agent_schemas import JobProgressed
from tests.ledger.samples import NOW, job

Use = Callable[[Ledger], object]


def change(ledger: Ledger, path: Path, table: str, column: str, value: object) -> None:
    ledger.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"UPDATE {table} SET {column} = ?", [value])
    connection.close()


@pytest.mark.parametrize(
    ("table", "column", "value", "use"),
    [
        ("jobs", "status", "1", lambda ledger: ledger.jobs.get("one")),
        ("jobs", "status", "1", lambda ledger: ledger.events.newest("one")),
        ("jobs", "created_at", 7, lambda ledger: ledger.jobs.list()),
        ("jobs", "plans", "[]", lambda ledger: ledger.jobs.get("one")),
        ("jobs", "plans", "null", lambda ledger: ledger.jobs.terms("one")),
        ("jobs", "warnings", "1", lambda ledger: ledger.jobs.get("one")),
        ("jobs", "resume", "[]", lambda ledger: ledger.events.resume_token("one")),
        ("jobs", "owner", "{}", lambda ledger: ledger.jobs.warn("one", "dark")),
        ("events", "event", "{", lambda ledger: [*ledger.events.read("one")]),
        ("events", "sequence", "x", lambda ledger: append(ledger)),
    ],
)
def test_a_row_that_cannot_be_read_is_an_error_that_names_it(
    ledger: Ledger, path: Path, table: str, column: str, value: object, use: Use
) -> None:
    ledger.jobs.create(job())
    append(ledger)
    change(ledger, path, table, column, value)

    with pytest.raises(StorageError, match="job one cannot be read") as error:
        use(ledger)

    assert str(path) in error.value.message


def append(ledger: Ledger) -> None:
    ledger.events.append("one", JobProgressed(fraction=0.1, phase="drawing"), NOW)


def test_a_count_of_jobs_in_an_unknown_state_is_an_error(ledger: Ledger, path: Path) -> None:
    ledger.jobs.create(job())
    change(ledger, path, "jobs", "status", "1")

    with pytest.raises(StorageError, match="a row cannot be read"):
        ledger.jobs.count()


@pytest.mark.parametrize("name", ["../../outside", "/etc", "x" * 300, ".hidden"])
def test_a_row_that_leads_out_of_the_data_folder_is_refused(
    ledger: Ledger, path: Path, name: str
) -> None:
    ledger.jobs.create(job())
    change(ledger, path, "jobs", "id", name)

    with pytest.raises(MediaAgentError):
        ledger.jobs.get(name)
    with pytest.raises(MediaAgentError):
        find_files(ledger, path.parent / "work", name)
