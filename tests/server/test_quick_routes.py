"""The quick ways to a new video and to its state: they answer what the described routes answer."""

import anyio
import httpx
import pytest
from fastapi import FastAPI

from media_agent.server.operation.counts import CallCounts
from media_agent.server.quick_routes import QUICK_ROUTES

pytestmark = pytest.mark.anyio
SMALL = {"prompt": "a fox", "seconds": 1, "size": "64x64", "latency_seconds": 60}
KINDS = pytest.mark.parametrize("kind", ["videos", "jobs"])


@KINDS
async def test_it_answers_as_the_described_route_does(
    app: FastAPI, http: httpx.AsyncClient, kind: str
) -> None:
    made = (await http.post("/v1/videos", json={**SMALL, "latency_seconds": 0})).json()["id"]
    ended = f"/v1/videos/{made}"  # a job that has ended no longer changes between two readings
    while (await http.get(ended)).json()["status"] != "completed":  # noqa: ASYNC110  # as a client does
        await anyio.sleep(0.01)
    paths = (f"/v1/{kind}/{made}", f"/v1/{kind}/nothing", f"/v1/{kind}/{'x' * 201}")

    quick = [await http.get(path) for path in paths]
    for route in QUICK_ROUTES:
        app.router.routes.remove(route)
    described = [await http.get(path) for path in paths]

    assert [each.status_code for each in quick] == [200, 404, 400]
    for one, other in zip(quick, described, strict=True):
        assert (one.status_code, one.json()) == (other.status_code, other.json())
        assert one.headers == other.headers


@KINDS
async def test_other_calls_of_its_address_are_answered_as_before(
    http: httpx.AsyncClient, kind: str
) -> None:
    reply = await http.put(f"/v1/{kind}/x")

    assert reply.status_code == 405


@KINDS
async def test_it_is_counted_under_its_route(
    app: FastAPI, http: httpx.AsyncClient, kind: str
) -> None:
    counts: CallCounts = app.state.context.counts
    await http.get(f"/v1/{kind}/nothing")

    assert counts.by_status[("GET", f"/v1/{kind}/{{job_id}}"), 404] == 1


@pytest.mark.parametrize(
    "body", [{"prompt": 7}, {}, {**SMALL, "colour": "red"}, {**SMALL, "model": "sora-2"}]
)
async def test_a_video_is_refused_as_by_the_described_route(
    app: FastAPI, http: httpx.AsyncClient, body: dict[str, object]
) -> None:
    quick = await http.post("/v1/videos", json=body)
    for route in QUICK_ROUTES:
        app.router.routes.remove(route)
    described = await http.post("/v1/videos", json=body)

    assert quick.status_code == 400
    assert (quick.status_code, quick.json()) == (described.status_code, described.json())
    assert quick.headers == described.headers


async def test_a_video_is_made_as_by_the_described_route(
    app: FastAPI, http: httpx.AsyncClient
) -> None:
    counts: CallCounts = app.state.context.counts
    quick = await http.post("/v1/videos", json={**SMALL, "seed": 1})
    counted = counts.by_status[("POST", "/v1/videos"), 200]
    for route in QUICK_ROUTES:
        app.router.routes.remove(route)
    described = await http.post("/v1/videos", json={**SMALL, "seed": 1})

    assert (quick.status_code, counted) == (200, 1)
    assert quick.json().keys() == described.json().keys()
    assert quick.headers.keys() == described.headers.keys()
    assert quick.json()["id"] != described.json()["id"]
