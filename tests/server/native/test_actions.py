"""What is done to a job over the native API."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
SMALL = {"size": {"width": 32, "height": 32}, "fps": 4}


async def begin(http: httpx.AsyncClient, **more: Any) -> str:
    reply = await http.post("/v1/jobs", json={"request": {"prompt": "x", **SMALL, **more}})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def end(http: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    await http.get(f"/v1/jobs/{job_id}/events")
    job: dict[str, Any] = (await http.get(f"/v1/jobs/{job_id}")).json()
    return job


async def test_a_running_video_is_steered_and_finished(http: httpx.AsyncClient) -> None:
    slow = {"sandbox": {"latency_seconds": 0.2}}
    job_id = await begin(http, endless=True, options=slow)

    steered = await http.post(f"/v1/jobs/{job_id}/steer", json={"prompt": "y"})
    wrong = await http.post(f"/v1/jobs/{job_id}/steer", json={"prompt": "y", "at": "later"})
    finished = await http.post(f"/v1/jobs/{job_id}/finish")

    assert (steered.status_code, finished.status_code) == (200, 200), steered.text
    assert wrong.status_code == 400
    events = (await http.get(f"/v1/jobs/{job_id}/events")).text
    assert "event: prompt.changed" in events
    assert (await end(http, job_id))["status"] == "completed"


async def test_a_video_is_extended_into_a_new_job_once(http: httpx.AsyncClient) -> None:
    job_id = await begin(http, duration=1)
    await end(http, job_id)
    body = {"prompt": "y", "duration": 1}

    first = await http.post(
        f"/v1/jobs/{job_id}/extend", json=body, headers={"Idempotency-Key": "a"}
    )
    again = await http.post(
        f"/v1/jobs/{job_id}/extend", json=body, headers={"Idempotency-Key": "a"}
    )

    assert (first.status_code, again.status_code) == (201, 200), first.text
    assert first.json()["id"] == again.json()["id"] != job_id
    longer = await end(http, first.json()["id"])
    assert longer["artifacts"][0]["metadata"]["duration"] == 2


async def test_what_would_continue_a_video_is_planned_and_not_begun(
    http: httpx.AsyncClient,
) -> None:
    job_id = await begin(http, duration=1)
    await end(http, job_id)
    body = {"prompt": "y", "duration": 1}

    extension = await http.post(f"/v1/jobs/{job_id}/extend/plan", json=body)
    branch = await http.post(f"/v1/jobs/{job_id}/branch/plan", json={**body, "at": 0})
    dear = await http.post(f"/v1/jobs/{job_id}/extend/plan", json={**body, "model": "sandbox/none"})

    assert (extension.status_code, branch.status_code) == (200, 200), branch.text
    assert extension.json()["estimate"]["cost_usd"] == 0
    assert extension.json()["backend"] == branch.json()["backend"] == "sandbox"
    assert dear.status_code == 400
    assert len((await http.get("/v1/jobs")).json()["data"]) == 1


async def test_a_video_that_failed_is_resumed_in_the_background(http: httpx.AsyncClient) -> None:
    fails = {"sandbox": {"fail_at": "chunk:1"}}
    job_id = await begin(http, duration=2, options=fails)
    assert (await end(http, job_id))["status"] == "failed"

    resumed = await http.post(f"/v1/jobs/{job_id}/resume")

    assert resumed.status_code == 200
    ended = await end(http, job_id)
    events = (await http.get(f"/v1/jobs/{job_id}/events?after=-1")).text
    assert events.count("event: job.started") == 2
    assert ended["status"] == "failed"  # it fails there again


async def test_a_job_that_nobody_lost_has_nothing_to_reconcile(http: httpx.AsyncClient) -> None:
    job_id = await begin(http, duration=1)
    await end(http, job_id)

    found = (await http.post(f"/v1/jobs/{job_id}/reconcile")).json()

    assert found["job"]["id"] == job_id
    assert found["said"] == "nothing about it is unknown"
