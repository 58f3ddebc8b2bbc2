"""A data folder for the tests of what is removed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.housekeeping.data_folder import DataFolder


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataFolder]:
    folder = DataFolder(tmp_path / "data")
    yield folder
    folder.ledger.close()
