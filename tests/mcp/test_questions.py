"""A price above the limit: a person is asked where the client can, else it is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.session import ClientRequestContext
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, InputRequiredResult

from media_agent.client import VideoClient
from media_agent.mcp.access import OneBox
from media_agent.mcp.server import build_server
from media_agent.tools import ToolBox
from tests.mcp.conftest import PRICED, open_client

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy"]
Answer = Callable[[ClientRequestContext, ElicitRequestParams], Any]


class Person:
    """Answers every question alike, and keeps them."""

    def __init__(self, action: Any, content: Any = None) -> None:
        self.reply = ElicitResult(action=action, content=content)
        self.asked: list[str] = []

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        self.asked.append(params.message)
        return self.reply


def read(result: CallToolResult) -> Any:
    return json.loads(result.content[0].text)  # type: ignore[union-attr]  # a text is first


@pytest.mark.parametrize("mode", MODES)
async def test_after_a_yes_it_is_made_once_and_not_asked_about_again(
    server: Server[Any], videos: VideoClient, mode: str
) -> None:
    person = Person("accept", {"generate_it": True})

    async with Client(server, mode=mode, elicitation_callback=person) as client:
        made = read(await client.call_tool("create_video", PRICED))
        again = read(await client.call_tool("create_video", PRICED))

    assert made["job_id"] == again["job_id"]
    assert person.asked == [
        "sandbox/slate would generate this video for about 2.00 USD. Generate it?"
    ]
    assert len(await videos.list()) == 1


@pytest.mark.parametrize(
    ("mode", "person"),
    [
        ("auto", Person("decline")),
        ("legacy", Person("decline")),
        ("auto", Person("cancel")),
        ("auto", Person("accept")),
        ("legacy", Person("accept", {"generate_it": False})),
        ("auto", Person("accept", {"generate_it": "true"})),
        ("auto", Person("accept", {"other": True})),
    ],
)
async def test_all_but_a_yes_submits_nothing(
    server: Server[Any], videos: VideoClient, mode: str, person: Person
) -> None:
    async with Client(server, mode=mode, elicitation_callback=person) as client:
        result = await client.call_tool("create_video", PRICED)

    assert result.is_error
    assert read(result)["error"]["code"] == "job_cancelled"
    assert "about 2.00 USD; nothing was submitted" in read(result)["error"]["message"]
    assert await videos.list() == []


@pytest.mark.parametrize("mode", MODES)
async def test_where_nobody_can_be_asked_it_is_refused_with_the_number(
    server: Server[Any], videos: VideoClient, mode: str
) -> None:
    async with Client(server, mode=mode) as client:
        result = await client.call_tool("create_video", PRICED)

    assert result.is_error
    assert read(result)["error"]["code"] == "budget_exceeded"
    assert "about 2.00 USD" in read(result)["error"]["message"]
    assert "confirm_above_usd" in read(result)["error"]["hint"]
    assert await videos.list() == []


async def test_an_answer_is_good_for_that_video_and_price_alone_also_in_another_process(
    server: Server[Any], tmp_path: Path, videos: VideoClient
) -> None:
    async def nobody(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        raise AssertionError("it is answered by hand")

    async def ask(client: Client, arguments: Any, responses: Any = None) -> Any:
        return await client.session.call_tool(
            "create_video", arguments, input_responses=responses, allow_input_required=True
        )

    yes = ElicitResult(action="accept", content={"generate_it": True})
    async with Client(server, elicitation_callback=nobody) as client:
        question = await ask(client, PRICED)
        assert isinstance(question, InputRequiredResult)
        (token,) = question.input_requests or {}
        dearer = await ask(client, PRICED | {"options": ["price_per_second=3"]}, {token: yes})
        other = await ask(client, PRICED | {"prompt": "a dog"}, {token: yes})
        forged = await ask(client, PRICED, {"cost-0": yes})
    before = await videos.list()
    async with open_client(tmp_path) as later:
        second = build_server(OneBox(ToolBox(later, ask_above_usd=1)))
        async with Client(second, elicitation_callback=nobody) as client:
            made = await ask(client, PRICED, {token: yes})

    for question in (dearer, other, forged):
        assert isinstance(question, InputRequiredResult)
    assert set(forged.input_requests or {}) == {token}
    assert before == []
    assert "job_id" in read(made)
    assert len(await videos.list()) == 1
