"""Transactions: whole or not at all, from many threads and processes."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest

from media_agent.ledger.ledger import Ledger
from tests.ledger.samples import Place, append_all, job, progress


def test_a_change_that_fails_halfway_leaves_nothing_behind(ledger: Ledger, place: Place) -> None:
    ledger.jobs.create(job())
    file = place.open().database

    def break_off() -> None:
        with file.writing() as transaction:
            transaction.change("DELETE FROM jobs")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()

    assert ledger.jobs.get("one") == job()
    with file.writing() as transaction:
        assert [row["id"] for row in transaction.rows("SELECT id FROM jobs")] == ["one"]


def test_one_ledger_serves_many_threads(ledger: Ledger) -> None:
    ledger.jobs.create(job())

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda number: append_all(ledger, progress(number)), range(40)))

    assert sorted(kept) == [[number] for number in range(40)]


def test_a_forked_child_uses_connections_of_its_own(ledger: Ledger) -> None:
    ledger.jobs.create(job("parent"))
    child = multiprocessing.get_context("fork").Process(
        target=ledger.jobs.create, args=(job("child"),)
    )

    child.start()
    child.join()

    assert child.exitcode == 0
    assert {kept.id for kept in ledger.jobs.list()} == {"parent", "child"}
