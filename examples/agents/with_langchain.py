"""A model of LangChain makes a video.

pip install langchain-core; python examples/agents/with_langchain.py
"""

import asyncio
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from script import decide

from media_agent import VideoClient
from media_agent.tools import ToolBox, as_langchain_tools


class ScriptedModel(BaseChatModel):
    """Stands in for a language model."""

    names: tuple[str, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "script"

    def bind_tools(self, tools: Any, **kwargs: Any) -> "ScriptedModel":
        """Remember which tools there are."""
        return ScriptedModel(names=tuple(tool.name for tool in tools))

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        told = [each.content for each in messages if isinstance(each, ToolMessage)]
        last = told[-1] if told else None
        match decide(last[0]["text"] if isinstance(last, list) else last):
            case str(text):
                said = AIMessage(text)
            case name, arguments:
                assert name in self.names
                call = {"name": name, "args": arguments, "id": f"call_{len(told)}"}
                said = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=said)])


async def main() -> str:
    """Let the model call tools until it has something to say; give it a real model instead."""
    async with VideoClient() as client:
        tools = {tool.name: tool for tool in as_langchain_tools(ToolBox(client))}
        model = ScriptedModel().bind_tools(list(tools.values()))
        messages: list[BaseMessage] = [HumanMessage("Make a video of a red circle.")]
        while True:
            message = await model.ainvoke(messages)
            messages.append(message)
            if not message.tool_calls:
                return message.text
            messages += [await tools[call["name"]].ainvoke(call) for call in message.tool_calls]


if __name__ == "__main__":
    print(asyncio.run(main()))
