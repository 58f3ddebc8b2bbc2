"""An agent of openai-agents makes a video.

pip install openai-agents; python examples/agents/with_openai_agents.py
"""

import asyncio
import json
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)
from script import decide

from media_agent import VideoClient
from media_agent.tools import ToolBox, as_openai_agents_tools


class ScriptedModel(Model):
    """Stands in for a language model."""

    async def get_response(
        self,
        system_instructions: Any,
        input: Any,  # noqa: A002  # as its base names it
        model_settings: Any,
        tools: Any,
        *_: Any,
        **__: Any,
    ) -> ModelResponse:
        """Decide by the last answer of a tool."""
        items = input if isinstance(input, list) else []
        told = [each["output"] for each in items if each.get("type") == "function_call_output"]
        match decide(told[-1][0]["text"] if told else None):
            case str(text):
                part = ResponseOutputText(type="output_text", text=text, annotations=[])
                said: Any = ResponseOutputMessage(
                    id="m", type="message", role="assistant", status="completed", content=[part]
                )
            case name, arguments:
                assert name in [tool.name for tool in tools]
                said = ResponseFunctionToolCall(
                    type="function_call",
                    call_id=f"call_{len(told)}",
                    name=name,
                    arguments=json.dumps(arguments),
                )
        return ModelResponse(output=[said], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: the example does not stream."""
        raise RuntimeError("this script does not stream")


async def main() -> str:
    """Run the agent; give it a real model instead of the script."""
    async with VideoClient() as client:
        tools = as_openai_agents_tools(ToolBox(client))
        agent = Agent(name="director", model=ScriptedModel(), tools=tools)
        config = RunConfig(tracing_disabled=True)
        result = await Runner.run(agent, "Make a video of a red circle.", run_config=config)
        return result.final_output


if __name__ == "__main__":
    print(asyncio.run(main()))
