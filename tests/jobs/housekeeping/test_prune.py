"""Freeing disk: what is chosen, what goes, and what never does."""

from pathlib import Path

import pytest

from media_agent.jobs.housekeeping.disk import DiskKind, JobFiles, find_files
from media_agent.jobs.housekeeping.prune import PruneOptions, plan_prune, prune
from media_agent.ledger.ledger import Ledger
from media_agent_schemas import JobStatus
from tests.jobs.housekeeping.data_folder import SIZES, DataFolder, days_ago
from tests.ledger.samples import rival

STATES, WORK, VIDEOS = DiskKind.STATES, DiskKind.WORK, DiskKind.VIDEOS
ALL_WORK = sum(SIZES.values())


def run(data: DataFolder, options: PruneOptions) -> list[str]:
    items = plan_prune(data.ledger, data.work, options)
    return [item.job.id for item in prune(data.ledger, items, options.kinds)]


def test_nothing_goes_before_it_is_agreed_to(data: DataFolder) -> None:
    data.keep("one")

    (item,) = plan_prune(data.ledger, data.work, PruneOptions())

    assert (item.job.id, item.size_bytes) == ("one", ALL_WORK)
    assert data.left("one") == set(SIZES)


def test_the_work_of_completed_jobs_goes_and_the_video_stays(data: DataFolder) -> None:
    data.keep("one")
    for status in (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.OUTCOME_UNKNOWN):
        data.keep(status, status)
    data.keep("open", JobStatus.IN_PROGRESS)

    assert run(data, PruneOptions()) == ["one"]

    assert not (data.work / "one").exists()
    assert (data.ledger.jobs.folder("one") / "video.mp4").exists()
    assert data.ledger.jobs.get("one").status is JobStatus.COMPLETED
    assert data.left("failed") == data.left("open") == data.left("outcome_unknown") == set(SIZES)


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.IN_PROGRESS])
def test_what_has_not_ended_never_goes(data: DataFolder, status: JobStatus) -> None:
    data.keep("open", status)

    assert run(data, PruneOptions(statuses=tuple(JobStatus))) == []


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        (STATES, {"states/00000001.safetensors"}),
        (WORK, {"chunks/00000000.chunk", "video.part.mp4"}),
        (VIDEOS, set()),
    ],
)
def test_each_kind_goes_by_itself(data: DataFolder, kind: DiskKind, gone: set[str]) -> None:
    data.keep("one")

    assert run(data, PruneOptions(kinds=frozenset({kind}))) == ["one"]

    assert data.left("one") == set(SIZES) - gone
    assert (data.ledger.jobs.folder("one") / "video.mp4").exists() is (kind is not VIDEOS)


def test_only_what_ended_long_enough_ago_goes(data: DataFolder) -> None:
    data.keep("old", days=8)
    data.keep("new", days=6)

    assert run(data, PruneOptions(ended_before=days_ago(7))) == ["old"]


def test_no_more_goes_than_is_needed_and_the_oldest_first(data: DataFolder) -> None:
    for days in (1, 3, 2):
        data.keep(f"{days} days", days=days)

    assert run(data, PruneOptions(max_bytes=2 * ALL_WORK)) == ["3 days"]
    assert run(data, PruneOptions(max_bytes=2 * ALL_WORK)) == []
    assert run(data, PruneOptions(max_bytes=ALL_WORK - 1)) == ["2 days", "1 days"]


def test_segments_go_with_their_job_their_videos_too(data: DataFolder, tmp_path: Path) -> None:
    data.keep("whole", out=tmp_path / "whole.mp4")
    data.keep("whole.segment-1", part_of="whole")

    assert run(data, PruneOptions()) == ["whole"]

    assert not data.left("whole") | data.left("whole.segment-1")
    assert not data.ledger.jobs.folder("whole.segment-1").exists()
    assert (tmp_path / "whole.mp4").exists()


def test_a_job_that_somebody_has_begun_to_work_on_keeps_its_files(data: DataFolder) -> None:
    data.keep("one")
    options = PruneOptions()
    items = plan_prune(data.ledger, data.work, options)
    other = rival(data.folder / "ledger.sqlite", alive=True)

    with other.owners.claim("one"):
        assert prune(data.ledger, items, options.kinds) == ()
        assert run(data, options) == []

    assert data.left("one") == set(SIZES)


def test_a_video_that_was_replaced_stays(data: DataFolder, tmp_path: Path) -> None:
    data.keep("one", out=tmp_path / "a.mp4")
    (tmp_path / "a.mp4").write_bytes(b"y" * 1000)  # of the same size
    options = PruneOptions(kinds=frozenset({VIDEOS}))

    run(data, options)

    assert (tmp_path / "a.mp4").exists()


def test_what_a_branch_shares_frees_nothing(data: DataFolder) -> None:
    data.keep("parent")
    shared = data.work / "branch" / "chunks" / "00000000.chunk"
    shared.parent.mkdir(parents=True)
    shared.hardlink_to(data.work / "parent" / "chunks" / "00000000.chunk")

    (item,) = plan_prune(data.ledger, data.work, PruneOptions())
    prune(data.ledger, [item], PruneOptions().kinds)

    assert item.size_bytes == ALL_WORK - SIZES["chunks/00000000.chunk"]
    assert shared.stat().st_size == SIZES["chunks/00000000.chunk"]


def test_what_jobs_share_counts_for_a_limit_and_goes_with_the_last_of_them(
    data: DataFolder,
) -> None:
    data.keep("parent", days=2)
    data.keep("branch", days=1)
    data.keep("other")
    shared = data.work / "parent" / "shared"
    shared.write_bytes(bytes(10_000))
    (data.work / "branch" / "shared").hardlink_to(shared)
    limit = PruneOptions(max_bytes=ALL_WORK + 5_000)

    assert run(data, limit) == ["parent", "branch"]
    assert data.left("other") == set(SIZES)


def test_a_folder_that_is_a_link_is_not_followed(data: DataFolder, tmp_path: Path) -> None:
    data.keep("one")
    data.write(tmp_path / "elsewhere" / "mine.txt", 7)
    (data.work / "one" / "link").symlink_to(tmp_path / "elsewhere")

    assert run(data, PruneOptions()) == ["one"]

    assert (tmp_path / "elsewhere" / "mine.txt").exists()
    assert not (data.work / "one").exists()


def test_folders_of_no_known_job_are_left_alone(data: DataFolder) -> None:
    data.keep("one")
    data.write(data.work / "thesis" / "states" / "chapter", 10)

    run(data, PruneOptions(kinds=frozenset(DiskKind)))

    assert data.left("thesis") == {"states/chapter"}


def test_what_was_replaced_since_it_was_planned_is_not_said_to_be_freed(
    data: DataFolder, tmp_path: Path
) -> None:
    data.keep("one", out=tmp_path / "a.mp4")
    options = PruneOptions(kinds=frozenset({VIDEOS}))
    items = plan_prune(data.ledger, data.work, options)
    (tmp_path / "a.mp4").write_bytes(b"y" * 1000)

    (item,) = prune(data.ledger, items, options.kinds)

    assert (tmp_path / "a.mp4").exists()
    assert item.size_bytes == 0


def test_only_the_files_of_chosen_jobs_are_measured_unless_all_have_a_limit(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.keep("old", days=8)
    data.keep("new", days=6)
    data.keep("failed", JobStatus.FAILED, days=9)
    looked_at: list[str] = []

    def find(store: Ledger, work: Path, job_id: str) -> JobFiles:
        looked_at.append(job_id)
        return find_files(store, work, job_id)

    monkeypatch.setattr("media_agent.jobs.housekeeping.prune.find_files", find)
    plan_prune(data.ledger, data.work, PruneOptions(ended_before=days_ago(7)))
    chosen = sorted(looked_at)
    plan_prune(data.ledger, data.work, PruneOptions(max_bytes=1))

    assert chosen == ["old"]
    assert sorted(looked_at[1:]) == ["failed", "new", "old"]
