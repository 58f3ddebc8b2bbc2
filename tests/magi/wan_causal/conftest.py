from pathlib import Path

import pytest

from tests.magi.released_wan import write_release


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of both small models, with the parts of Wan 2.1 beside them; not to be changed."""
    root = tmp_path_factory.mktemp("wan")
    write_release(root, "self-forcing")
    write_release(root, "longlive")
    return root
