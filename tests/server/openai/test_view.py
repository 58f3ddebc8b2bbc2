"""What OpenAI's four states make of our six, and what stands beside them."""

import httpx
import pytest

from media_agent.server.context import ServerContext
from media_agent.server.openai.view import choose_pause, view_video
from media_agent_schemas.errors import ErrorInfo
from media_agent_schemas.estimate import Estimate
from media_agent_schemas.jobs import JobStatus, VideoJob
from tests.server.openai.conftest import SMALL

pytestmark = pytest.mark.anyio


@pytest.fixture
async def job(http: httpx.AsyncClient, server: ServerContext) -> VideoJob:
    made = await http.post("/v1/videos", json={**SMALL, "prompt": "a fox"})
    return server.host.client.store.jobs.get(made.json()["id"])


async def test_a_video_of_unknown_outcome_is_not_failed_so_that_nobody_buys_it_again(
    job: VideoJob, server: ServerContext
) -> None:
    path = f"{server.settings.data_dir}/jobs/x/inputs/0"
    error = ErrorInfo(
        code="submit_uncertain",
        message=f"the reply was lost after {path} was sent",
        hint=f"media-agent jobs reconcile {job.id} asks the provider",
        provider_code="gateway_timeout",
    )
    unknown = job.model_copy(
        update={"status": JobStatus.OUTCOME_UNKNOWN, "error": error, "cost_usd": None}
    )

    video = view_video(unknown)

    assert (video.status, video.media_agent.status) == ("in_progress", "outcome_unknown")
    assert video.error is not None
    assert (video.error.code, path in video.error.message) == ("submit_uncertain", False)
    assert f"POST /v1/jobs/{job.id}/reconcile" in video.error.message
    assert video.media_agent.provider_code == "gateway_timeout"
    assert video.media_agent.accepted is True
    assert video.media_agent.billed is None
    assert "do not create it again" in video.media_agent.next
    assert choose_pause(unknown) == 60_000


@pytest.mark.parametrize(
    ("seconds", "usd", "pause"),
    [(0.1, 0, 250), (60, 0, 3000), (10_000, 1, 60_000), (None, 1, 5000), (None, 0, 1000)],
)
async def test_the_pause_follows_the_pace_of_the_job(
    job: VideoJob, seconds: float | None, usd: float, pause: int
) -> None:
    estimate = Estimate(seconds=seconds, cost_usd=usd)
    plan = job.plan.model_copy(update={"estimate": estimate})

    waiting = job.model_copy(update={"plan": plan, "status": JobStatus.IN_PROGRESS})

    assert choose_pause(waiting) == pause


async def test_progress_is_100_only_when_the_video_is_there(job: VideoJob) -> None:
    almost = job.model_copy(update={"status": JobStatus.IN_PROGRESS, "progress": 1.0})

    assert view_video(almost).progress == 99
    assert view_video(job.model_copy(update={"status": JobStatus.COMPLETED})).progress == 100
