"""States go by themselves some days after success; nothing else does."""

import time
from pathlib import Path

import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.jobs.housekeeping.expire import expire_states
from media_agent_schemas import JobStatus, VideoRequest
from tests.jobs.housekeeping.data_folder import SIZES, DataFolder, days_ago
from tests.ledger.samples import rival

STATES = {"states/00000001.safetensors"}


def test_only_the_states_of_videos_completed_before_go(data: DataFolder) -> None:
    data.keep("old", days=4)
    data.keep("new", days=2)
    data.keep("failed", JobStatus.FAILED, days=9)
    data.keep("cancelled", JobStatus.CANCELLED, days=9)
    data.keep("open", JobStatus.IN_PROGRESS, days=9)
    data.keep("old.segment-1", days=4, part_of="old")
    data.write(data.work / "unknown" / "states" / "x", 1)

    expire_states(data.ledger, data.work, days_ago(3))

    assert data.left("old") == data.left("old.segment-1") == set(SIZES) - STATES
    for name in ("new", "failed", "cancelled", "open"):
        assert data.left(name) == set(SIZES)
    assert data.left("unknown") == {"states/x"}


def test_the_states_of_a_job_that_is_worked_on_stay(data: DataFolder) -> None:
    data.keep("one", days=4)
    other = rival(data.folder / "ledger.sqlite", alive=True)

    with other.owners.claim("one"):
        expire_states(data.ledger, data.work, days_ago(3))

    assert data.left("one") == set(SIZES)


def test_not_every_job_looks_at_all_folders(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.keep("one", days=4)
    expire_states(data.ledger, data.work, days_ago(5))
    now = time.time()

    expire_states(data.ledger, data.work, days_ago(3))
    soon = data.left("one")
    monkeypatch.setattr("time.time", lambda: now + 3700)
    expire_states(data.ledger, data.work, days_ago(3))

    assert soon == set(SIZES)
    assert data.left("one") == set(SIZES) - STATES


def test_a_clock_that_was_set_back_stops_no_look(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.keep("one", days=4)
    expire_states(data.ledger, data.work, days_ago(5))
    now = time.time()

    monkeypatch.setattr("time.time", lambda: now - 86400)
    expire_states(data.ledger, data.work, days_ago(3))

    assert data.left("one") == set(SIZES) - STATES


def test_an_empty_data_folder_is_no_trouble(data: DataFolder) -> None:
    expire_states(data.ledger, data.work, days_ago(3))

    assert not data.work.exists()


@pytest.mark.anyio
@pytest.mark.parametrize(("days", "left"), [(3, set(SIZES) - STATES), (36500, set(SIZES))])
async def test_a_new_video_takes_the_old_states_with_it(
    data: DataFolder, tmp_path: Path, days: float, left: set[str]
) -> None:
    data.keep("old", days=4)
    settings = load_settings(data_dir=data.folder, keep_states_days=days)

    async with VideoClient(settings=settings) as client:
        job = await client.generate(
            VideoRequest(prompt="a cat", duration=1, model="sandbox"), out=tmp_path / "a.mp4"
        )

    assert job.status is JobStatus.COMPLETED
    assert data.left("old") == left
