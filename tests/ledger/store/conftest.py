"""What only a file has."""

from pathlib import Path

import pytest

from tests.ledger.samples import Place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.sqlite"


@pytest.fixture
def place(path: Path) -> Place:
    return Place(path)
