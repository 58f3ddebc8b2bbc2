"""Tiny pipelines of every family, built once, saved, and read from disk like any other."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the folder of a family; nobody writes to it."""
    pytest.importorskip("diffusers")
    from media_agent_diffusers.tiny import build_tiny

    root = tmp_path_factory.mktemp("weights")

    def folder(family: str) -> Path:
        path = root / family
        return path if path.exists() else build_tiny(family, path)

    return folder


@pytest.fixture
def wan_copy(folder_of: Callable[[str], Path], tmp_path: Path) -> Iterator[Path]:
    """Yield a folder of our own to damage."""
    copy = tmp_path / "wan"
    shutil.copytree(folder_of("wan"), copy)
    yield copy
    shutil.rmtree(copy, ignore_errors=True)
