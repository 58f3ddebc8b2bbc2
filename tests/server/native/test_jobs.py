"""Jobs over the native API: made once, listed by page, looked at, deleted."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
SHORT: Mapping[str, Any] = {
    "prompt": "a red circle",
    "num_frames": 2,
    "size": {"width": 64, "height": 64},
}


async def make(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    """Return a job that has ended."""
    reply = await http.post("/v1/jobs", json={"request": SHORT, **more})
    assert reply.status_code == 201, reply.text
    await http.get(f"/v1/jobs/{reply.json()['id']}/events")  # to its end
    done: dict[str, Any] = (await http.get(f"/v1/jobs/{reply.json()['id']}")).json()
    return done


async def test_a_job_is_made_with_its_video_record_and_files(http: httpx.AsyncClient) -> None:
    job = await make(http, label="mine")

    assert job["status"] == "completed"
    assert job["label"] == "mine"
    assert job["artifacts"][0]["uri"] == f"/v1/videos/{job['id']}/content"
    record = (await http.get(job["links"]["record"])).json()
    assert record["job_id"] == job["id"]
    video = await http.get(f"/v1/jobs/{job['id']}/files/0")
    assert len(video.content) == job["artifacts"][0]["size_bytes"]
    assert (await http.get(f"/v1/jobs/{job['id']}/files/1")).status_code == 404


async def test_a_repeated_key_is_the_same_job(http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "once"}

    first = await http.post("/v1/jobs", json={"request": SHORT}, headers=key)
    again = await http.post("/v1/jobs", json={"request": SHORT}, headers=key)
    other = await http.post("/v1/jobs", json={"request": {"prompt": "y"}}, headers=key)

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == f"/v1/jobs/{first.json()['id']}"


async def test_the_pages_of_a_list_hold_every_job_once(http: httpx.AsyncClient) -> None:
    made = [(await make(http))["id"] for _ in range(3)]

    first = (await http.get("/v1/jobs?limit=2")).json()
    second = (await http.get(f"/v1/jobs?limit=2&after={first['last_id']}")).json()
    oldest = (await http.get("/v1/jobs?limit=1&order=asc")).json()

    assert [each["id"] for each in first["data"] + second["data"]] == made[::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert oldest["first_id"] == made[0]
    assert (await http.get("/v1/jobs?status=failed")).json()["data"] == []
    assert (await http.get("/v1/jobs?after=nothing")).status_code == 404


async def test_a_budget_of_the_call_refuses_what_costs_more(http: httpx.AsyncClient) -> None:
    priced = {"sandbox": {"price_per_second": 3.0}}
    request = {**SHORT, "budget": {"max_cost_usd": 5}, "options": priced}

    reply = await http.post("/v1/jobs", json={"request": request, "max_cost_usd": 0.01})

    assert reply.status_code == 402
    assert reply.json()["media_agent"]["code"] == "budget_exceeded"


async def test_a_job_is_deleted_with_its_video_once_it_is_over(http: httpx.AsyncClient) -> None:
    job = await make(http)

    gone = await http.delete(f"/v1/jobs/{job['id']}")

    assert gone.json()["deleted"] is True
    assert gone.json()["removed_videos"] == 1
    assert (await http.get(f"/v1/jobs/{job['id']}")).status_code == 404


async def test_a_job_under_way_is_not_deleted(http: httpx.AsyncClient) -> None:
    started = await http.post("/v1/jobs", json={"request": {"prompt": "x", "endless": True}})
    job_id = started.json()["id"]

    reply = await http.delete(f"/v1/jobs/{job_id}")

    assert reply.status_code == 409
    assert (await http.post(f"/v1/jobs/{job_id}/cancel")).status_code == 200
