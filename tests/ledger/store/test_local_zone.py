"""Days are those of this machine, whatever it calls its zone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.ledger.ledger import Ledger


@pytest.fixture(params=["Asia/Kolkata", "IST-5:30", "<+0530>-05:30", "nowhere"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_a_day_is_that_of_the_zone_of_this_machine(zone: str, postgres_url: SecretStr) -> None:
    ledger = Ledger(Path("unused"), url=postgres_url)
    with ledger.database.reading() as transaction:
        day = transaction.local_day("'2026-01-02T20:00:00+00:00'")
        (row,) = transaction.rows(f"SELECT {day} AS day")
    ledger.close()

    assert row["day"] == ("2026-01-02" if zone == "nowhere" else "2026-01-03")
