"""The calls in replies of vendors: run, and answered in the shape that each vendor takes."""

import asyncio
import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage
from openai.types.responses import Response
from PIL import Image
from pydantic import JsonValue

from media_agent.client import VideoClient
from media_agent.tools import (
    ToolBox,
    run_anthropic_tool_uses,
    run_openai_function_calls,
    run_openai_tool_calls,
)

pytestmark = pytest.mark.anyio


def tiny_png() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(made, "PNG")
    return made.getvalue()


class ShownBox(ToolBox):
    """Answers a call with its name and arguments; get_video with an image."""

    def __init__(self, image: Path) -> None:
        super().__init__(VideoClient())
        self.image = image
        self.running = self.most = 0

    async def call(
        self, name: str, arguments: Mapping[str, JsonValue] | str
    ) -> dict[str, JsonValue]:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        given = json.loads(arguments) if isinstance(arguments, str) else dict(arguments)
        shown = {"image": str(self.image)} if name == "get_video" else {}
        return {"name": name, "given": given, **shown}


@pytest.fixture
def box(tmp_path: Path) -> ShownBox:
    image = tmp_path / "sheet.png"
    image.write_bytes(tiny_png())
    return ShownBox(image)


def chat_call(call_id: str, name: str, arguments: str = "{}") -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def chat_message(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def function_call(call_id: str, name: str, arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def tool_use(use_id: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": use_id, "name": name, "input": given}


async def test_calls_of_a_chat_are_answered_in_order_and_side_by_side(box: ShownBox) -> None:
    message = chat_message(
        chat_call("a", "wait_video", '{"job_id": "1"}'), chat_call("b", "list_videos")
    )

    answers = await run_openai_tool_calls(box, message)

    assert [(each["role"], each["tool_call_id"]) for each in answers] == [
        ("tool", "a"),
        ("tool", "b"),
    ]
    assert json.loads(str(answers[0]["content"])) == {
        "name": "wait_video",
        "given": {"job_id": "1"},
    }
    assert box.most == 2


async def test_an_image_of_a_chat_follows_as_a_message_of_the_user(box: ShownBox) -> None:
    message = chat_message(chat_call("a", "get_video"), chat_call("b", "list_videos"))

    first, second, shown = await run_openai_tool_calls(box, message)

    assert [first["role"], second["role"], shown["role"]] == ["tool", "tool", "user"]
    (part,) = shown["content"]  # type: ignore[misc,union-attr]  # JSON made above
    assert part["type"] == "image_url"  # type: ignore[index,call-overload]  # as before


async def test_objects_of_the_sdk_are_read_as_their_data_is(box: ShownBox) -> None:
    data = chat_message(chat_call("a", "list_videos", '{"limit": 3}'))
    message = ChatCompletionMessage.model_validate(data)
    items = [{**function_call("a", "list_videos"), "id": "i", "status": "completed"}]
    response = Response.model_construct(output=items)

    assert await run_openai_tool_calls(box, message) == await run_openai_tool_calls(box, data)
    assert await run_openai_function_calls(box, response) == await run_openai_function_calls(
        box, {"output": items}
    )


async def test_calls_of_a_response_are_answered_with_text_and_image(box: ShownBox) -> None:
    thought = {"type": "reasoning", "summary": []}
    response = {"output": [thought, function_call("a", "get_video")]}

    (answer,) = await run_openai_function_calls(box, response)

    assert (answer["type"], answer["call_id"]) == ("function_call_output", "a")
    text, image = answer["output"]  # type: ignore[misc]  # JSON made above
    assert text["type"] == "input_text"  # type: ignore[index,call-overload]  # as before
    assert image["type"] == "input_image"  # type: ignore[index,call-overload]  # as before


async def test_uses_of_tools_are_answered_in_one_message(box: ShownBox) -> None:
    said = {"type": "text", "text": "let me see"}
    message = {
        "content": [said, tool_use("a", "get_video", {"job_id": "1"}), tool_use("b", "x", {})]
    }

    (answer,) = await run_anthropic_tool_uses(box, message)

    assert answer["role"] == "user"
    first, second = answer["content"]  # type: ignore[misc]  # JSON made above
    known: Any = first
    assert (known["type"], known["tool_use_id"]) == ("tool_result", "a")
    text, image = known["content"]
    assert json.loads(text["text"])["given"] == {"job_id": "1"}
    assert base64.b64decode(image["source"]["data"]).startswith(b"\x89PNG")
    assert second["tool_use_id"] == "b"  # type: ignore[index,call-overload]  # as before


async def test_a_reply_without_calls_needs_no_answer(box: ShownBox) -> None:
    assert await run_openai_tool_calls(box, {"role": "assistant", "content": "done"}) == []
    assert await run_openai_tool_calls(box, {"content": "done", "tool_calls": None}) == []
    assert await run_openai_function_calls(box, {"output": []}) == []
    assert await run_anthropic_tool_uses(box, {"content": "done"}) == []


async def test_tools_that_you_run_yourself_are_left_to_you(box: ShownBox) -> None:
    others = ("search",)
    chat = chat_message(chat_call("a", "search"), chat_call("b", "list_videos"))
    response = {"output": [function_call("a", "search"), function_call("b", "list_videos")]}
    message = {"content": [tool_use("a", "search", {})]}

    assert len(await run_openai_tool_calls(box, chat, others=others)) == 1
    assert len(await run_openai_function_calls(box, response, others=others)) == 1
    assert await run_anthropic_tool_uses(box, message, others=others) == []


async def test_what_a_model_made_up_is_answered_with_an_error() -> None:
    async with VideoClient() as client:
        calls = [chat_call("a", "make_film"), chat_call("b", "wait_video", "no JSON"), {"id": "c"}]
        answers = await run_openai_tool_calls(ToolBox(client), chat_message(*calls))

    assert [each["tool_call_id"] for each in answers] == ["a", "b", "c"]
    for each in answers:
        assert "error" in json.loads(str(each["content"]))


async def test_an_image_that_is_gone_is_said_and_the_answer_kept(box: ShownBox) -> None:
    box.image.unlink()

    (answer,) = await run_openai_tool_calls(box, chat_message(chat_call("a", "get_video")))

    said = json.loads(str(answer["content"]))
    assert said["name"] == "get_video"
    assert "image" not in said
    assert "image_problem" in said
