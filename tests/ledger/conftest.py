"""A ledger of its own for each test, in a file and on Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from media_agent.ledger.ledger import Ledger
from tests.ledger.samples import Place
from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def _ledger_url(request: pytest.FixtureRequest) -> SecretStr:
    """The address of one database for all tests: emptied for each, which is quick."""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.new_database()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    is_file = request.param == "sqlite"
    url = None if is_file else request.getfixturevalue("_ledger_url")
    place = Place(tmp_path / "data" / "ledger.sqlite", url)
    if url is not None:
        place.empty()
    yield place
    place.close()


@pytest.fixture
def ledger(place: Place) -> Ledger:
    return place.open()
