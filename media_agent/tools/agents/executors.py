"""Runs the tool calls in a reply of a language model, and returns the messages to answer it with.

A reply is an object of the vendor's SDK or its JSON data; no SDK is imported.
"""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from pydantic import JsonValue

from media_agent.errors import MediaAgentError
from media_agent.tools.answers.content import Part
from media_agent.tools.dialects import Dialect
from media_agent.tools.toolbox import ToolBox

Message = dict[str, JsonValue]


class SdkObject(Protocol):
    """An object of a vendor's SDK, all of which are pydantic models."""

    def model_dump(self) -> dict[str, JsonValue]:
        """Return it as data."""
        ...


Reply = Mapping[str, JsonValue] | SdkObject


async def run_openai_tool_calls(
    toolbox: ToolBox, message: Reply, *, others: Collection[str] = ()
) -> list[Message]:
    """Return the messages that answer a message of OpenAI's Chat Completions; none: no tool calls.

    Images follow in a message of the user, as tools may answer in text only. Calls of the tools in
    `others`, which you run yourself, are left out.
    """
    calls = [
        (str(call["id"]), _as_object(call.get("function")))
        for call in _list_in(message, "tool_calls")
    ]
    ours = [(call_id, call) for call_id, call in calls if call.get("name") not in others]
    contents = await _run(toolbox, [call for _, call in ours], "arguments", "openai")
    answers: list[Message] = [
        {"role": "tool", "tool_call_id": call_id, "content": content[0]["text"]}
        for (call_id, _), content in zip(ours, contents, strict=True)
    ]
    images: list[JsonValue] = [image for content in contents for image in content[1:]]
    return [*answers, {"role": "user", "content": images}] if images else answers


async def run_openai_function_calls(
    toolbox: ToolBox, response: Reply, *, others: Collection[str] = ()
) -> list[Message]:
    """Return the input items that answer a response of OpenAI's Responses; none: no tool calls.

    `others` are as in `run_openai_tool_calls`.
    """
    calls = _choose(_list_in(response, "output"), "function_call", others)
    contents = await _run(toolbox, calls, "arguments", "openai-responses")
    return [
        {"type": "function_call_output", "call_id": call["call_id"], "output": [*content]}
        for call, content in zip(calls, contents, strict=True)
    ]


async def run_anthropic_tool_uses(
    toolbox: ToolBox, message: Reply, *, others: Collection[str] = ()
) -> list[Message]:
    """Return the message that answers a message of Anthropic's; none: no tool was used.

    `others` are as in `run_openai_tool_calls`; their results belong into the same message.
    """
    uses = _choose(_list_in(message, "content"), "tool_use", others)
    contents = await _run(toolbox, uses, "input", "anthropic")
    results: list[JsonValue] = [
        {"type": "tool_result", "tool_use_id": use["id"], "content": [*content]}
        for use, content in zip(uses, contents, strict=True)
    ]
    return [{"role": "user", "content": results}] if results else []


async def answer_call(
    toolbox: ToolBox, name: str, arguments: Mapping[str, JsonValue] | str, dialect: Dialect
) -> list[Part]:
    """Run one tool and return its answer as parts: its JSON as text, then its image if any."""
    answer = await toolbox.call(name, arguments)
    try:
        return await toolbox.content(answer, dialect)
    except MediaAgentError as error:  # the image is gone since it was named
        known = {field: value for field, value in answer.items() if field != "image"}
        return await toolbox.content({**known, "image_problem": error.message}, dialect)


async def _run(
    toolbox: ToolBox, calls: Sequence[Mapping[str, JsonValue]], field: str, dialect: Dialect
) -> list[list[Part]]:
    """Run tools side by side; the answers are in the order of the calls."""
    answers = (
        answer_call(toolbox, str(call.get("name")), _arguments_in(call, field), dialect)
        for call in calls
    )
    return await asyncio.gather(*answers)


def _arguments_in(call: Mapping[str, JsonValue], field: str) -> Mapping[str, JsonValue] | str:
    given = call.get(field)
    if given is None:
        return {}
    return given if isinstance(given, Mapping | str) else json.dumps(given)


def _choose(
    items: Sequence[Mapping[str, JsonValue]], kind: str, others: Collection[str]
) -> list[Mapping[str, JsonValue]]:
    return [each for each in items if each.get("type") == kind and each.get("name") not in others]


def _list_in(reply: Reply, field: str) -> list[Mapping[str, JsonValue]]:
    data = reply if isinstance(reply, Mapping) else reply.model_dump()
    items = data.get(field)
    return [_as_object(each) for each in items] if isinstance(items, list) else []


def _as_object(value: object) -> Mapping[str, JsonValue]:
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return dict(dump()) if dump is not None else {}
