"""An agent of pydantic-ai makes a video.

pip install pydantic-ai-slim; python examples/agents/with_pydantic_ai.py
"""

import asyncio

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from script import decide

from media_agent import VideoClient
from media_agent.tools import ToolBox, as_pydantic_ai_tools


def play(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Stand in for a language model."""
    parts = [part for message in messages for part in message.parts]
    told = [part for part in parts if isinstance(part, ToolReturnPart)]
    match decide(str(told[-1].content) if told else None):
        case str(text):
            return ModelResponse(parts=[TextPart(text)])
        case name, arguments:
            assert name in [tool.name for tool in info.function_tools]
            return ModelResponse(parts=[ToolCallPart(name, arguments)])


async def main() -> str:
    """Run the agent; give it a real model instead of the script."""
    async with VideoClient() as client:
        agent = Agent(FunctionModel(play), tools=as_pydantic_ai_tools(ToolBox(client)))
        return (await agent.run("Make a video of a red circle.")).output


if __name__ == "__main__":
    print(asyncio.run(main()))
