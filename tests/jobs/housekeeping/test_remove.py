"""Forgetting a job: what is refused, what goes, what it cost stays."""

from pathlib import Path

import pytest

from media_agent.errors import JobError, JobNotFoundError
from media_agent.jobs.housekeeping.remove import remove_job
from media_agent.ledger.state import JobOptions
from media_agent_schemas import JobStatus, Origin
from tests.jobs.housekeeping.data_folder import SIZES, DataFolder, days_ago
from tests.ledger.samples import NOW, job, rival


def test_a_removed_job_is_gone_and_its_video_is_not(data: DataFolder, tmp_path: Path) -> None:
    data.keep("one", out=tmp_path / "a.mp4")

    removal = remove_job(data.ledger, data.work, "one")

    assert removal.freed_bytes == sum(SIZES.values())
    assert (removal.kept_videos, removal.removed_videos) == ((str(tmp_path / "a.mp4"),), ())
    assert (tmp_path / "a.mp4").exists()
    assert not (data.work / "one").exists()
    assert data.ledger.jobs.list() == []
    with pytest.raises(JobNotFoundError):
        remove_job(data.ledger, data.work, "one")


def test_its_video_goes_on_request(data: DataFolder) -> None:
    data.keep("one")

    removal = remove_job(data.ledger, data.work, "one", videos=True)

    assert [Path(path).name for path in removal.removed_videos] == ["video.mp4"]
    assert removal.kept_videos == ()
    assert not data.ledger.jobs.folder("one").exists()


def test_what_it_cost_still_counts(data: DataFolder) -> None:
    data.keep("one")
    before = data.ledger.costs.since(days_ago(1), "backend")

    remove_job(data.ledger, data.work, "one", videos=True)

    assert data.ledger.costs.since(days_ago(1), "backend") == before
    assert data.ledger.submissions.spent(days_ago(1)) == 1.0


def test_its_segments_go_with_it_and_never_without_it(data: DataFolder) -> None:
    data.keep("whole")
    data.keep("whole.segment-1", part_of="whole")

    with pytest.raises(JobError, match="is a segment of job whole"):
        remove_job(data.ledger, data.work, "whole.segment-1")
    remove_job(data.ledger, data.work, "whole")

    assert not data.left("whole.segment-1")
    assert not data.ledger.jobs.folder("whole.segment-1").exists()
    with pytest.raises(JobNotFoundError):
        data.ledger.jobs.get("whole.segment-1")
    assert data.ledger.submissions.spent(days_ago(1)) == 2.0


def test_what_breaks_off_in_the_middle_can_be_done_again(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.keep("whole")
    for number in (1, 2):
        data.keep(f"whole.segment-{number}", part_of="whole")
    jobs = data.ledger.jobs
    with monkeypatch.context() as broken:
        remove, removed = jobs.remove, []

        def remove_one(name: str) -> None:
            if removed:
                raise KeyboardInterrupt
            removed.append(name)
            remove(name)

        broken.setattr(jobs, "remove", remove_one)
        with pytest.raises(KeyboardInterrupt):
            remove_job(data.ledger, data.work, "whole")

    assert [each.id for each in jobs.list()] == ["whole"]
    remove_job(data.ledger, data.work, "whole")

    for name in ("whole", "whole.segment-1", "whole.segment-2"):
        with pytest.raises(JobNotFoundError):
            jobs.get(name)


def test_what_could_not_be_removed_is_not_said_to_be_freed(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.keep("one")
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: None)  # as of a folder of others

    removal = remove_job(data.ledger, data.work, "one")

    assert removal.freed_bytes == SIZES["video.part.mp4"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (JobStatus.IN_PROGRESS, "is queued and can be resumed"),
        (JobStatus.OUTCOME_UNKNOWN, "is unknown, and it may have been paid for"),
    ],
)
def test_what_may_still_come_or_be_paid_is_only_removed_by_force(
    data: DataFolder, status: JobStatus, said: str
) -> None:
    data.keep("one", status)
    if status is JobStatus.OUTCOME_UNKNOWN:
        data.ledger.submissions.settle("one", 1.0, NOW)

    with pytest.raises(JobError, match=said):
        remove_job(data.ledger, data.work, "one")
    assert data.left("one") == set(SIZES)

    remove_job(data.ledger, data.work, "one", force=True)

    assert data.ledger.jobs.list() == []
    assert data.ledger.jobs.unsettled() == ()
    assert data.ledger.submissions.spent(days_ago(1)) == 1.0


@pytest.mark.parametrize("force", [True, False])
def test_a_job_for_which_money_is_held_stays_until_it_is_settled(
    data: DataFolder, force: bool
) -> None:
    data.keep("one", JobStatus.OUTCOME_UNKNOWN)

    with pytest.raises(JobError, match=r"may have been paid for: 1\.00 USD are held") as caught:
        remove_job(data.ledger, data.work, "one", force=force)
    assert "media-agent jobs settle one --usd AMOUNT" in (caught.value.hint or "")
    assert data.left("one") == set(SIZES)
    data.ledger.submissions.settle("one", 0.0, NOW)
    remove_job(data.ledger, data.work, "one", force=True)

    assert data.ledger.jobs.list() == []
    assert data.ledger.submissions.spent(days_ago(1)) == 0.0


@pytest.mark.parametrize("force", [True, False])
def test_a_job_that_a_process_works_on_is_never_removed(data: DataFolder, force: bool) -> None:
    data.keep("whole")
    data.keep("whole.segment-1", part_of="whole")
    other = rival(data.folder / "ledger.sqlite", alive=True)
    mine = type(data.ledger)(
        data.folder / "ledger.sqlite", is_owner_alive=lambda owner, silent: True
    )

    with (
        other.owners.claim("whole.segment-1"),
        pytest.raises(JobError, match="a process is working on job whole"),
    ):
        remove_job(mine, data.work, "whole", force=force)

    assert data.left("whole") == set(SIZES)


def test_the_parent_of_a_branch_that_has_not_ended_stays(data: DataFolder) -> None:
    data.keep("parent")
    branch = job("branch")
    plan = branch.plan.model_copy(
        update={
            "origin": Origin(job_id="parent", chunk=1, frames=24, kept_chunks=1, kept_frames=24)
        }
    )
    data.ledger.jobs.create(branch.model_copy(update={"plan": plan}), JobOptions((plan,)))

    with pytest.raises(JobError, match="job branch, which branches from job parent, has not ended"):
        remove_job(data.ledger, data.work, "parent", force=True)
