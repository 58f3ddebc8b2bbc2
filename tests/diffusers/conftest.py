"""Tiny pipelines of every family, built once, saved, and read from disk like any other."""

import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, so that `pytest -m diffusers` runs them alone."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.diffusers)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Yield a function that gives the folder of a family; nobody writes to it.

    What the libraries made on import is left out of garbage collections from here on: each model
    that is released asks for one, and hundreds of thousands of old objects would make them slow.
    """
    pytest.importorskip("diffusers")
    pytest.importorskip("media_agent_diffusers.pipelines.pipeline")
    from media_agent_diffusers.tiny import build_tiny

    root = tmp_path_factory.mktemp("weights")

    def folder(family: str) -> Path:
        path = root / family
        return path if path.exists() else build_tiny(family, path)

    folder("wan")
    gc.collect()
    gc.freeze()
    yield folder
    gc.unfreeze()


@pytest.fixture
def wan_copy(folder_of: Callable[[str], Path], tmp_path: Path) -> Iterator[Path]:
    """Yield a folder of our own to damage."""
    copy = tmp_path / "wan"
    shutil.copytree(folder_of("wan"), copy)
    yield copy
    shutil.rmtree(copy, ignore_errors=True)
