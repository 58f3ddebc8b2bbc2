"""Rows that somebody changed: an error that names the job, and no way out of the data folder."""

from collections.abc import Callable

import pytest

from media_agent.errors import MediaAgentError, StorageError
from media_agent.jobs.housekeeping.disk import find_files
from media_agent.ledger.ledger import Ledger
from media_agent_schemas import JobProgressed
from tests.ledger.samples import NOW, Place, job

Use = Callable[[Ledger], object]


def change(place: Place, table: str, column: str, value: str) -> None:
    if place.url is not None and column == "sequence":
        pytest.skip("a column of Postgres keeps numbers only")
    place.change(f"UPDATE {table} SET {column} = :value", value=value)


@pytest.mark.parametrize(
    ("table", "column", "value", "use"),
    [
        ("jobs", "status", "1", lambda ledger: ledger.jobs.get("one")),
        ("jobs", "status", "1", lambda ledger: ledger.events.newest("one")),
        ("jobs", "created_at", "7", lambda ledger: ledger.jobs.list()),
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
    ledger: Ledger, place: Place, table: str, column: str, value: str, use: Use
) -> None:
    ledger.jobs.create(job())
    append(ledger)
    change(place, table, column, value)

    with pytest.raises(StorageError, match="job one cannot be read") as error:
        use(ledger)

    assert place.name in error.value.message


def append(ledger: Ledger) -> None:
    ledger.events.append("one", JobProgressed(fraction=0.1, phase="drawing"), NOW)


def test_a_count_of_jobs_in_an_unknown_state_is_an_error(ledger: Ledger, place: Place) -> None:
    ledger.jobs.create(job())
    change(place, "jobs", "status", "1")

    with pytest.raises(StorageError, match="a row cannot be read"):
        ledger.jobs.count()


@pytest.mark.parametrize("name", ["../../outside", "/etc", "x" * 300, ".hidden"])
def test_a_row_that_leads_out_of_the_data_folder_is_refused(
    ledger: Ledger, place: Place, name: str
) -> None:
    ledger.jobs.create(job())
    change(place, "jobs", "id", name)

    with pytest.raises(MediaAgentError):
        ledger.jobs.get(name)
    with pytest.raises(MediaAgentError):
        find_files(ledger, place.path.parent / "work", name)
