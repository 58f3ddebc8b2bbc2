"""Jobs as tasks, for clients that declare them; no other client sees any of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client, MCPError
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.server.lowlevel import Server
from mcp_types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    Request,
    RequestParams,
    Result,
)
from pydantic import ConfigDict

from media_agent.client import VideoClient
from media_agent.mcp.access import OneBox
from media_agent.mcp.server import build_server
from media_agent.mcp.tasks import TASKS
from media_agent.tools import ToolBox
from tests.mcp.conftest import PRICED, SLOW, WISH, open_client
from tests.mcp.test_questions import Person

pytestmark = pytest.mark.anyio


class Task(Result):
    """A task as it is on the wire."""

    model_config = ConfigDict(extra="allow")

    result_type: Literal["task"] = "task"
    task_id: str
    status: str


class Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class Reply(Result):
    model_config = ConfigDict(extra="allow")


class AsTasks(ClientExtension):
    """Declares tasks, and hands them on as they come."""

    identifier = TASKS

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Task, resolve=self._resolve)]

    async def _resolve(self, task: Task, context: ClaimContext) -> CallToolResult:
        raise AssertionError("the test asks for it itself")


async def create(client: Client, arguments: dict[str, Any]) -> Any:
    return await client.session.call_tool("create_video", arguments, allow_claimed=True)


async def send(client: Client, method: str, **params: Any) -> dict[str, Any]:
    request = Request[Params, str](method=method, params=Params.model_validate(params))
    reply = await client.session.send_request(request, Reply)  # type: ignore[arg-type]
    return reply.model_dump(by_alias=True)


@pytest.fixture
async def tasks(server: Server[Any]) -> AsyncIterator[Client]:
    """A client that declares tasks."""
    async with Client(server, extensions=[AsTasks()]) as opened:
        yield opened


async def test_a_new_video_is_a_task_that_ends_with_the_result_of_its_call(
    tasks: Client, videos: VideoClient
) -> None:
    task = await create(tasks, WISH)
    (job,) = await videos.list()
    for _ in range(2000):
        state = await send(tasks, "tasks/get", taskId=task.task_id)
        if state["status"] != "working":
            break

    assert (task.result_type, task.status, task.task_id) == ("task", "working", job.id)
    assert state["status"] == "completed"
    assert state["resultType"] == "complete"
    assert state["ttlMs"] is None
    assert state["createdAt"].endswith("Z")
    assert [part["type"] for part in state["result"]["content"]][:2] == ["text", "resource_link"]
    assert state["result"].get("isError") is False
    done = await create(tasks, WISH)
    assert isinstance(done, CallToolResult)


async def test_a_task_is_cancelled_with_its_job(tasks: Client, videos: VideoClient) -> None:
    task = await create(tasks, SLOW)

    acknowledged = await send(tasks, "tasks/cancel", taskId=task.task_id)
    for _ in range(2000):
        state = await send(tasks, "tasks/get", taskId=task.task_id)
        if state["status"] != "working":
            break

    assert "taskId" not in acknowledged
    assert state["status"] == "cancelled"
    assert "result" not in state
    assert (await videos.get(task.task_id)).status == "cancelled"


async def test_a_video_that_failed_is_a_completed_task_with_an_error_of_the_tool(
    tasks: Client,
) -> None:
    task = await create(tasks, WISH | {"options": ["fail_at=chunk:0"]})
    for _ in range(2000):
        state = await send(tasks, "tasks/get", taskId=task.task_id)
        if state["status"] != "working":
            break

    assert state["status"] == "completed"
    assert state["result"]["isError"] is True


async def test_a_task_outlives_the_process_that_made_it(
    tasks: Client, videos: VideoClient, tmp_path: Path
) -> None:
    task = await create(tasks, SLOW)
    await videos.aclose()

    async with open_client(tmp_path) as later:
        second = build_server(OneBox(ToolBox(later)))
        async with Client(second, extensions=[AsTasks()]) as client:
            state = await send(client, "tasks/get", taskId=task.task_id)
            await send(client, "tasks/cancel", taskId=task.task_id)

    assert state["status"] == "working"


async def test_answers_to_a_task_that_asked_nothing_are_acknowledged(
    tasks: Client, videos: VideoClient
) -> None:
    task = await create(tasks, SLOW)

    reply = await send(tasks, "tasks/update", taskId=task.task_id, inputResponses={"a": {}})

    assert "taskId" not in reply
    await videos.cancel(task.task_id)


async def test_a_price_is_agreed_to_before_there_is_a_task(
    server: Server[Any], videos: VideoClient
) -> None:
    no = Person("decline")
    dear = PRICED | {"options": ["price_per_second=2", "latency_seconds=60"]}

    async with Client(server, extensions=[AsTasks()], elicitation_callback=no) as client:
        refused = await client.call_tool("create_video", dear)
    left = await videos.list()

    assert refused.is_error
    assert left == []
    assert len(no.asked) == 1


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_an_unknown_task_is_said(tasks: Client, method: str) -> None:
    for task_id in ("nothing", "../../etc", "x" * 100_000):
        with pytest.raises(MCPError, match="unknown task") as refused:
            await send(tasks, method, taskId=task_id)
        assert refused.value.code == INVALID_PARAMS
        assert len(str(refused.value)) < 400


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
@pytest.mark.parametrize(
    ("mode", "code"),
    [("auto", MISSING_REQUIRED_CLIENT_CAPABILITY), ("legacy", METHOD_NOT_FOUND)],
)
async def test_a_client_that_declares_no_tasks_has_none(
    server: Server[Any], videos: VideoClient, mode: str, code: int, method: str
) -> None:
    async with Client(server, mode=mode) as client:
        made = await client.call_tool("create_video", SLOW)
        (job,) = await videos.list()
        with pytest.raises(MCPError) as refused:
            await send(client, method, taskId=job.id)

    assert isinstance(made, CallToolResult)
    assert refused.value.code == code
    await videos.cancel(job.id)
