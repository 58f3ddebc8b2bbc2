"""What a job tells: its stages, its numbers, its log; and what it never tells."""

import logging
import sys
from pathlib import Path

import httpx
import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.server.app import build_app
from media_agent.telemetry.jobs import JobTelemetry
from media_agent_schemas import (
    Artifact,
    Estimate,
    JobCompleted,
    JobStarted,
    JobStatus,
    Segment,
    VideoJob,
    VideoMetadata,
    VideoRequest,
)
from tests.ledger.samples import NOW, job
from tests.telemetry.conftest import Told

PROMPT = "a walrus nobody is to hear of"


async def make_video(tmp_path: Path, **request: object) -> VideoJob:
    async with VideoClient(settings=load_settings(default_backend="sandbox")) as client:
        asked = VideoRequest.model_validate({"prompt": PROMPT, "duration": 1, **request})
        return await client.generate(asked, out=tmp_path / "a.mp4")


@pytest.mark.anyio
async def test_the_stages_of_a_job_are_spans_of_one_trace(told: Told, tmp_path: Path) -> None:
    job = await make_video(tmp_path)
    spans = told.spans()
    root = spans["media_agent.job"]

    assert job.status is JobStatus.COMPLETED
    for name in ("media_agent.queue", "media_agent.generate", "media_agent.deliver"):
        assert spans[name].parent is not None
        assert spans[name].parent.span_id == root.context.span_id
    assert root.attributes is not None
    assert root.attributes["media_agent.job.id"] == job.id
    assert root.attributes["media_agent.job.status"] == "completed"
    assert root.attributes["gen_ai.output.type"] == "video"
    ends = [spans[f"media_agent.{name}"].end_time for name in ("queue", "generate", "deliver")]
    assert ends == sorted(ends)
    assert root.start_time == int(job.created_at.timestamp() * 10**9)


@pytest.mark.anyio
async def test_the_numbers_of_a_job_are_metrics(told: Told, tmp_path: Path) -> None:
    await make_video(tmp_path)
    points = told.points()

    for name in ("job", "queue", "generate", "deliver"):
        ((labels, seconds),) = points[f"media_agent.{name}.duration"]
        assert labels["gen_ai.provider.name"] == "sandbox"
        assert 0 <= seconds < 600
    ((labels, frames),) = points["media_agent.frames"]
    assert frames == 24
    assert "media_agent.job.id" not in labels  # as many series as there are models, not jobs


def hear_of(job: VideoJob, *, followed: VideoJob | None = None) -> None:
    """Tell of a job from its beginning to its end."""
    telemetry, end = JobTelemetry(job), JobCompleted(frames=48)
    with telemetry.seen():
        telemetry.follow(followed or job)
        telemetry.hear(JobStarted(), NOW)
        telemetry.deliver(end)
        telemetry.hear(end, NOW)


def test_frames_that_a_provider_does_not_count_are_those_of_the_file(told: Told) -> None:
    video = VideoMetadata(width=64, height=64, fps=24, frames=48, duration=2, codec="h264")
    telemetry = JobTelemetry(job())
    with telemetry.seen():
        telemetry.follow(job())
        telemetry.hear(JobStarted(), NOW)
        telemetry.hear(JobCompleted(artifacts=(Artifact(uri="a.mp4", metadata=video),)), NOW)

    ((_, frames),) = told.points()["media_agent.frames"]
    assert frames == 48


def test_cost_and_frames_of_a_video_in_segments_are_counted_with_its_segments(told: Told) -> None:
    whole = job(cost=0.5)
    segment = Segment(request=whole.request)
    plan = whole.plan.model_copy(update={"segments": (segment,)})
    hear_of(whole.model_copy(update={"plan": plan}))

    points = told.points()
    assert len(points["media_agent.job.duration"]) == 1
    assert not {"media_agent.cost", "media_agent.frames"} & points.keys()


def test_numbers_are_of_the_backend_that_took_the_job(told: Told) -> None:
    asked = job(cost=0.5)
    plan = asked.plan.model_copy(update={"backend": "other", "estimate": Estimate(cost_usd=0.7)})
    hear_of(asked, followed=asked.model_copy(update={"plan": plan, "quote_usd": 0.7}))

    points = told.points()
    ((labels, usd),) = points["media_agent.cost"]
    assert (labels["gen_ai.provider.name"], usd) == ("other", 0.7)
    ((labels, _),) = points["media_agent.queue.duration"]
    assert labels["gen_ai.provider.name"] == "other"
    root = told.spans()["media_agent.job"].attributes or {}
    assert root["gen_ai.provider.name"] == "other"


@pytest.mark.anyio
async def test_each_change_of_state_is_one_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "media_agent")
    job = await make_video(tmp_path)
    lines = [each.getMessage() for each in caplog.records if each.name == "media_agent.jobs"]

    assert [line.split(", ")[0] for line in lines] == [
        f"job {job.id}: queued -> in_progress",
        f"job {job.id}: in_progress -> completed",
    ]
    assert PROMPT not in caplog.text


@pytest.mark.anyio
async def test_a_failed_job_tells_the_code_of_its_error_and_not_its_words(
    told: Told, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "media_agent")
    program = [sys.executable, "-c", "raise SystemExit('{prompt}')", "{output}"]
    options = {"command": program, "sizes": ["64x64"], "fps": [24], "durations": [1]}
    settings = load_settings(
        default_backend="broken", backends={"broken": {"kind": "command", "options": options}}
    )
    async with VideoClient(settings=settings) as client:
        job = await client.generate(VideoRequest(prompt=PROMPT, duration=1), out=tmp_path / "b.mp4")

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert f"in_progress -> failed, broken/program, {job.error.code}" in caplog.text
    root = told.spans()["media_agent.job"]
    assert root.attributes is not None
    assert root.attributes["error.type"] == job.error.code
    assert not root.status.is_ok
    assert "walrus" not in told.as_text() + caplog.text


@pytest.mark.anyio
async def test_neither_prompt_nor_path_is_told(told: Told, tmp_path: Path) -> None:
    await make_video(tmp_path, negative_prompt="no second walrus")

    assert "media_agent.job" in told.as_text()
    assert "walrus" not in told.as_text()
    assert str(tmp_path) not in told.as_text()


@pytest.mark.anyio
async def test_a_job_belongs_to_the_trace_of_whoever_asked_the_server(told: Told) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    app = build_app(load_settings(default_backend="sandbox"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http,
    ):
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        body = {"prompt": PROMPT, "seconds": "4"}
        video = (await http.post("/v1/videos", json=body, headers=headers)).json()
        while video["status"] not in {"completed", "failed"}:
            video = (await http.get(f"/v1/videos/{video['id']}")).json()

    root = told.spans()["media_agent.job"]
    assert video["status"] == "completed"
    assert f"{root.context.trace_id:032x}" == trace
