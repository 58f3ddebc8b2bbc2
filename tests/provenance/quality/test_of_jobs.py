"""The quality report in the record of a job, as the setting says."""

from pathlib import Path

import numpy as np
import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.provenance.quality import of_jobs
from media_agent.provenance.quality.of_jobs import measure_quality
from media_agent.provenance.quality.rules import QualityRules
from media_agent.provenance.record import read_record
from media_agent.testing.simulator.videos import write_video
from media_agent.video.probe import describe
from media_agent_schemas import GenerationRecord, VideoJob, VideoRequest
from media_agent_schemas.media import Size

REQUEST = VideoRequest(prompt="a cat", model="sandbox", duration=2, size=Size(width=64, height=64))


async def generate(quality: str) -> tuple[VideoJob, GenerationRecord]:
    settings = load_settings(quality=quality)
    async with VideoClient(settings=settings) as client:
        job = await client.generate(REQUEST)
    record = read_record(job)
    assert record is not None
    return job, record


@pytest.mark.anyio
async def test_a_record_has_the_report_of_the_delivered_file() -> None:
    _, record = await generate("record")

    assert record.quality is not None
    assert record.quality.video == record.delivered
    assert record.quality.findings == ()
    assert record.quality.boundaries is not None  # the sandbox makes chunks of a second
    assert record.quality.boundaries.worst_frame == 24
    assert record.warnings == ()


@pytest.mark.anyio
async def test_nothing_is_measured_where_the_setting_says_off() -> None:
    _, record = await generate("off")

    assert record.quality is None


@pytest.mark.anyio
@pytest.mark.parametrize(("quality", "warns"), [("warn", True), ("record", False)])
async def test_findings_warn_only_where_the_setting_says_so(
    monkeypatch: pytest.MonkeyPatch, quality: str, warns: bool
) -> None:
    monkeypatch.setenv("MEDIA_AGENT_FINDINGS__CUT__LIMIT", "0.5")  # any change is one

    job, record = await generate(quality)

    assert record.quality is not None
    assert len(record.quality.findings) == 10  # of many the first ten
    assert any("the image jumps" in warning for warning in record.warnings) is warns
    assert any("the image jumps" in warning for warning in job.warnings) is warns


def test_a_video_that_is_too_long_or_damaged_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, np.zeros((4, 32, 32, 3), np.uint8), fps=24)
    video, job = describe(path), VideoJob.model_construct(id="job")
    assert measure_quality(job, video, (), QualityRules()) is not None

    monkeypatch.setattr(of_jobs, "MOST_FRAMES", 3)
    assert measure_quality(job, video, (), QualityRules()) is None

    monkeypatch.undo()
    path.write_text("no video")
    assert measure_quality(job, video, (), QualityRules()) is None
