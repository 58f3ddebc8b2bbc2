from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _folder_of_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
