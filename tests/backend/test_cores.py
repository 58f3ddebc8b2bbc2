"""Cores are counted as they may be used, not as the machine has them."""

from pathlib import Path

import pytest

from media_agent.backend.cores import usable_cores


@pytest.mark.parametrize(
    ("siblings", "quota", "expected"),
    [
        (["0", "1", "2", "3"], None, 4),
        (["0", "1", "2", "3"], "max 100000", 4),
        (["0,2", "1,3", "0,2", "1,3"], None, 2),
        (["0", "1", "2", "3"], "150000 100000", 2),
        (["0", "1", "2", "3"], "10000 100000", 1),
        (["0", "1", "2", "3"], "damaged", 4),
        ([], None, 4),
    ],
)
def test_the_cores_counted_are_those_that_may_be_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    siblings: list[str],
    quota: str | None,
    expected: int,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3})
    for number, said in enumerate(siblings):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{said}\n")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert usable_cores(tmp_path, tmp_path / "cpu.max") == expected
