"""A call that comes again is the job it was; a second first attempt is a second job."""

import asyncio
from typing import Any

import httpx
import pytest

from media_agent.server.access import gate
from media_agent.server.context import ServerContext
from media_agent.server.jobs.repeats import read_call
from media_agent_schemas.jobs import VideoJob
from tests.server.openai.conftest import SMALL
from tests.server.openai.test_videos import ALICE

pytestmark = pytest.mark.anyio

BODY = {**SMALL, "prompt": "a fox"}
AGAIN = {"x-stainless-retry-count": "1"}
FIRST = {"x-stainless-retry-count": "0"}


async def create(
    http: httpx.AsyncClient, headers: dict[str, str], body: dict[str, Any] = BODY
) -> str:
    reply = await http.post("/v1/videos", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    video: str = reply.json()["id"]
    return video


async def test_two_first_attempts_are_two_videos(http: httpx.AsyncClient) -> None:
    assert await create(http, FIRST) != await create(http, FIRST)


async def test_a_later_attempt_joins_the_newest_video_of_the_same_fields(
    http: httpx.AsyncClient,
) -> None:
    await create(http, FIRST)
    newest = await create(http, FIRST)
    other = await create(http, FIRST, {**BODY, "seed": 1})

    assert await create(http, AGAIN) == newest
    assert await create(http, {**AGAIN, "x-stainless-read-timeout": "x"}) == newest
    assert (
        await create(
            http, AGAIN, {"prompt": "a fox", "seconds": "1", "fps": "4.0", "size": "64x48"}
        )
        != other
    )
    assert await create(http, AGAIN, {**BODY, "seed": 1}) == other


async def test_a_later_attempt_joins_the_first_while_that_is_being_planned(
    http: httpx.AsyncClient, server: ServerContext
) -> None:
    job = server.host.client.store.jobs.get(await create(http, FIRST))
    is_planned = asyncio.Event()

    async def plan() -> VideoJob:
        await is_planned.wait()
        return job

    async def never() -> VideoJob:
        raise AssertionError("it was made twice")

    first = read_call("local", "create", {"seed": 9}, FIRST)
    later = read_call("local", "create", {"seed": 9}, AGAIN)
    making = asyncio.create_task(server.repeats.once(server.host, first, plan))
    await asyncio.sleep(0)
    joining = asyncio.create_task(server.repeats.once(server.host, later, never))
    await asyncio.sleep(0)
    is_planned.set()

    assert await making == (job, True)
    assert await joining == (job, False)


async def test_a_later_attempt_whose_first_never_arrived_makes_the_video(
    http: httpx.AsyncClient,
) -> None:
    video = await create(http, AGAIN)

    assert [each["id"] for each in (await http.get("/v1/videos")).json()["data"]] == [video]


async def test_attempts_of_two_callers_have_nothing_in_common(
    monkeypatch: pytest.MonkeyPatch, http: httpx.AsyncClient
) -> None:
    keyed = {"Idempotency-Key": "one"}
    own, of_key = await create(http, FIRST), await create(http, keyed)

    monkeypatch.setattr(gate, "LOCAL_CALLER", ALICE)

    assert await create(http, AGAIN) != own
    assert await create(http, keyed) != of_key


async def test_one_key_is_one_video_also_at_once(http: httpx.AsyncClient) -> None:
    keyed = {"Idempotency-Key": "one"}

    made = await asyncio.gather(*(create(http, keyed) for _ in range(5)))

    assert set(made) == {await create(http, keyed)}


async def test_a_key_with_other_fields_is_refused(http: httpx.AsyncClient) -> None:
    keyed = {"Idempotency-Key": "one"}
    at_once = await asyncio.gather(
        http.post("/v1/videos", json=BODY, headers=keyed),
        http.post("/v1/videos", json={**BODY, "seed": 1}, headers=keyed),
    )

    later = await http.post("/v1/videos", json={**BODY, "seed": 2}, headers=keyed)

    assert sorted(reply.status_code for reply in at_once) == [200, 409]
    assert later.status_code == 409
    assert later.json()["error"]["code"] == "idempotency_conflict"
    assert later.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_an_impossible_key_is_refused(http: httpx.AsyncClient, key: str) -> None:
    reply = await http.post("/v1/videos", json=BODY, headers={"Idempotency-Key": key})

    assert reply.status_code == 400


async def test_a_call_that_failed_may_be_made_again(http: httpx.AsyncClient) -> None:
    keyed = {"Idempotency-Key": "one"}
    refused = await http.post("/v1/videos", json={**BODY, "model": "none"}, headers=keyed)

    assert refused.status_code == 400
    await create(http, keyed)
