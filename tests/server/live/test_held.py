"""Nothing of a video is shown before a policy has looked at all of it."""

import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from media_agent.client import VideoClient
from media_agent.config.settings import load_settings
from media_agent.policy.decisions import ALLOW, Allow, PolicySpec, Refuse, VideoPolicy
from media_agent.registry.plugins import discover
from media_agent.registry.registry import Registry
from media_agent.server.app import build_app

pytestmark = pytest.mark.anyio
REQUEST = {"prompt": "x", "duration": 1, "fps": 8, "size": {"width": 32, "height": 32}}


class Patient(VideoPolicy):
    """Looks at a video for as long as a test wants."""

    def __init__(self, answer: Allow | Refuse) -> None:
        self.answer, self.looking, self.seen = answer, threading.Event(), threading.Event()

    def after_result(self, plan: object, video: Path, call: object) -> Allow | Refuse:
        self.looking.set()
        self.seen.wait(20)
        return self.answer


@pytest.fixture
def answer() -> Allow | Refuse:
    return ALLOW


@pytest.fixture
def policy(answer: Allow | Refuse) -> Patient:
    return Patient(answer)


@pytest.fixture
async def http(policy: Patient) -> AsyncIterator[httpx.AsyncClient]:
    settings = load_settings(default_backend="sandbox", policies={"eye": {}})
    found = replace(discover(), policies={"eye": PolicySpec("eye", lambda settings: policy)})
    app = build_app(settings, client=VideoClient(settings=settings, registry=Registry(found)))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client
    policy.seen.set()


async def begin(http: httpx.AsyncClient, policy: Patient) -> str:
    """Begin a job and return when its video is made, and being looked at."""
    job_id = str((await http.post("/v1/jobs", json={"request": REQUEST})).json()["id"])
    while not policy.looking.is_set():
        await http.get(f"/v1/jobs/{job_id}")
    return job_id


async def test_it_is_shown_when_it_is_allowed_and_not_before(
    http: httpx.AsyncClient, policy: Patient
) -> None:
    job_id = await begin(http, policy)

    live, whole = f"/v1/jobs/{job_id}/live/index.m3u8", f"/v1/videos/{job_id}/content"
    assert (await http.get(live)).status_code == 409
    assert (await http.get(whole)).status_code == 409
    policy.seen.set()
    await http.get(f"/v1/jobs/{job_id}/events")
    assert (await http.get(live)).status_code == 200
    assert (await http.get(whole)).status_code == 200


@pytest.mark.parametrize("answer", [Refuse("ugly", "nobody wants to see that")])
async def test_a_refused_video_is_never_shown(http: httpx.AsyncClient, policy: Patient) -> None:
    job_id = await begin(http, policy)
    policy.seen.set()
    await http.get(f"/v1/jobs/{job_id}/events")

    job = (await http.get(f"/v1/jobs/{job_id}")).json()

    assert job["status"] == "failed"
    assert "nobody wants to see that" in job["error"]["message"]
    assert job["artifacts"] == []
    for path in (
        f"/v1/jobs/{job_id}/live/index.m3u8",
        f"/v1/jobs/{job_id}/live/0.m4s",
        f"/v1/jobs/{job_id}/files/0",
        f"/v1/videos/{job_id}/content",
        f"/v1/videos/{job_id}/content?variant=partial",
    ):
        assert (await http.get(path)).status_code in (404, 409), path
