"""How much disk the jobs use, by kind and by job."""

from pathlib import Path

from media_agent.jobs.housekeeping.usage import read_disk_use
from tests.jobs.housekeeping.data_folder import DataFolder


def test_disk_is_counted_by_kind_the_largest_job_first(data: DataFolder, tmp_path: Path) -> None:
    data.keep("small", out=tmp_path / "a.mp4")
    data.keep("whole")
    data.keep("whole.segment-1", part_of="whole")
    data.write(data.work / "left-behind" / "x", 40)
    shared = data.work / "small" / "chunks" / "shared.chunk"
    shared.hardlink_to(data.work / "whole" / "chunks" / "00000000.chunk")

    use = read_disk_use(data.ledger, data.work)

    assert use.jobs == (
        ("whole", {"states": 1000, "work": 230 + 30 + 1000, "videos": 1000}),
        ("small", {"states": 500, "work": 230, "videos": 1000}),
    )
    assert use.total == {"states": 1500, "work": 3 * 230 + 1000, "videos": 2000, "other": 40}


def test_a_data_folder_without_jobs_uses_nothing(data: DataFolder) -> None:
    use = read_disk_use(data.ledger, data.work)

    assert use.jobs == ()
    assert set(use.total.values()) == {0}
