"""An agent creates a video with tools: it plans, creates, waits in short calls, shows the result.

The "language model" here is a local script, so that the loop can be tried without a key: it
decides by what the tools return, using messages in OpenAI's chat format. Put a real model in its
place and the rest stays the same.

    python examples/agent_tool_loop.py "a red circle moving right"
    python examples/agent_tool_loop.py "a fox in the snow" --model sandbox
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from media_agent.client import VideoClient
from media_agent.tools import ToolBox

Message = dict[str, Any]

MOST_TURNS = 30
WAIT_SECONDS = 5


class ScriptedModel:
    """Stands in for a language model: messages and tools in, a tool call or final text out."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = dict(request)

    def reply(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
        """Return the next message of the assistant."""
        known = {tool["function"]["name"] for tool in tools}
        name, arguments = self._decide(messages)
        if name is None:
            return {"role": "assistant", "content": arguments["says"]}
        assert name in known
        call = {"name": name, "arguments": json.dumps(arguments)}
        return {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"call_{len(messages)}", "type": "function", "function": call}],
        }

    def _decide(self, messages: Sequence[Message]) -> tuple[str | None, dict[str, Any]]:
        """Return the tool to call with its arguments, or None and the final text."""
        last = messages[-1]
        if last["role"] == "user":
            return "plan_video", self._request
        answer = json.loads(last["content"])
        if "error" in answer and "job_id" not in answer:
            return None, {"says": f"I could not do it: {answer['error']['message']}"}
        if "summary" in answer:  # the plan
            if "chosen" not in answer:
                return None, {"says": f"Nobody can do it: {answer['summary']}"}
            return "create_video", self._request | {"model": answer["chosen"]["model"]}
        if not answer["finished"]:
            return "wait_video", {"job_id": answer["job_id"], "seconds": WAIT_SECONDS}
        if answer["status"] != "completed":
            return None, {"says": f"It ended as {answer['status']}: {answer['next']}"}
        return None, {"says": _present(answer)}


def _present(answer: Mapping[str, Any]) -> str:
    return (
        f"Here is your video: {answer['video']}, {answer['seconds']:g} s, {answer['frame_size']}, "
        f"made by {answer['made_by']} ({answer['verification']}). "
        f"At a glance: {answer.get('contact_sheet', 'no contact sheet')}"
    )


async def converse(tools: ToolBox, model: ScriptedModel, prompt: str) -> list[Message]:
    """Let the model call tools until it is done; return all messages."""
    messages: list[Message] = [{"role": "user", "content": f"Make a video: {prompt}"}]
    for _ in range(MOST_TURNS):
        said = model.reply(messages, tools.definitions("openai"))
        messages.append(said)
        if not said.get("tool_calls"):
            break
        for call in said["tool_calls"]:
            function = call["function"]
            answer = await tools.call(function["name"], function["arguments"])
            content = json.dumps(answer)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
    return messages


def show(messages: Sequence[Message]) -> None:
    """Print the conversation, one line per message."""
    for message in messages:
        match message:
            case {"role": "user", "content": text}:
                print(f"user       {text}")
            case {"role": "tool", "content": text}:
                print(f"tool       {text if len(text) < 400 else f'{text[:397]}...'}")
            case {"tool_calls": calls}:
                for call in calls:
                    function = call["function"]
                    print(f"assistant  {function['name']}({function['arguments']})")
            case {"content": text}:
                print(f"assistant  {text}")


async def main() -> None:
    """Read the request and run the loop."""
    parser = argparse.ArgumentParser(description="Let a scripted agent make a video.")
    parser.add_argument("prompt", help="what the video shows")
    parser.add_argument("--model", help="backend or backend/model; default: from the settings")
    parser.add_argument("--duration", type=float, default=2.0, help="seconds")
    parser.add_argument("--seed", type=int, help="default: random")
    asked = parser.parse_args()
    request = {name: value for name, value in vars(asked).items() if value is not None}
    async with VideoClient() as client:
        show(await converse(ToolBox(client), ScriptedModel(request), asked.prompt))


if __name__ == "__main__":
    asyncio.run(main())
