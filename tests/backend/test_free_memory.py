"""What is free: of main memory what a container was granted, of GPUs what their driver says."""

from pathlib import Path

import psutil
import pytest

from media_agent.backend.free_memory import FreeMemory, Gpu, count_as_programs, free_main_memory


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


def test_nothing_is_known_before_it_is_read(tmp_path: Path) -> None:
    memory = FreeMemory(smi=("printf", "0, 1000, A\n1, 2000, A\n"), group=tmp_path)

    before = memory.main_bytes, memory.gpus
    memory.read()

    assert before == (None, None)
    assert memory.main_bytes is not None
    assert memory.gpus == {0: 1000 * 2**20, 1: 2000 * 2**20}


@pytest.mark.parametrize(
    "smi", [("no-such-program",), ("printf", "no devices were found"), ("false",)]
)
def test_where_nothing_lists_a_gpu_there_is_none(smi: tuple[str, ...], tmp_path: Path) -> None:
    memory = FreeMemory(smi=smi, devices=tmp_path, group=tmp_path)

    memory.read()

    assert memory.gpus == {}


@pytest.mark.parametrize("node", ["kfd", "nvidia0"])
def test_a_gpu_of_which_nobody_tells_may_be_there_all_the_same(node: str, tmp_path: Path) -> None:
    (tmp_path / node).touch()
    memory = FreeMemory(smi=("no-such-program",), devices=tmp_path, group=tmp_path)

    memory.read()

    assert memory.gpus is None


@pytest.mark.parametrize(
    ("visible", "names", "free"),
    [
        (None, "AA", {0: 10, 1: 20}),
        ("1", "AA", {0: 20}),
        ("1,0", "AA", {0: 20, 1: 10}),
        ("", "AA", {}),
        ("GPU-4711", "AA", None),
        (None, "AB", None),
    ],
)
def test_a_gpu_is_counted_as_programs_count_it(
    visible: str | None, names: str, free: dict[int, int] | None
) -> None:
    gpus = [Gpu(0, 10, names[0]), Gpu(1, 20, names[1])]

    assert count_as_programs(gpus, visible) == free
