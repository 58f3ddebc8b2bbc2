from pathlib import Path

import pytest

from tests.magi.released import write_release


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small distilled model, with its parts beside it; not to be changed."""
    return write_release(tmp_path_factory.mktemp("release"))
