"""The Model Context Protocol at /mcp of a server: a caller has its own jobs, as its key allows."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from media_agent.config.settings import load_settings
from media_agent.ledger.ledger import Ledger
from media_agent.server.mcp_endpoint import McpEndpoint
from tests.mcp.test_tasks import AsTasks, Task, send
from tests.server.access.conftest import NewKey, bearer

pytestmark = pytest.mark.anyio

WISH: dict[str, Any] = {"prompt": "a cat", "duration": 0.5, "size": "64x36", "seed": 0}
BASE = "http://localhost:8000"


@pytest.fixture
async def serving(app: FastAPI) -> AsyncIterator[FastAPI]:
    endpoint = McpEndpoint(lambda: app.state.context.host)
    app.router.routes.append(endpoint.route)
    async with app.router.lifespan_context(app):
        yield app
        await endpoint.aclose()


@asynccontextmanager
async def connected(
    app: FastAPI, secret: str | None = None, mode: str = "auto", *, tasks: bool = False
) -> AsyncIterator[Client]:
    headers = {} if secret is None else bearer(secret)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, headers=headers) as http:
        wire: AbstractAsyncContextManager[Any] = streamable_http_client(
            f"{BASE}/mcp", http_client=http
        )
        extensions = [AsTasks()] if tasks else []
        async with Client(wire, mode=mode, extensions=extensions) as client:
            yield client


async def call(client: Client, tool: str, **arguments: Any) -> tuple[CallToolResult, Any]:
    result = await client.call_tool(tool, arguments)
    return result, json.loads(result.content[0].text)  # type: ignore[union-attr]  # a text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_this_machine_makes_a_video_and_gets_paths(serving: FastAPI, mode: str) -> None:
    async with connected(serving, mode=mode) as client:
        result, done = await call(client, "create_video", **WISH, wait_seconds=30)

    assert done["status"] == "completed"
    assert done["video"].startswith("/")
    assert len(result.content) == 5


async def test_an_agent_pays_by_the_factor_of_its_key(
    serving: FastAPI, new_key: NewKey, ledger: Ledger
) -> None:
    new_key(resale_factor=3.0)
    async with connected(serving, new_key(resale_factor=1.5)) as client:
        _, done = await call(client, "create_video", **WISH, wait_seconds=30)
        _, longer = await call(client, "extend_video", job_id=done["job_id"], prompt="it sleeps")

    assert ledger.jobs.terms(done["job_id"]).resale_factor == 1.5
    assert ledger.jobs.terms(longer["job_id"]).resale_factor == 1.5


async def test_callers_see_their_own_jobs_and_no_paths(serving: FastAPI, new_key: NewKey) -> None:
    alice, bob = new_key(owner="alice"), new_key(owner="bob")

    async with connected(serving, alice) as hers, connected(serving, bob) as his:
        _, done = await call(hers, "create_video", **WISH, wait_seconds=30)
        _, other = await call(his, "create_video", **WISH, wait_seconds=30)
        refused, foreign = await call(his, "get_video", job_id=done["job_id"])
        _, listed = await call(his, "list_videos")
        with pytest.raises(Exception, match="unknown job"):
            await his.read_resource(f"media-agent://jobs/{done['job_id']}/video")
        own = await hers.read_resource(f"media-agent://jobs/{done['job_id']}/record")
        frame, _ = await call(his, "create_video", prompt="a", first_frame="/etc/passwd")

    assert done["job_id"] != other["job_id"]
    assert done["video"] == f"{BASE}/v1/videos/{done['job_id']}/content"
    assert refused.is_error
    assert foreign["error"]["code"] == "job_not_found"
    assert [each["job_id"] for each in listed["jobs"]] == [other["job_id"]]
    assert own.contents
    assert frame.is_error
    folder = str(load_settings().data_dir)
    assert folder not in json.dumps([done, other, foreign, listed])


async def test_a_task_of_another_caller_is_as_unknown_as_none(
    serving: FastAPI, new_key: NewKey
) -> None:
    alice, bob = new_key(owner="alice"), new_key(owner="bob")
    slow = WISH | {"options": ["latency_seconds=60"]}

    async with (
        connected(serving, alice, tasks=True) as hers,
        connected(serving, bob, tasks=True) as his,
    ):
        made = await hers.session.call_tool("create_video", slow, allow_claimed=True)
        assert isinstance(made, Task)
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            with pytest.raises(MCPError) as foreign:
                await send(his, method, taskId=made.task_id)
            with pytest.raises(MCPError) as absent:
                await send(his, method, taskId="nothing")
            assert str(foreign.value).replace(made.task_id, "nothing") == str(absent.value)
        own = await send(hers, "tasks/get", taskId=made.task_id)
        await send(hers, "tasks/cancel", taskId=made.task_id)

    assert own["status"] == "working"


async def test_a_key_allows_what_its_scopes_say(serving: FastAPI, new_key: NewKey) -> None:
    reader = new_key(scopes=frozenset({"videos:read"}))
    writer = new_key(scopes=frozenset({"videos:write"}))

    async with connected(serving, reader) as client:
        _, made = await call(client, "create_video", **WISH)
        _, stopped = await call(client, "cancel_video", job_id="a")
        _, listed = await call(client, "list_videos")
    async with connected(serving, writer) as client:
        result, created = await call(client, "create_video", **WISH, wait_seconds=30)
        _, looked = await call(client, "list_videos")

    assert made["error"]["code"] == stopped["error"]["code"] == looked["error"]["code"]
    assert "videos:write" in made["error"]["message"]
    assert "videos:read" in looked["error"]["message"]
    assert listed["jobs"] == []
    assert not result.is_error or "videos:read" in created["error"]["message"]


@pytest.mark.parametrize("headers", [{}, bearer("ma_wrong")])
async def test_nobody_gets_in_without_a_key(
    serving: FastAPI, new_key: NewKey, headers: dict[str, str]
) -> None:
    new_key()
    transport = httpx2.ASGITransport(serving)

    async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=headers) as http:
        reply = await http.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})

    assert reply.status_code == 401
