"""Reading the record of a job again."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from media_agent.provenance.record import read_record
from media_agent_schemas import Plan, Policy, VideoJob, VideoRequest

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def job(record: Path) -> VideoJob:
    request = VideoRequest(prompt="a cat")
    return VideoJob(
        id="one",
        created_at=NOW,
        updated_at=NOW,
        request=request,
        plan=Plan(backend="b", model="m", policy=Policy.ADJUST, request=request),
        record_path=str(record),
    )


def test_a_record_of_an_older_version_is_left_out_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = tmp_path / "video.json"
    record.write_text('{"schema_version": "1", "job_id": "one"}')

    assert read_record(job(record)) is None

    (said,) = caplog.messages
    assert f"the record {record} cannot be read" in said
    assert "schema version '1'" in said


def test_a_record_that_is_gone_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_record(job(tmp_path / "video.json")) is None
    assert caplog.messages == []
