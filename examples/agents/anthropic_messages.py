"""An agent on Anthropic's Messages makes a video.

pip install anthropic; python examples/agents/anthropic_messages.py
"""

import asyncio

from anthropic import AsyncAnthropic
from scripted_server import scripted_server

from media_agent import VideoClient
from media_agent.tools import ToolBox, run_anthropic_tool_uses


async def main() -> str:
    """Let the model use tools until it has something to say."""
    with scripted_server() as url:
        async with VideoClient() as client, AsyncAnthropic(base_url=url, api_key="-") as api:
            tools = ToolBox(client)
            messages = [{"role": "user", "content": "Make a video of a red circle."}]
            while True:
                message = await api.messages.create(
                    model="a-model",
                    max_tokens=1000,
                    messages=messages,
                    tools=tools.definitions("anthropic"),
                )
                answers = await run_anthropic_tool_uses(tools, message)
                if not answers:
                    return message.content[0].text
                messages += [{"role": "assistant", "content": message.content}, *answers]


if __name__ == "__main__":
    print(asyncio.run(main()))
