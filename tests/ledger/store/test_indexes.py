"""Which indexes SQLite finds rows by."""

from itertools import combinations

import pytest

from media_agent.ledger.ledger import Ledger
from media_agent.ledger.pages import JobFilter, choose_ids
from media_agent.ledger.store.database import Database
from tests.ledger.samples import job
from tests.ledger.test_pages import CHOICES


def explain(database: Database, query: str, **values: str | float | None) -> list[str]:
    with database.reading() as transaction:
        rows = transaction.rows(f"EXPLAIN QUERY PLAN {query}", **values)
    return [row["detail"] for row in rows]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM submissions WHERE created_at >= 'x'",
        "SELECT id FROM jobs WHERE part_of IN ('a', 'b')",
        "SELECT id FROM jobs WHERE owner = 'a'",
    ],
)
def test_rows_are_found_by_an_index(ledger: Ledger, query: str) -> None:
    ledger.jobs.create(job())

    asked = explain(ledger.database, query)

    assert asked
    assert all("USING INDEX" in each or "COVERING INDEX" in each for each in asked), asked


@pytest.mark.parametrize(
    "chosen",
    [names for count in range(6) for names in combinations(CHOICES, count)],
    ids="+".join,
)
def test_no_page_scans_the_jobs_or_reads_more_than_an_index(
    ledger: Ledger, chosen: tuple[str, ...]
) -> None:
    ledger.jobs.create(job("job-1"))
    filter_ = JobFilter(limit=20, **{name: CHOICES[name] for name in chosen})  # type: ignore[arg-type]

    with ledger.database.reading() as transaction:
        query, values = choose_ids(transaction, filter_)
    steps = explain(ledger.database, query, **values)

    assert steps
    assert all("USING COVERING INDEX jobs_by_" in step for step in steps if "jobs" in step), steps
    assert chosen == () or not any(step.startswith("SCAN") for step in steps), steps
    assert "statuses" in chosen or not any("TEMP B-TREE" in step for step in steps), steps
