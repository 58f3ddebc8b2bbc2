"""Memory that a container was not granted is not free."""

from pathlib import Path

import psutil
import pytest

pytest.importorskip("diffusers")

from media_agent_diffusers.placement.machine import free_main_memory  # it needs torch


def granted(folder: Path, most: str, *, used: int = 600_000) -> Path:
    (folder / "memory.max").write_text(most)
    (folder / "memory.current").write_text(str(used))
    (folder / "memory.stat").write_text("anon 1\ninactive_file 100000\n")
    return folder


def test_a_container_has_what_it_was_granted_and_files_it_only_cached(tmp_path: Path) -> None:
    assert free_main_memory(granted(tmp_path, "1000000")) == 500_000


@pytest.mark.parametrize("most", ["max", "damaged"])
def test_without_a_limit_all_that_is_available_is_free(tmp_path: Path, most: str) -> None:
    free = free_main_memory(granted(tmp_path, most))

    assert free == pytest.approx(psutil.virtual_memory().available, rel=0.3)


def test_outside_a_container_there_are_no_such_files(tmp_path: Path) -> None:
    assert free_main_memory(tmp_path) > 0


def test_a_container_that_used_more_than_it_was_granted_has_nothing(tmp_path: Path) -> None:
    assert free_main_memory(granted(tmp_path, "1000", used=500_000)) == 0
